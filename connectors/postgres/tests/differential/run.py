#!/usr/bin/env python3
"""Captures one workload by Debezium and by Levada and compares the records. See README.md."""
import argparse
import glob
import json
import os
import pwd
import shutil
import socket
import subprocess
import time
import urllib.request

import compare

HERE = os.path.dirname(os.path.abspath(__file__))
BIN = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
JSON = "org.apache.kafka.connect.json.JsonConverter"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def read(name):
    with open(os.path.join(HERE, name), encoding="utf-8") as file:
        return file.read()


def as_postgres():
    """The server refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam("postgres")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


class Server:
    def __init__(self, work):
        self.port, home = free_port(), os.path.join(work, "pg")
        shutil.rmtree(home, ignore_errors=True)
        os.makedirs(home)
        if os.geteuid() == 0:
            shutil.chown(home, "postgres")
        data = os.path.join(home, "data")
        init = [BIN + "/initdb", "-D", data, "-U", "postgres", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8", "-A", "trust"]
        subprocess.run(init, check=True, stdout=subprocess.DEVNULL, cwd="/", **as_postgres())
        start = [BIN + "/postgres", "-D", data, "-p", str(self.port)]
        for setting in ["listen_addresses=127.0.0.1", "unix_socket_directories=", "wal_level=logical", "fsync=off"]:
            start += ["-c", setting]
        self.process = subprocess.Popen(start, cwd="/", stderr=subprocess.DEVNULL, **as_postgres())
        while self.sql("SELECT 1", "postgres", check=False) != "1":
            time.sleep(0.2)
        self.sql("CREATE DATABASE d", "postgres")

    def sql(self, text, database="d", check=True):
        psql = [BIN + "/psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-d", database]
        done = subprocess.run(psql + ["-qAtX", "-v", "ON_ERROR_STOP=1", "-c", text], capture_output=True, text=True)
        if check and done.returncode:
            raise SystemExit(f"{text[:200]}: {done.stderr}")
        return done.stdout.strip()


def debezium(work, config):
    libs = os.path.join(work, "libs")
    if not os.path.isdir(libs):
        maven = ["mvn", "-q", "-B", "-f", os.path.join(HERE, "pom.xml"), "dependency:copy-dependencies"]
        subprocess.run(maven + ["-DincludeScope=runtime", "-DoutputDirectory=" + os.path.abspath(libs)], check=True)
    memory = "org.apache.kafka.connect.storage.MemoryOffsetBackingStore"
    own = {"name": "e", "slot.name": "dbz", "offset.storage": memory, "offset.flush.interval.ms": "1000"}
    properties = os.path.join(work, "engine.properties")
    with open(properties, "w", encoding="utf-8") as file:
        file.writelines(f"{key}={value}\n" for key, value in {**config, **own}.items())
    java = ["java", "-Xmx512m", "-cp", libs + "/*", os.path.join(HERE, "Capture.java"), properties]
    with open(os.path.join(work, "java.log"), "w", encoding="utf-8") as log:
        out = os.path.join(work, "debezium.tsv")
        return subprocess.Popen(java + [out], stdin=subprocess.PIPE, stdout=log, stderr=log)


def levada(program, work, config):
    data, kafka, rest = os.path.join(work, "data"), free_port(), free_port()
    shutil.rmtree(data, ignore_errors=True)
    serve = [program, "serve", "--data-dir", data, "--kafka-listen", f"127.0.0.1:{kafka}", "--rest-listen", f"127.0.0.1:{rest}"]
    with open(os.path.join(work, "levada.log"), "w", encoding="utf-8") as log:
        process = subprocess.Popen(serve, stdout=log, stderr=log)
    own = {"key.converter": JSON, "value.converter": JSON, "header.converter": JSON}
    body = json.dumps({"name": "l", "config": {**config, **own}}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{rest}/connectors", body, {"Content-Type": "application/json"})
    for attempt in range(60):
        try:
            urllib.request.urlopen(request)
            return process, kafka
        except urllib.error.URLError:
            if attempt == 59:
                raise
            time.sleep(0.5)


def topics(work, kafka):
    kcat = ["kcat", "-b", f"127.0.0.1:{kafka}"]
    listing = json.loads(subprocess.run(kcat + ["-L", "-J"], capture_output=True, text=True, check=True).stdout)
    with open(os.path.join(work, "levada.tsv"), "w", encoding="utf-8") as file:
        for topic in (topic["topic"] for topic in listing["topics"] if topic["topic"].startswith("p.")):
            consume = kcat + ["-C", "-e", "-q", "-Z", "-t", topic, "-f", "%t\t%k\t%s\t%h\n"]
            file.write(subprocess.run(consume, capture_output=True, text=True, check=True).stdout)


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--work", required=True)
    arguments.add_argument("--levada", required=True)
    arguments.add_argument("keys", nargs="*", help="KEY=VALUE of the connector")
    options = arguments.parse_args()
    work = os.path.abspath(options.work)
    os.makedirs(work, exist_ok=True)
    server = Server(work)
    processes = [server.process]
    try:
        server.sql(read("setup.sql"))
        server.sql(read("rows.sql").replace("ID", "1"))
        config = {
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
            "topic.prefix": "p",
            "plugin.name": "pgoutput",
            "database.hostname": "127.0.0.1",
            "database.port": str(server.port),
            "database.user": "postgres",
            "database.password": "x",
            "database.dbname": "d",
            **dict(key.split("=", 1) for key in options.keys),
        }
        engine = debezium(work, config)
        processes.append(engine)
        node, kafka = levada(options.levada, work, config)
        processes.append(node)
        while server.sql("SELECT count(*) FROM pg_replication_slots WHERE active") != "2":
            time.sleep(0.5)
        for statement in filter(str.strip, read("work.sql").replace("\n", " ").split("@@")):
            server.sql(statement)
        server.sql(read("rows.sql").replace("ID", "2"))
        time.sleep(6)
        topics(work, kafka)
        engine.stdin.close()
        time.sleep(2)
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in reversed(processes):
            process.wait(30)
    compare.compare(os.path.join(work, "debezium.tsv"), os.path.join(work, "levada.tsv"))


if __name__ == "__main__":
    main()
