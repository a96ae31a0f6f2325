"""PostgreSQL's sink: upserts of change events beside Debezium's JDBC sink on Apache Connect, and COPY as the ideal.

The events are those of a snapshot of a table with 8 columns, JSON with schemas; both sinks read the same bytes. Each table is
filled twice: once empty, once over the rows that are there. CPU is that of the worker and the broker together."""
import os
import time

import confluent_kafka
from measure import Peer, connect, cpu_seconds, daemon, figure, fresh, levada, memory_mb

import admin
import postgres
import postgres_bench

TOPIC = "bench.public.items"
LIMIT = 600.0


def sink(server, table, **more):
    return {"connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector", "tasks.max": "1", "topics": TOPIC,
            "connection.url": f"jdbc:postgresql://127.0.0.1:{server.port}/postgres", "connection.username": "postgres",
            "connection.password": "x", "insert.mode": "upsert", "primary.key.mode": "record_key", "schema.evolution": "basic",
            "collection.name.format": table, "key.converter": connect.JSON, "value.converter": connect.JSON, **more}


def messages(bootstrap, count):
    consumer = confluent_kafka.Consumer({"bootstrap.servers": bootstrap, "group.id": "copy"})
    consumer.assign([confluent_kafka.TopicPartition(TOPIC, 0, 0)])
    while count > 0:
        for message in consumer.consume(1000, timeout=10):
            count -= 1
            yield message
    consumer.close()


def copy(source, target, count):
    """The same events in the peer's log."""
    producer = confluent_kafka.Producer({"bootstrap.servers": target, "linger.ms": 20, "queue.buffering.max.kbytes": 1 << 20})
    for message in messages(source, count):
        while len(producer) > 50_000:
            producer.poll(0.1)
        producer.produce(TOPIC, key=message.key(), value=message.value())
    producer.flush()


def written(server, table, since):
    """Rows that transactions from `since` on have written."""
    if server.sql(f"SELECT to_regclass('{table}') IS NULL") == "t":
        return 0
    return int(server.sql(f"SELECT count(*) FROM {table} WHERE xmin::text::bigint >= {since}"))


def fill(who, variant, worker, pids, server, table, options, **more):
    for again in (False, True):
        name = f"{table}-{int(again)}"
        since = server.sql("SELECT txid_current()")
        before, start = cpu_seconds(*pids), time.monotonic()
        config = sink(server, table, **{"consumer.override.auto.offset.reset": "earliest", **more})
        postgres_bench.expect(worker.create(name, config), 201)
        while written(server, table, since) < options.upserts:
            status = worker.get(f"/connectors/{name}/status")
            if time.monotonic() - start > LIMIT or '"FAILED"' in status.text:
                raise SystemExit(f"not all rows after {time.monotonic() - start:.0f} s: {status}")
            time.sleep(0.2)
        taken = time.monotonic() - start
        figure("sink", who=who, variant=variant, rows_there=again, rows=options.upserts, rows_per_s_from_post=int(options.upserts / taken),
               cpu_s_per_million=(cpu_seconds(*pids) - before) / options.upserts * 1e6, peak_rss_mb=memory_mb("VmHWM", *pids))
        postgres_bench.expect(worker.delete(name), 204)
        time.sleep(1)


def produce(server, node, options):
    """The events, from Levada's own source."""
    server.sql(postgres_bench.TABLE)
    server.sql(postgres_bench.FILL.format(options.upserts))
    admin.create_topic(node.bootstrap, TOPIC, 1)
    worker, end = connect.Connect(node.rest_url), postgres_bench.End(node.bootstrap)
    schemas = {"key.converter.schemas.enable": "true", "value.converter.schemas.enable": "true"}
    postgres_bench.expect(worker.create("source", postgres_bench.source(server, **schemas)), 201)
    end.wait(options.upserts, lambda: worker.get("/connectors/source/status"))
    postgres_bench.expect(worker.delete("source"), 204)
    end.consumer.close()
    first = next(messages(node.bootstrap, 1))
    print(f"         events of {len(first.value())} bytes", flush=True)


def ideal(server, options):
    file = os.path.join(server.home, "items")
    server.sql(f"COPY items TO '{file}'")
    server.sql("CREATE TABLE ideal (LIKE items INCLUDING ALL)")
    start = time.monotonic()
    server.sql(f"COPY ideal FROM '{file}'")
    figure("sink", who="COPY FROM a file", rows=options.upserts, rows_per_s=int(options.upserts / (time.monotonic() - start)))


def main(options):
    home = fresh("postgres-sink")
    postgres_bench.open_above(home)
    server = postgres.Server(home / "pg", shared_buffers="512MB", max_wal_size="4GB", max_replication_slots="10")
    node = peer = None
    try:
        node = daemon("postgres-sink-levada")
        produce(server, node, options)
        worker = connect.Connect(node.rest_url)
        fill("Levada", "defaults", worker, [node.pid], server, "levada", options)
        ideal(server, options)
        if options.peer:
            os.environ["PEER_PLUGINS"] = str(levada.TOOLS / "debezium")
            peer = Peer("broker", "connect")
            admin.create_topic(peer.bootstrap, TOPIC, 1)
            copy(node.bootstrap, peer.bootstrap, options.upserts)
            node.stop()
            worker = connect.Connect(peer.rest_url)
            fill("Debezium", "defaults", worker, peer.pids(), server, "debezium", options)
            tuned = {"batch.size": "5000", "consumer.override.max.poll.records": "5000", "consumer.override.max.partition.fetch.bytes": "16777216",
                     "connection.url": f"jdbc:postgresql://127.0.0.1:{server.port}/postgres?reWriteBatchedInserts=true"}
            fill("Debezium", "tuned", worker, peer.pids(), server, "tuned", options, **tuned)
    finally:
        for started in (node, peer, server):
            if started is not None:
                started.stop()
