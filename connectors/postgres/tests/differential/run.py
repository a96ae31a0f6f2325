#!/usr/bin/env python3
"""Captures one workload by Debezium and by Levada, once for each set of keys, and compares the records. See README.md."""
import argparse
import concurrent.futures
import glob
import json
import os
import pwd
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import compare

HERE = os.path.dirname(os.path.abspath(__file__))
BIN = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
JSON = "org.apache.kafka.connect.json.JsonConverter"
PATIENCE = 180


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def read(name):
    with open(os.path.join(HERE, name), encoding="utf-8") as file:
        return file.read()


def until(condition, what):
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"after {PATIENCE} s still not so: {what() if callable(what) else what}")
        time.sleep(0.5)


def as_postgres():
    """The server refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam("postgres")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


class Server:
    """Its directory is a temporary one: the user postgres must reach it."""

    SETTINGS = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "wal_level=logical", "fsync=off", "max_connections=300",
                "max_wal_senders=50", "max_replication_slots=50", "max_prepared_transactions=5"]

    def __init__(self, home):
        self.port = free_port()
        shutil.rmtree(home, ignore_errors=True)
        os.makedirs(home)
        if os.geteuid() == 0:
            shutil.chown(home, "postgres")
        data = os.path.join(home, "data")
        init = [BIN + "/initdb", "-D", data, "-U", "postgres", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8", "-A", "trust"]
        subprocess.run(init, check=True, stdout=subprocess.DEVNULL, cwd="/", **as_postgres())
        start = [BIN + "/postgres", "-D", data, "-p", str(self.port)]
        for setting in self.SETTINGS:
            start += ["-c", setting]
        self.process = subprocess.Popen(start, cwd="/", stderr=subprocess.DEVNULL, **as_postgres())
        until(lambda: self.sql("SELECT 1", "postgres", check=False) == "1", "PostgreSQL answers")
        self.sql("CREATE DATABASE d", "postgres")

    def sql(self, text, database="d", check=True):
        """Several statements are one transaction."""
        psql = [BIN + "/psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-d", database]
        done = subprocess.run(psql + ["-qAtX", "-v", "ON_ERROR_STOP=1", "-c", text], capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise SystemExit(f"{text[:200]}: {done.stderr}")
        return done.stdout.strip()


def statements(text):
    return filter(None, map(str.strip, text.replace("\n", " ").split("@@")))


class Workload:
    """What is in the database before the captures begin, and what is done while they run."""

    def __init__(self, server):
        self.server, self.rows = server, read("rows.sql")
        server.sql(read("setup.sql"))
        if server.sql("SELECT count(*) FROM pg_available_extensions WHERE name = 'postgis'") == "1":
            setup, rows = read("postgis.sql").split("@@")
            server.sql(setup)
            self.rows += rows
        else:
            print("PostGIS is not installed: its types are left out")
        server.sql(self.row(1))

    def row(self, number):
        return re.sub(r"\bID\b", str(number), self.rows)

    def run(self):
        for statement in statements(read("work.sql")):
            # Both ask the catalog about a changed table when its next row comes: it must still be as it was for that row.
            changes_tables = statement.startswith(("ALTER", "DROP", "CREATE"))
            time.sleep(2 if changes_tables else 0)
            self.server.sql(statement)
            time.sleep(2 if changes_tables else 0)
        self.server.sql(self.row(2))
        self.server.sql("INSERT INTO zz_last VALUES (1)")


def sets(names):
    found = {}
    for line in read("sets.txt").splitlines():
        if line and not line.startswith("#"):
            name, *keys = line.split()
            found[name] = dict(key.replace("\\\\", "\\").split("=", 1) for key in keys)
    return {name: keys for name, keys in found.items() if not names or name in names}


def configuration(server, name, keys, who):
    return {
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "topic.prefix": name,
        "plugin.name": "pgoutput",
        "slot.name": f"{who}_{name}",
        "database.hostname": "127.0.0.1",
        "database.port": str(server.port),
        "database.user": "postgres",
        "database.password": "x",
        "database.dbname": "d",
        **keys,
    }


def debezium(work, configs):
    libs = os.path.join(work, "libs")
    if not os.path.isdir(libs):
        maven = ["mvn", "-q", "-B", "-f", os.path.join(HERE, "pom.xml"), "dependency:copy-dependencies"]
        subprocess.run(maven + ["-DincludeScope=runtime", "-DoutputDirectory=" + os.path.abspath(libs)], check=True)
    files = []
    for name, config in configs.items():
        own = {"name": name, "offset.storage": "org.apache.kafka.connect.storage.MemoryOffsetBackingStore", "offset.flush.interval.ms": "1000"}
        files.append(os.path.join(work, name))
        with open(files[-1], "w", encoding="utf-8") as file:
            file.writelines("{}={}\n".format(key, value.replace("\\", "\\\\")) for key, value in {**config, **own}.items())
    java = ["java", "-Xmx1g", "-cp", libs + "/*", os.path.join(HERE, "Capture.java"), *files]
    with open(os.path.join(work, "java.log"), "w", encoding="utf-8") as log:
        return subprocess.Popen(java, stdin=subprocess.PIPE, stdout=log, stderr=log)


class Levada:
    """One node with a connector for each set."""

    def __init__(self, program, work, configs):
        data, self.kafka, self.rest = os.path.join(work, "data"), free_port(), free_port()
        shutil.rmtree(data, ignore_errors=True)
        serve = [program, "serve", "--data-dir", data, "--kafka-listen", f"127.0.0.1:{self.kafka}", "--rest-listen", f"127.0.0.1:{self.rest}"]
        with open(os.path.join(work, "levada.log"), "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(serve, stdout=log, stderr=log)
        until(self.answers, "Levada answers")
        for name, config in configs.items():
            own = {"key.converter": JSON, "value.converter": JSON, "header.converter": JSON}
            body = json.dumps({"name": name, "config": {**config, **own}}).encode()
            url = f"http://127.0.0.1:{self.rest}/connectors"
            try:
                urllib.request.urlopen(urllib.request.Request(url, body, {"Content-Type": "application/json"}))
            except urllib.error.HTTPError as error:
                raise SystemExit(f"{name}: {error.read().decode()}") from None

    def answers(self):
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{self.rest}/connectors").status == 200
        except OSError:
            return False

    def failed(self, names):
        status = json.load(urllib.request.urlopen(f"http://127.0.0.1:{self.rest}/connectors?expand=status"))
        tasks = [(name, task) for name in names if name in status for task in status[name]["status"]["tasks"]]
        return {name: task["trace"].splitlines()[0][:300] for name, task in tasks if task["state"] == "FAILED"}

    def topics(self):
        listing = subprocess.run(["kcat", "-b", f"127.0.0.1:{self.kafka}", "-L", "-J"], capture_output=True, text=True, check=True)
        return [topic["topic"] for topic in json.loads(listing.stdout)["topics"]]

    def consume(self, topic):
        command = ["kcat", "-b", f"127.0.0.1:{self.kafka}", "-C", "-e", "-q", "-Z", "-t", topic, "-f", "%t\t%k\t%s\t%h\n"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def save(self, work, names):
        wanted = [topic for topic in self.topics() if topic.split(".")[0] in names]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            texts = dict(zip(wanted, pool.map(self.consume, wanted)))
        for name in names:
            with open(os.path.join(work, name + ".levada.tsv"), "w", encoding="utf-8") as file:
                file.writelines(text for topic, text in texts.items() if topic.split(".")[0] == name)


def capture(options, work, chosen):
    server = Server(os.path.join(work, "pg"))
    processes = [server.process]
    try:
        workload = Workload(server)
        engines = debezium(work, {name: configuration(server, name, keys, "dbz") for name, keys in chosen.items()})
        processes.append(engines)
        node = Levada(os.path.abspath(options.levada), work, {name: configuration(server, name, keys, "levada") for name, keys in chosen.items()})
        processes.append(node.process)
        files = {name: os.path.join(work, name + ".tsv") for name in chosen}

        def well():
            failed = [name for name, file in files.items() if os.path.exists(file) and "FAILED\t" in read(file)]
            if failed or node.failed(chosen):
                raise SystemExit(f"Debezium failed: {failed} (see their files), Levada: {node.failed(chosen)}")
            return True

        active = "SELECT string_agg(slot_name, ' ') FROM pg_replication_slots WHERE active"
        until(lambda: well() and len(server.sql(active).split()) == 2 * len(chosen), lambda: f"every capture streams: {server.sql(active)}")
        workload.run()

        def ended(name):
            return f"\n{name}.public.zz_last\t" in read(files[name])

        until(lambda: well() and all(map(ended, chosen)), lambda: f"Debezium has it all: {[name for name in chosen if not ended(name)]}")
        last = {f"{name}.public.zz_last" for name in chosen}
        until(lambda: well() and last <= set(node.topics()), lambda: f"Levada has it all: {last - set(node.topics())}")
        node.save(work, list(chosen))
        engines.stdin.close()
        time.sleep(2)
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in reversed(processes):
            process.wait(30)


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--work", required=True, help="a directory that the user postgres can reach")
    arguments.add_argument("--levada", required=True)
    arguments.add_argument("sets", nargs="*", help="names from sets.txt; all when there is none")
    options = arguments.parse_args()
    work, chosen = os.path.abspath(options.work), sets(options.sets)
    os.makedirs(work, exist_ok=True)
    capture(options, work, chosen)
    unknown = sum(compare.compare(work, name, read("known.txt")) for name in chosen)
    print(f"{unknown} differences that known.txt does not list")
    sys.exit(1 if unknown else 0)


if __name__ == "__main__":
    main()
