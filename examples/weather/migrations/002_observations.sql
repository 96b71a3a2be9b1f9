-- What stations have measured, by which the forecast begins.
CREATE TABLE observations (
	station     text        NOT NULL CHECK (length(station) BETWEEN 1 AND 100),
	observed    timestamptz NOT NULL,
	temperature int         NOT NULL CHECK (temperature BETWEEN -90 AND 60),
	PRIMARY KEY (station, observed)
);

CREATE INDEX ON observations (observed);
