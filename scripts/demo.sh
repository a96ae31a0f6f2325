#!/usr/bin/env bash
# make demo: the package index of this machine goes file -> topic -> file through connectors posted with curl.
# Run 1 has no accident: the copy must be byte-identical. In run 2 the daemon gets kill -9 half-way and is started
# again: no line may be missing and order is kept; lines the source read twice are counted. Then PostgreSQL: demo_postgres.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
ROOT=$PWD
LEVADA=$PWD/target/release/levada
EXAMPLES=$PWD/examples
VERIFY=$PWD/scripts/verify_copy.py
DEMO=$PWD/target/demo
PID=
trap '[ -z "$PID" ] || kill -KILL "$PID" 2>/dev/null || true' EXIT

rm -rf "$DEMO"; mkdir -p "$DEMO"; cd "$DEMO" # the examples' relative paths are seen from here

say() { printf '\n== %s\n' "$*"; }
fail() { printf 'demo: %s\n' "$*" >&2; tail -15 "$DEMO/levada.log" >&2 || true; exit 1; }
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
now() { date +%s.%N; }
size() { stat -c %s "$1" 2>/dev/null || echo 0; }
KAFKA=127.0.0.1:$(free_port)
REST=127.0.0.1:$(free_port)

# A real file of some tens of megabytes, ending with a line end.
make_input() {
  if command -v apt-cache >/dev/null; then
    apt-cache dumpavail >packages.txt 2>/dev/null || true
    [ "$(size packages.txt)" -gt 10000000 ] && { echo "apt-cache dumpavail"; return; }
    if [ "$(id -u)" = 0 ] && apt-get update -qq >/dev/null 2>&1; then
      apt-cache dumpavail >packages.txt
      [ "$(size packages.txt)" -gt 10000000 ] && { echo "apt-cache dumpavail"; return; }
    fi
  fi
  find /usr/include /usr/share/doc /usr/share/perl /usr/lib/python3 -type f \( -name '*.h' -o -name '*.p[lmy]' -o -name copyright \) \
    -exec cat {} + 2>/dev/null | tr -d '\r' | iconv -f UTF-8 -t UTF-8 -c | head -c 60000000 >packages.txt || true
  echo >>packages.txt
  echo "headers, scripts and licences found under /usr"
}

start() { # start DATA-DIR
  "$LEVADA" serve --data-dir "$1" --kafka-listen "$KAFKA" --rest-listen "$REST" --set offset.flush.interval.ms=100 \
    >>levada.log 2>&1 </dev/null &
  PID=$!
  for _ in $(seq 600); do
    curl -sf -o /dev/null "http://$REST/connectors" && return
    kill -0 "$PID" 2>/dev/null || fail "the daemon ended while starting"
    sleep 0.02
  done
  fail "the daemon does not answer"
}

stop() {
  kill -TERM "$PID"
  wait "$PID" || fail "the daemon did not stop in order (exit $?)"
  PID=
}

post() { curl -sSf -o /dev/null -H 'Content-Type: application/json' --data @"$EXAMPLES/$1" "http://$REST/connectors" || fail "posting $1"; }
peak_memory() { awk '/^VmHWM:/ {printf "%.0f", $2 * 1024 / 1e6}' "/proc/$PID/status"; }

wait_for_size() { # wait_for_size BYTES: of the copy
  local end=$((SECONDS + 300))
  until [ "$(size packages.copy.txt)" -ge "$1" ]; do
    [ $SECONDS -lt $end ] || fail "the copy has $(size packages.copy.txt) of $1 bytes after 300 s: $(curl -s "http://$REST/connectors?expand=status")"
    kill -0 "$PID" 2>/dev/null || fail "the daemon died"
    sleep 0.01
  done
}

settled() { # until both connectors have committed everything: the source the file's end, the sink the topic's end
  local end=$((SECONDS + 60)) source='' sink='' before=none
  while [ $SECONDS -lt $end ]; do
    source=$(curl -sf "http://$REST/connectors/packages-in/offsets" || true)
    sink=$(curl -sf "http://$REST/connectors/packages-out/offsets" || true)
    case "$source" in *"\"position\":$BYTES"[,}]*) [ "$sink$(size packages.copy.txt)" = "$before" ] && return ;; esac
    before="$sink$(size packages.copy.txt)"
    sleep 1.5
  done
  fail "the connectors have not settled: $source $sink"
}

say "Input"
WHAT=$(make_input)
BYTES=$(size packages.txt)
RECORDS=$(wc -l <packages.txt)
SUM=$(sha256sum <packages.txt | cut -d' ' -f1)
printf '%s: %s lines, %s bytes\nsha256 %s\n' "$WHAT" "$RECORDS" "$BYTES" "$SUM"

say "Run 1: file -> topic -> file"
start run1
T0=$(now)
post packages-source.json
post packages-sink.json
wait_for_size "$BYTES"
T1=$(now)
PEAK=$(peak_memory)
stop
COPY=$(sha256sum <packages.copy.txt | cut -d' ' -f1)
printf 'sha256 %s (copy)\n' "$COPY"
[ "$COPY" = "$SUM" ] || fail "the copy differs from the original"
printf 'identical. %s records in %s s, %s records/s, peak memory %s MB\n' "$RECORDS" \
  "$(awk "BEGIN {printf \"%.2f\", $T1 - $T0}")" "$(awk "BEGIN {printf \"%.0f\", $RECORDS / ($T1 - $T0)}")" "$PEAK"

say "Run 2: the same, with kill -9 half-way"
rm packages.copy.txt
start run2
T0=$(now)
post packages-source.json
post packages-sink.json
wait_for_size $((BYTES / 2))
kill -KILL "$PID"; wait "$PID" 2>/dev/null || true
printf 'killed with %s of %s bytes written; starting again\n' "$(size packages.copy.txt)" "$BYTES"
start run2
wait_for_size "$BYTES"
T1=$(now)
settled
DOUBLED=$(python3 "$VERIFY" packages.txt packages.copy.txt) || fail "the copy is wrong"
printf 'no line missing, order kept; %s lines doubled by the source (it is at-least-once across a crash)\n' "$DOUBLED"
printf '%s records in %s s with the crash, peak memory after it %s MB\n' "$RECORDS" \
  "$(awk "BEGIN {printf \"%.2f\", $T1 - $T0}")" "$(peak_memory)"
stop

# shellcheck source=scripts/demo_postgres.sh
. "$ROOT/scripts/demo_postgres.sh"

say "Try next"
cat <<T
start it:    $LEVADA serve --data-dir $DEMO/run2
status:      curl -s 'http://127.0.0.1:8083/connectors?expand=status'
plugins:     curl -s http://127.0.0.1:8083/connector-plugins
health:      curl -s http://127.0.0.1:8083/health        metrics: http://127.0.0.1:8083/metrics
read it:     kcat -b 127.0.0.1:9092 -C -t packages -c 5 -f '%o %s\n'
the sink's lag as a consumer group: kcat -b 127.0.0.1:9092 -L; group connect-packages-out
T
