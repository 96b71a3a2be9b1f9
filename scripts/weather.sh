#!/usr/bin/env bash
# Starts the weather example with a private PostgreSQL cluster, behind its gateway. Every right
# that the example has is given here, one command each; docs/guides/databases.md and
# docs/guides/gateway-kubernetes.md go through them.
# WEATHER_POSTGRES is the folder of the cluster, PERDURE_DATA that of the app.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export PERDURE_DATA=${PERDURE_DATA:-weather-data}
listen=${PERDURE_LISTEN:-localhost:8084}
gateway=${WEATHER_GATEWAY:-localhost:8082}
cluster=$(realpath -m "${WEATHER_POSTGRES:-$PERDURE_DATA-postgres}")

# The cluster is stopped with the app, so each folder has one of both.
mkdir -p "$(dirname "$PERDURE_DATA")"
exec 9>"$PERDURE_DATA.lock"
if ! flock --nonblock 9; then
	echo "weather: it runs already with the data folder $PERDURE_DATA: stop that, or set PERDURE_DATA, PERDURE_LISTEN, WEATHER_GATEWAY and WEATHER_POSTGRES_PORT" >&2
	exit 1
fi

go build -buildvcs=false -o bin/perdure ./cmd/perdure
go build -buildvcs=false -o bin/weather ./examples/weather

if ! admin=$(scripts/postgres.sh start "$cluster" "${WEATHER_POSTGRES_PORT:-5433}" 9>&-); then
	echo "weather: PostgreSQL did not start; if its port is taken, set WEATHER_POSTGRES_PORT" >&2
	exit 1
fi
port=$(sed -n 's/.* port=\([0-9]*\) .*/\1/p' <<<"$admin")
export WEATHER_DATABASE=${WEATHER_DATABASE:-host=localhost port=$port dbname=weather}

WEATHER_PID=
stop() {
	if [ -n "$WEATHER_PID" ]; then
		kill -TERM "$WEATHER_PID" 2>/dev/null || true
		wait "$WEATHER_PID" 2>/dev/null || true
	fi
	scripts/postgres.sh stop "$cluster"
}
trap stop EXIT
trap 'exit 0' INT TERM

bin/weather 9>&- &
WEATHER_PID=$!
for _ in $(seq 100); do # until the command finds the app
	if ! kill -0 "$WEATHER_PID" 2>/dev/null; then
		WEATHER_PID=
		echo "weather: it did not start" >&2
		exit 1
	fi
	if bin/perdure vault list >/dev/null 2>&1; then break; fi
	sleep 0.1
done

# say shows a command before it is done.
say() { echo "+ perdure $*"; bin/perdure "$@"; }

if ! bin/perdure secrets list | grep -q '^weather-station-key\b'; then
	say secrets generate weather-station-key --length 32
fi
if ! bin/perdure db grants --server main 2>/dev/null | grep -q '\bweather\b.*\bwriter\b'; then
	psql=$(command -v psql || ls -d /usr/lib/postgresql/*/bin/psql | sort -V | tail -1)
	"$psql" --quiet "$admin" -c "SELECT 1 FROM pg_database WHERE datname = 'weather'" -At | grep -q 1 ||
		"$psql" --quiet "$admin" -c 'CREATE DATABASE weather'
	say db add main --host localhost --port "$port" --database weather --admin "$admin"
	say db trust main --apply --folder "$cluster/data"
	say db grant self --writer --database weather
fi

# The gateway is told by what key tokens are verified, and reads it again. Once another key signs, this has to be done again.
say keys export --format kubernetes --consumer weather-clients --file "$PERDURE_DATA/manifests/weather-clients.yaml"
bin/perdure gateway reload >/dev/null

# A program that may read the weather; what it gets tokens by is in a file that only you can read.
client=$PERDURE_DATA/weather-reader
if [ ! -s "$client" ]; then
	if bin/perdure apps show weather-reader >/dev/null 2>&1; then
		made=$(say apps rotate-secret weather-reader --json)
	else
		made=$(say apps create weather-reader --type non_interactive --json)
	fi
	head -1 <<<"$made"
	field() { sed -n "s/^ *\"$1\": \"\([^\"]*\)\".*/\1/p" <<<"$made" | head -1; }
	(umask 077; printf 'grant_type=client_credentials&client_id=%s&client_secret=%s&audience=https://weather.example.com' \
		"$(field client_id)" "$(field client_secret)" >"$client")
	say grants set weather-reader Weather read:weather
fi

cat <<END
weather: http://$gateway/weatherforecast (Ctrl-C stops it)

In another terminal, in $PWD, as a program with the permission read:weather:

  TOKEN=\$(curl -s http://$listen/oauth/token -d @$client | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
  for i in 1 2 3 4 5 6; do
    curl -s -o /dev/null -w '%{http_code}\n' -H "Authorization: Bearer \$TOKEN" http://$gateway/weatherforecast/secure
  done
  bin/perdure --data $PERDURE_DATA gateway explain -H "Authorization: Bearer \$TOKEN" 'GET http://$gateway/weatherforecast/secure'

END
wait "$WEATHER_PID"
