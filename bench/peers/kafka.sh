#!/usr/bin/env bash
# Apache Kafka and Kafka Connect on loopback, from Maven's jars: the peer of the benches and the oracle of the
# foreign-client suites. Run scripts/setup-test-tools.sh test first.
#   bench/peers/kafka.sh start [broker] [connect]   waits until they answer; pids in $PEER_DIR/*.pid
#   bench/peers/kafka.sh stop  [broker] [connect]   by those pid files only
#   bench/peers/kafka.sh wipe                       stop, and remove the data
# PEER_PLUGINS (more of Connect's plugin.path), PEER_DIR (default target/peers/kafka), PEER_BROKER_PORT (29092), PEER_CONNECT_PORT (28083)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
TOOLS=$PWD/target/test-tools/kafka
DIR=${PEER_DIR:-$PWD/target/peers/kafka}
PORT=${PEER_BROKER_PORT:-29092}
CTRL=$((PORT + 1))
REST=${PEER_CONNECT_PORT:-28083}
GC="-server -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35 -XX:+ExplicitGCInvokesConcurrent"
CP="$TOOLS/libs/*"
mkdir -p "$DIR"

launch() { # launch NAME HEAP CLASS FILE: a JVM in its own session, with no inherited descriptors
  local name=$1 heap=$2 class=$3 file=$4
  cat >"$DIR/log4j2.yaml" <<'Y'
Configuration:
  Appenders: { Console: { name: STDOUT, PatternLayout: { pattern: "[%d] %p %m (%c)%n" } } }
  Loggers: { Root: { level: "WARN", AppenderRef: [ { ref: STDOUT } ] } }
Y
  # shellcheck disable=SC2086  # the option lists are meant to split
  setsid java $GC $heap -Dlog4j2.configurationFile="$DIR/log4j2.yaml" -cp "$CP" "$class" "$file" \
    >"$DIR/$name.log" 2>&1 </dev/null 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- &
  echo $! >"$DIR/$name.pid"
}

answers() { # answers NAME SECONDS COMMAND...: until the command succeeds or the process is gone
  local name=$1 end=$((SECONDS + $2)); shift 2
  until "$@" >/dev/null 2>&1; do
    kill -0 "$(cat "$DIR/$name.pid")" 2>/dev/null || { echo "$name ended:" >&2; tail -5 "$DIR/$name.log" >&2; exit 1; }
    [ $SECONDS -lt $end ] || { echo "$name does not answer" >&2; exit 1; }
    sleep 0.1
  done
}

broker() {
  running broker && return
  cat >"$DIR/broker.properties" <<P
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:$PORT,CONTROLLER://127.0.0.1:$CTRL
advertised.listeners=PLAINTEXT://127.0.0.1:$PORT
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
controller.quorum.voters=1@127.0.0.1:$CTRL
log.dirs=$DIR/data
num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
P
  [ -f "$DIR/data/meta.properties" ] ||
    java -Xmx256m -cp "$CP" kafka.tools.StorageTool format -t bGV2YWRhLWxldmFkYS1sZQ -c "$DIR/broker.properties" >"$DIR/format.log" 2>&1
  launch broker "-Xms1g -Xmx1g" kafka.Kafka "$DIR/broker.properties"
  answers broker 240 python3 bench/probe.py "127.0.0.1:$PORT"
}

connect() {
  running connect && return
  cat >"$DIR/connect.properties" <<P
bootstrap.servers=127.0.0.1:$PORT
group.id=connect-cluster
key.converter=org.apache.kafka.connect.json.JsonConverter
value.converter=org.apache.kafka.connect.json.JsonConverter
offset.storage.topic=connect-offsets
offset.storage.replication.factor=1
config.storage.topic=connect-configs
config.storage.replication.factor=1
status.storage.topic=connect-status
status.storage.replication.factor=1
offset.flush.interval.ms=${PEER_OFFSET_FLUSH_MS:-10000}
listeners=HTTP://127.0.0.1:$REST
rest.advertised.host.name=127.0.0.1
plugin.path=$TOOLS/plugins${PEER_PLUGINS:+,$PEER_PLUGINS}
P
  launch connect "-Xms256m -Xmx2g" org.apache.kafka.connect.cli.ConnectDistributed "$DIR/connect.properties"
  answers connect 240 curl -sf "http://127.0.0.1:$REST/connectors"
}

running() { [ -f "$DIR/$1.pid" ] && kill -0 "$(cat "$DIR/$1.pid")" 2>/dev/null; }

stop() {
  local name pid
  for name in "$@"; do
    [ -f "$DIR/$name.pid" ] || continue
    pid=$(cat "$DIR/$name.pid")
    kill -TERM "$pid" 2>/dev/null || true
    for _ in $(seq 150); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    kill -KILL "$pid" 2>/dev/null || true
    rm -f "$DIR/$name.pid"
  done
}

verb=${1:-}; shift || true
case "$verb" in
  start) for what in "${@:-broker}"; do case "$what" in broker|connect) "$what" ;; *) echo "unknown: $what" >&2; exit 2 ;; esac; done ;;
  stop) if [ $# -gt 0 ]; then stop "$@"; else stop connect broker; fi ;;
  wipe) stop connect broker; rm -rf "${DIR:?}" ;;
  *) sed -n '2,8p' "$0" >&2; exit 2 ;;
esac
