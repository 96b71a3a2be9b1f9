#!/usr/bin/env bash
# A private PostgreSQL cluster in a folder, without any password: its administrator
# is the user who runs this, through a socket in the folder; over the network, which is
# the loopback address alone, nobody comes in until pg_hba.conf says so.
#
#   scripts/postgres.sh start FOLDER [PORT]   makes the cluster if there is none, and starts it
#   scripts/postgres.sh stop FOLDER
#
# Start prints the administrator's connection string, and leaves it in FOLDER/admin.dsn.
set -euo pipefail

usage() {
	sed -n 's/^#   //p' "$0" >&2
	exit 2
}
[ $# -ge 2 ] && [ -n "$2" ] || usage
action=$1 folder=$(realpath -m "$2") port=${3:-5433}

bin=$(dirname "$(command -v pg_ctl || ls -d /usr/lib/postgresql/*/bin/pg_ctl 2>/dev/null | sort -V | tail -1)")
if [ ! -x "$bin/pg_ctl" ]; then
	echo "postgres: PostgreSQL is missing: run scripts/setup.sh, or on Debian: sudo apt-get install postgresql" >&2
	exit 1
fi

# PostgreSQL refuses to run as root, who can hand its programs to another user.
as=()
owner=$(id -un)
if [ "$(id -u)" -eq 0 ]; then
	owner=postgres
	as=(setpriv --reuid=postgres --regid=postgres --clear-groups --)
fi
run() { (cd / && env -i PATH=/usr/bin:/bin LC_ALL=C.UTF-8 "${as[@]}" "$@"); }

start() {
	mkdir -p "$folder"
	if [ ! -e "$folder/data/PG_VERSION" ]; then
		chown "$owner" "$folder"
		chmod 755 "$folder"
		if ! run test -w "$folder"; then
			echo "postgres: the user $owner, as whom the server must run, cannot reach $folder" >&2
			exit 1
		fi
		rm -rf "$folder/data.new"
		run "$bin/initdb" --pgdata "$folder/data.new" --username "$(id -un)" --auth-local peer --auth-host reject \
			--encoding UTF8 --no-locale >"$folder/initdb.log" 2>&1 || { cat "$folder/initdb.log" >&2; exit 1; }
		mv "$folder/data.new" "$folder/data" # a cluster is there as a whole or not at all
	fi
	# What an operator says on the command line cannot be lost in a file.
	run "$bin/pg_ctl" status --pgdata "$folder/data" >/dev/null ||
		run "$bin/pg_ctl" start --wait --silent --pgdata "$folder/data" --log "$folder/server.log" \
			--options "-k '$folder' -p $port -c listen_addresses=127.0.0.1 -c unix_socket_permissions=0777" ||
		{ tail -20 "$folder/server.log" >&2; exit 1; }
	# The server's own file says where it listens, also when it ran already.
	port=$(sed -n 4p "$folder/data/postmaster.pid")
	echo "host=$folder port=$port user=$(id -un) dbname=postgres sslmode=disable" | tee "$folder/admin.dsn"
}

stop() {
	if [ -e "$folder/data/PG_VERSION" ] && run "$bin/pg_ctl" status --pgdata "$folder/data" >/dev/null; then
		run "$bin/pg_ctl" stop --wait --silent --mode fast --pgdata "$folder/data"
	fi
}

case $action in
start | stop) "$action" ;;
*) usage ;;
esac
