#!/usr/bin/env bash
# Installs what the cross-process suites, the demo and the benches need, and nothing that is already there.
#   scripts/setup-test-tools.sh build    what `cargo build` needs (a C compiler, the Rust toolchain)
#   scripts/setup-test-tools.sh demo     ... and curl, a package index to move, PostgreSQL
#   scripts/setup-test-tools.sh test     ... and foreign Kafka clients: kcat, Java, Go, Python
#   scripts/setup-test-tools.sh bench    ... and librdkafka's headers for the load driver
# Packages come through their ordinary clients (apt-get, pip, mvn, go); Python goes to target/test-venv,
# jars and compiled drivers to target/test-tools. Safe to run again: finished steps are skipped.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
ROOT=$PWD
TOOLS=$ROOT/target/test-tools
VENV=$ROOT/target/test-venv
mkdir -p "$TOOLS"

say() { printf 'setup: %s\n' "$*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }

# --- Debian packages, collected first so that one apt-get call installs them all ------------------------------
WANT=()
want() { # want COMMAND PACKAGE...: the packages when the command is missing
  have "$1" || WANT+=("${@:2}")
}

apt_install() {
  [ ${#WANT[@]} -gt 0 ] || return 0
  if ! have apt-get; then
    say "missing and no apt-get here: ${WANT[*]}; install them by hand and run again"; exit 3
  fi
  local sudo=()
  if [ "$(id -u)" != 0 ]; then
    if have sudo && sudo -n true 2>/dev/null; then sudo=(sudo -n)
    else say "missing: ${WANT[*]}; run as root: apt-get update && apt-get install -y ${WANT[*]}"; exit 3; fi
  fi
  say "apt-get install ${WANT[*]}"
  "${sudo[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq --no-install-recommends "${WANT[@]}" >"$TOOLS/apt.log" 2>&1 \
    || { tail -20 "$TOOLS/apt.log" >&2; exit 3; }
}

want_build() {
  want cc gcc libc6-dev
  want make make
  want git git
  have cargo || [ -x "$HOME/.cargo/bin/cargo" ] || want rustup rustup
}

# The PostgreSQL connectors are tested against servers that the tests start.
want_postgres() {
  ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || WANT+=(postgresql)
  want openssl openssl
}

want_demo() {
  want curl curl
  want python3 python3
}

want_test() {
  want_postgres
  want kcat kcat
  want zstd zstd
  want strace strace
  want javac default-jdk-headless
  want mvn maven
  python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || WANT+=(python3-venv)
  have go || [ -x /usr/local/go/bin/go ] || WANT+=(golang-go)
}

want_bench() {
  [ -f /usr/include/librdkafka/rdkafka.h ] || WANT+=(librdkafka-dev)
}

check_cargo() {
  have cargo && return
  [ -x "$HOME/.cargo/bin/cargo" ] && return
  if have rustup; then rustup toolchain install "$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)" --profile minimal >&2; return; fi
  say "no cargo: install rustup (Debian package rustup), then: rustup toolchain install (reads rust-toolchain.toml)"; exit 3
}

# --- foreign clients ------------------------------------------------------------------------------------------
stamp() { # stamp NAME FILE...: true when NAME was last made from exactly these files
  NEW_STAMP=$(sha256sum "${@:2}" | sha256sum | cut -d' ' -f1)
  [ "$(cat "$TOOLS/$1.stamp" 2>/dev/null)" = "$NEW_STAMP" ]
}
stamped() { printf '%s\n' "$NEW_STAMP" >"$TOOLS/$1.stamp"; }

setup_python() {
  stamp python tests/foreign/requirements.txt && [ -x "$VENV/bin/pytest" ] && return
  say "Python clients into target/test-venv"
  [ -x "$VENV/bin/python" ] || python3 -m venv "$VENV"
  "$VENV/bin/pip" -q --disable-pip-version-check install -r tests/foreign/requirements.txt
  stamped python
}

setup_java() {
  local dir=tests/foreign/java
  if ! stamp jars $dir/pom.xml || [ ! -d "$TOOLS/kafka/libs" ]; then
    say "Apache Kafka's jars into target/test-tools/kafka"
    rm -rf "$TOOLS/kafka"
    mvn -q -B -f $dir/pom.xml dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$TOOLS/kafka/libs" </dev/null
    mkdir -p "$TOOLS/kafka/plugins/file"
    mv "$TOOLS"/kafka/libs/connect-file-*.jar "$TOOLS/kafka/plugins/file/"
    stamped jars
  fi
  if ! stamp javac $dir/*.java; then
    say "compiling the Java driver"
    mkdir -p "$TOOLS/java"
    javac -nowarn -d "$TOOLS/java" -cp "$TOOLS/kafka/libs/*" $dir/*.java
    stamped javac
  fi
}

setup_go() {
  local dir=tests/foreign/go go=go
  have go || go=/usr/local/go/bin/go
  stamp go $dir/*.go $dir/go.mod $dir/go.sum && [ -x "$TOOLS/franz" ] && return
  say "building the franz-go driver"
  (cd $dir && CGO_ENABLED=0 GOFLAGS=-mod=readonly $go build -o "$TOOLS/franz" .)
  stamped go
}

setup_load() {
  stamp load bench/load.c && [ -x "$TOOLS/load" ] && return
  say "building the load driver"
  cc -O2 -Wall -Wextra -o "$TOOLS/load" bench/load.c -lrdkafka -lpthread
  stamped load
}

# The programs of a second, newer PostgreSQL into target/test-tools/postgres-18.
setup_postgres18() {
  local pom=connectors/postgres/tests/postgres-18/pom.xml dir=$TOOLS/postgres-18
  if [ "$(uname -m)" != x86_64 ]; then say "no PostgreSQL 18 for $(uname -m): tests that need it fail"; return; fi
  stamp postgres18 $pom && [ -x "$dir/bin/postgres" ] && return
  say "PostgreSQL 18 into target/test-tools/postgres-18"
  rm -rf "$dir" "$dir.jar"
  mvn -q -B -f $pom dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$dir.jar" </dev/null
  python3 - "$dir" "$dir.jar"/*.jar <<'P'
import sys, tarfile, zipfile
with zipfile.ZipFile(sys.argv[2]) as jar:
    name = next(name for name in jar.namelist() if name.endswith(".txz"))
    with jar.open(name) as packed, tarfile.open(fileobj=packed, mode="r:xz") as files:
        files.extractall(sys.argv[1])
P
  rm -r "$dir.jar"
  stamped postgres18
}

# PostGIS for the distribution's PostgreSQL, where it has the package; without it the test of it is passed over.
setup_postgis() {
  ls /usr/share/postgresql/*/extension/postgis.control >/dev/null 2>&1 && return
  local version; version=$(find /usr/lib/postgresql -mindepth 1 -maxdepth 1 -printf '%f\n' 2>/dev/null | sort -n | tail -1)
  apt-cache show "postgresql-$version-postgis-3" >/dev/null 2>&1 || return 0
  (WANT=("postgresql-$version-postgis-3"); apt_install) || say "no PostGIS: its test is passed over"
}

# What `make bench` runs beside the PostgreSQL connectors: Debezium's, each a plugin of its own.
setup_debezium() {
  local pom=bench/peers/debezium/pom.xml jdbc=bench/peers/debezium-jdbc/pom.xml
  stamp debezium $pom $jdbc && [ -d "$TOOLS/debezium/jdbc" ] && return
  say "Debezium's PostgreSQL connector and JDBC sink into target/test-tools/debezium"
  rm -rf "$TOOLS/debezium"
  # Connect brings Jackson, and its modules don't go with a second one.
  local fasterxml=com.fasterxml.jackson
  local copy="dependency:copy-dependencies -DincludeScope=runtime \
    -DexcludeGroupIds=org.apache.kafka,$fasterxml.core,$fasterxml.module,$fasterxml.datatype,$fasterxml.dataformat,$fasterxml.jakarta.rs"
  mvn -q -B -f $pom $copy -DoutputDirectory="$TOOLS/debezium/postgres" </dev/null
  mvn -q -B -f $jdbc $copy -DoutputDirectory="$TOOLS/debezium/jdbc" </dev/null
  stamped debezium
}

case "${1:-test}" in
  build) want_build; apt_install; check_cargo ;;
  demo) want_build; want_demo; want_postgres; apt_install; check_cargo ;;
  test) want_build; want_demo; want_test; apt_install; check_cargo; setup_python; setup_java; setup_go; setup_postgres18; setup_postgis ;;
  bench) want_build; want_demo; want_test; want_bench; apt_install; check_cargo; setup_python; setup_java; setup_load; setup_debezium ;;
  *) say "unknown: $1 (build, demo, test or bench)"; exit 2 ;;
esac
