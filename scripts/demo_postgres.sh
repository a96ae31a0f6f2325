# The second act of `make demo`, read by demo.sh: the package index as a table of one PostgreSQL database is captured,
# changed while it is captured, and arrives in a second database; both tables are compared in SQL.
PGBIN=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)
[ -n "$PGBIN" ] || fail "PostgreSQL's programs are not installed: apt-get install postgresql"
PGPORT=$(free_port)
PGHOME=$(mktemp -d /tmp/levada-demo.XXXXXX)

# The server refuses to run as root.
as_postgres() {
  if [ "$(id -u)" = 0 ]; then setpriv --reuid=postgres --regid=postgres --init-groups "$@"; else "$@"; fi
}
sql() { PGOPTIONS='-c client_min_messages=warning' "$PGBIN/psql" -h 127.0.0.1 -p "$PGPORT" -U postgres -d "$1" -qAtX -v ON_ERROR_STOP=1 -c "$2"; }

end_postgres() {
  if [ -n "${PGPID:-}" ]; then
    kill -INT "$PGPID" 2>/dev/null || true
    for _ in $(seq 100); do kill -0 "$PGPID" 2>/dev/null || break; sleep 0.1; done
  fi
  PGPID=
  rm -rf "$PGHOME"
}
trap '[ -z "$PID" ] || kill -KILL "$PID" 2>/dev/null || true; end_postgres' EXIT

start_postgres() {
  [ "$(id -u)" != 0 ] || chown postgres: "$PGHOME"
  (cd / && as_postgres "$PGBIN/initdb" -D "$PGHOME/data" -U postgres --no-sync -E UTF8 --locale=C.UTF-8 -A trust >/dev/null)
  (cd / && as_postgres "$PGBIN/postgres" -D "$PGHOME/data" -p "$PGPORT" -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
    -c wal_level=logical >"$DEMO/postgres.log" 2>&1 </dev/null) &
  PGPID=$!
  for _ in $(seq 300); do sql postgres 'SELECT 1' >/dev/null 2>&1 && break; sleep 0.1; done
  PGPID=$(head -1 "$PGHOME/data/postmaster.pid") || fail "PostgreSQL does not start: $DEMO/postgres.log"
  sql postgres 'CREATE DATABASE shop'
  sql postgres 'CREATE DATABASE copy'
}

fill() {
  sql shop 'CREATE TABLE packages (id bigserial PRIMARY KEY, package text NOT NULL, version text, section text, size bigint,
    price numeric(12, 2), fields jsonb, seen timestamptz NOT NULL DEFAULT now())'
  python3 "$ROOT/scripts/packages_csv.py" packages.txt |
    "$PGBIN/psql" -h 127.0.0.1 -p "$PGPORT" -U postgres -d shop -qX -v ON_ERROR_STOP=1 \
      -c 'COPY packages (package, version, section, size, price, fields) FROM STDIN WITH (FORMAT csv)'
}

connector() { # connector NAME JSON-MEMBERS: posts them with what both connectors have
  curl -sSf -o /dev/null -H 'Content-Type: application/json' "http://$REST/connectors" --data "{\"name\": \"$1\", \"config\": {$2,
    \"key.converter\": \"org.apache.kafka.connect.json.JsonConverter\", \"value.converter\": \"org.apache.kafka.connect.json.JsonConverter\"}}" ||
    fail "posting $1"
}

# Rows and a checksum over all values of a database's table, in an order that both have.
summary() {
  sql "$1" "SELECT count(*) || ' rows, checksum ' || coalesce(md5(string_agg(md5(t::text), '' ORDER BY id)), 'none') FROM (SELECT $2 FROM packages) t" 2>/dev/null
}

arrives() { # arrives COLUMNS: until the copy equals the original
  local end=$((SECONDS + 300)) want rows
  rows=$(sql shop 'SELECT count(*) FROM packages')
  until [ "$(sql copy 'SELECT count(*) FROM packages' 2>/dev/null)" = "$rows" ]; do # the checksum costs more than the copy
    [ $SECONDS -lt $end ] || break
    sleep 0.05
  done
  T1=$(now)
  want=$(summary shop "$1")
  until [ "$(summary copy "$1")" = "$want" ]; do
    [ $SECONDS -lt $end ] || fail "the copy has $(summary copy "$1") of $want after 300 s: $(curl -s "http://$REST/v1/connectors")"
    kill -0 "$PID" 2>/dev/null || fail "the daemon died"
    sleep 0.1
  done
  printf '%s in both databases\n' "$want"
}

say "Run 3: PostgreSQL -> topic -> PostgreSQL"
start_postgres
fill
ROWS=$(sql shop 'SELECT count(*) FROM packages')
start run3
T0=$(now)
connector shop "\"connector.class\": \"io.debezium.connector.postgresql.PostgresConnector\", \"tasks.max\": \"1\", \"topic.prefix\": \"shop\",
  \"plugin.name\": \"pgoutput\", \"publication.autocreate.mode\": \"filtered\", \"table.include.list\": \"public.packages\",
  \"database.hostname\": \"127.0.0.1\", \"database.port\": \"$PGPORT\", \"database.user\": \"postgres\", \"database.dbname\": \"shop\""
connector copy "\"connector.class\": \"io.debezium.connector.jdbc.JdbcSinkConnector\", \"tasks.max\": \"1\", \"topics\": \"shop.public.packages\",
  \"connection.url\": \"jdbc:postgresql://127.0.0.1:$PGPORT/copy\", \"connection.username\": \"postgres\",
  \"collection.name.format\": \"\${source.table}\", \"insert.mode\": \"upsert\", \"primary.key.mode\": \"record_key\",
  \"delete.enabled\": \"true\", \"schema.evolution\": \"basic\""
COLUMNS_NOW='id, package, version, section, size, price, fields, seen'
arrives "$COLUMNS_NOW"
printf 'snapshot: %s rows in %s s, %s rows/s, peak memory %s MB\n' "$ROWS" "$(awk "BEGIN {printf \"%.2f\", $T1 - $T0}")" \
  "$(awk "BEGIN {printf \"%.0f\", $ROWS / ($T1 - $T0)}")" "$(peak_memory)"
sql shop "INSERT INTO packages (package, version, size) SELECT 'new-' || n, n::text, n FROM generate_series(1, 2000) n"
sql shop "UPDATE packages SET price = price + 1, fields = fields || '{\"updated\": true}' WHERE id % 10 = 0"
sql shop 'DELETE FROM packages WHERE id % 10 = 5'
sql shop "ALTER TABLE packages ADD COLUMN rating double precision"
sql shop 'UPDATE packages SET rating = size / 7.0 WHERE id % 10 = 1'
printf 'changed while it runs: rows inserted, updated, deleted, and a column added\n'
arrives "$COLUMNS_NOW, rating"
kill -KILL "$PID"; wait "$PID" 2>/dev/null || true
sql shop "UPDATE packages SET seen = now() WHERE id % 10 = 2"
start run3
printf 'killed with kill -9, changed meanwhile, started again\n'
arrives "$COLUMNS_NOW, rating"
stop
end_postgres
