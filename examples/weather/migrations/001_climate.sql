-- What the weather is like in each month, in degrees Celsius.
CREATE TABLE climate (
	month   int  PRIMARY KEY CHECK (month BETWEEN 1 AND 12),
	low     int  NOT NULL,
	high    int  NOT NULL CHECK (high >= low),
	summary text NOT NULL
);

INSERT INTO climate (month, low, high, summary) VALUES
	(1, -4, 3, 'Freezing'), (2, -3, 5, 'Bracing'), (3, 1, 10, 'Chilly'), (4, 5, 15, 'Cool'),
	(5, 9, 20, 'Mild'), (6, 13, 24, 'Warm'), (7, 15, 27, 'Balmy'), (8, 15, 26, 'Balmy'),
	(9, 11, 21, 'Mild'), (10, 7, 15, 'Cool'), (11, 2, 8, 'Chilly'), (12, -2, 4, 'Bracing');
