"""PostgreSQL's source: snapshot, streaming catch-up and latency beside Debezium on Apache Connect.

Rows have 8 columns and go as schemaless JSON. The ideals are COPY to /dev/null for the snapshot, and pg_recvlogical into
/dev/null for streaming. CPU is that of the worker and the broker together."""
import json
import os
import subprocess
import threading
import time

import confluent_kafka
import pg8000.native
from measure import Peer, connect, cpu_seconds, daemon, figure, fresh, levada, median, memory_mb

import admin
import postgres

TABLE = ("CREATE TABLE items (id bigserial PRIMARY KEY, name text, qty int, price numeric(12,2), ts timestamptz, doc jsonb, "
         "ok bool, uid uuid)")
FILL = ("INSERT INTO items (name, qty, price, ts, doc, ok, uid) SELECT 'item name ' || g, g % 1000, (g % 100000) / 100.0, now(), "
        "jsonb_build_object('a', g, 'b', 'text ' || g, 'c', array[1, 2, 3]), g % 2 = 0, gen_random_uuid() FROM generate_series(1, {}) g")
CHURN = ("DO $$ BEGIN FOR i IN 1..{} LOOP IF i % 2 = 0 THEN INSERT INTO items (name, qty, price, ts, doc, ok, uid) VALUES ('new ' || i, "
         "i % 1000, i / 100.0, now(), jsonb_build_object('a', i, 'b', 'text ' || i), true, gen_random_uuid()); ELSE UPDATE items SET "
         "qty = qty + 1, name = 'upd ' || i WHERE id = i; END IF; IF i % 100 = 0 THEN COMMIT; END IF; END LOOP; END $$")
LATENCY_RATE = 100
LIMIT = 400.0


def source(server, **more):
    return {"connector.class": "io.debezium.connector.postgresql.PostgresConnector", "tasks.max": "1", "database.hostname": "127.0.0.1",
            "database.port": str(server.port), "database.user": "postgres", "database.password": "x", "database.dbname": "postgres",
            "topic.prefix": "bench", "plugin.name": "pgoutput", "slot.name": "bench", "publication.name": "bench",
            "publication.autocreate.mode": "filtered", "table.include.list": "public.items", "snapshot.mode": "initial",
            "key.converter": connect.JSON, "value.converter": connect.JSON, "key.converter.schemas.enable": "false",
            "value.converter.schemas.enable": "false", **more}


class End:
    """The end offset of the events' topic."""

    def __init__(self, bootstrap):
        self.consumer = confluent_kafka.Consumer({"bootstrap.servers": bootstrap, "group.id": "end"})
        self.partition = confluent_kafka.TopicPartition("bench.public.items", 0)

    def get(self):
        try:
            return self.consumer.get_watermark_offsets(self.partition, timeout=10, cached=False)[1]
        except confluent_kafka.KafkaException:
            return 0

    def wait(self, count, explain):
        start = time.monotonic()
        while self.get() < count:
            if time.monotonic() - start > LIMIT:
                raise SystemExit(f"{self.get()} of {count} events after {LIMIT} s: {explain()}")
            time.sleep(0.005)
        return time.monotonic()


def expect(answer, status):
    assert answer.status == status, answer


def snapshot(who, worker, end, pids, server, rows):
    before, start = cpu_seconds(*pids), time.monotonic()
    expect(worker.create("bench", source(server)), 201)
    explain = lambda: worker.get("/connectors/bench/status")
    first, last = end.wait(1, explain), end.wait(rows, explain)
    figure("postgres", what="snapshot", who=who, rows=rows, first_after_post_s=first - start, rows_per_s=int(rows / (last - first)),
           rows_per_s_from_post=int(rows / (last - start)), cpu_s_per_million=(cpu_seconds(*pids) - before) / rows * 1e6,
           peak_rss_mb=memory_mb("VmHWM", *pids))


def catch_up(who, worker, end, pids, server, events):
    expect(worker.put("/connectors/bench/stop"), 204)
    time.sleep(2)
    base = end.get()
    server.sql(CHURN.format(events))
    before, start = cpu_seconds(*pids), time.monotonic()
    expect(worker.put("/connectors/bench/resume"), 202)
    explain = lambda: worker.get("/connectors/bench/status")
    first, last = end.wait(base + 1, explain), end.wait(base + events, explain)
    figure("postgres", what="catch-up", who=who, events=events, first_after_s=first - start, events_per_s=int(events / (last - first)),
           events_per_s_from_resume=int(events / (last - start)), cpu_s_per_million=(cpu_seconds(*pids) - before) / events * 1e6,
           peak_rss_mb=memory_mb("VmHWM", *pids))


def latency(who, variant, bootstrap, end, pids, server, seconds):
    seen, committed, stop, base = {}, {}, threading.Event(), end.get()

    def read():
        consumer = confluent_kafka.Consumer({"bootstrap.servers": bootstrap, "group.id": "latency", "fetch.wait.max.ms": 10})
        consumer.assign([confluent_kafka.TopicPartition("bench.public.items", 0, base)])
        while not stop.is_set():
            message = consumer.poll(0.1)
            if message and not message.error():
                seen[json.loads(message.value())["after"]["id"]] = time.monotonic()
        consumer.close()

    reader = threading.Thread(target=read)
    reader.start()
    database = pg8000.native.Connection("postgres", host="127.0.0.1", port=server.port, database="postgres")
    time.sleep(1)
    before, start = cpu_seconds(*pids), time.monotonic()
    for number in range(seconds * LATENCY_RATE):
        time.sleep(max(0.0, start + number / LATENCY_RATE - time.monotonic()))
        rows = database.run("INSERT INTO items (name, qty, price, ts, doc, ok, uid) VALUES ('latency', 1, 1.5, now(), '{}', true, "
                            "gen_random_uuid()) RETURNING id")
        committed[rows[0][0]] = time.monotonic()
    time.sleep(3)
    stop.set()
    reader.join()
    used = cpu_seconds(*pids) - before
    waits = sorted((seen[key] - at) * 1000 for key, at in committed.items() if key in seen)
    figure("postgres", what="latency", who=who, variant=variant, samples=len(waits), missing=len(committed) - len(waits),
           p50_ms=median(waits), p99_ms=waits[int(len(waits) * 0.99)], max_ms=waits[-1], cpu_percent=used / (seconds + 3) * 100)


def measure_source(who, rest_url, bootstrap, pids, server, options):
    for slot in server.sql("SELECT slot_name FROM pg_replication_slots").split():
        server.sql(f"SELECT pg_drop_replication_slot('{slot}')")
    server.sql("DROP TABLE IF EXISTS items")
    server.sql("DROP PUBLICATION IF EXISTS bench")
    server.sql(TABLE)
    server.sql(FILL.format(options.rows))
    server.sql("VACUUM ANALYZE items")
    server.sql("CHECKPOINT")
    admin.create_topic(bootstrap, "bench.public.items", 1)
    time.sleep(1)
    worker, end = connect.Connect(rest_url), End(bootstrap)
    snapshot(who, worker, end, pids, server, options.rows)
    for _ in range(options.runs):
        time.sleep(3)
        catch_up(who, worker, end, pids, server, options.events)
    time.sleep(3)
    latency(who, "default", bootstrap, end, pids, server, 15)
    if who != "Levada":
        expect(worker.put("/connectors/bench/config", source(server, **{"poll.interval.ms": "10"})), 200)
        time.sleep(5)
        latency(who, "poll.interval.ms=10", bootstrap, end, pids, server, 15)
    expect(worker.delete("bench"), 204)
    end.consumer.close()


def ideals(server, options):
    start = time.monotonic()
    server.sql("COPY items TO '/dev/null'")
    figure("postgres", what="snapshot", who="COPY to /dev/null", rows=options.rows, rows_per_s=int(options.rows / (time.monotonic() - start)))
    receive = [f"{postgres.BIN}/pg_recvlogical", "-h", "127.0.0.1", "-p", str(server.port), "-U", "postgres", "-d", "postgres", "-S", "ideal"]
    subprocess.run([*receive, "--create-slot", "-P", "pgoutput"], check=True)
    server.sql("CREATE PUBLICATION ideal FOR TABLE items")
    server.sql(CHURN.format(options.events))
    end = server.sql("SELECT pg_current_wal_lsn()")
    start = time.monotonic()
    subprocess.run([*receive, "--start", "-f", "/dev/null", "-o", "proto_version=1", "-o", "publication_names=ideal", "-E", end, "--no-loop"],
                   check=True, stderr=subprocess.DEVNULL)
    figure("postgres", what="catch-up", who="pg_recvlogical to /dev/null", events=options.events,
           events_per_s=int(options.events / (time.monotonic() - start)))
    subprocess.run([*receive, "--drop-slot"], check=True)
    server.sql("DROP PUBLICATION ideal")


def open_above(home):
    """Lets the user of the database's server in."""
    for above in (home, *home.parents):
        if os.geteuid() == 0 and not os.stat(above).st_mode & 0o001:
            os.chmod(above, os.stat(above).st_mode | 0o011)


def main(options):
    home = fresh("postgres")
    open_above(home)
    # Nothing of the server's own comes between: the windows of some are shorter than a vacuum.
    server = postgres.Server(home / "pg", shared_buffers="512MB", max_wal_size="8GB", max_replication_slots="10", autovacuum="off",
                             checkpoint_timeout="1h")
    try:
        node = daemon("postgres-levada")
        try:
            measure_source("Levada", node.rest_url, node.bootstrap, [node.pid], server, options)
        finally:
            node.stop()
        ideals(server, options)
        if options.peer:
            os.environ["PEER_PLUGINS"] = str(levada.TOOLS / "debezium")
            peer = Peer("broker", "connect")
            try:
                measure_source("Debezium", peer.rest_url, peer.bootstrap, peer.pids(), server, options)
            finally:
                peer.stop()
    finally:
        server.stop()
