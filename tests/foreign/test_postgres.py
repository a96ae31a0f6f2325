"""PostgreSQL -> topic -> PostgreSQL while daemon and server are killed with SIGKILL at random moments of snapshots and of the stream: once all
is quiet the copy equals the original, row for row. And what a user of the program sees of a source: `levada doctor`, and health."""
import collections
import contextlib
import itertools
import json
import random
import shutil
import subprocess
import tempfile
import threading
import time

import confluent_kafka
import confluent_kafka.admin
import pytest

import connect
import levada
import postgres

# `make test` has three rounds, `make test-long` ten times as many; each kills either one in a snapshot and in the stream.
KILL_ROUNDS = 3
# Slow enough to be seen and hit: 20 ms for each hundredth row.
SLOW = "CASE WHEN id % 100 = 0 THEN (SELECT count(*) FROM pg_sleep(0.02 + 0 * id)) = 1 ELSE true END"
SNAPSHOT = {"type": "blocking", "data-collections": ["public.items"],
            "additional-conditions": [{"data-collection": "public.items", "filter": SLOW}]}
ROWS = 20_000
CHURN = """DO $$ BEGIN
  INSERT INTO items (name, price, doc) SELECT 'new ' || n, n / 7.0, jsonb_build_object('n', n) FROM generate_series(1, 20) n;
  UPDATE items SET price = coalesce(price, 0) + 1, seen = now() WHERE id % 97 = {0};
  UPDATE items SET name = NULL, doc = doc || '{{"big": "x"}}' WHERE id % 89 = {0};
  DELETE FROM items WHERE id % 101 = {0};
END $$"""
SUMMARY = "SELECT count(*) || ' rows ' || md5(string_agg(md5(t::text), '' ORDER BY id)) FROM (SELECT id, name, price, seen, doc FROM items) t"


@pytest.fixture
def server():
    """A server with two databases; its directory is one that the user postgres can reach."""
    home = tempfile.mkdtemp(prefix="levada-pg-")
    server = postgres.Server(home)
    for database in ("shop", "copy"):
        server.sql(f"CREATE DATABASE {database}")
    yield server
    server.stop()
    shutil.rmtree(home)


def source(server):
    return {"connector.class": "io.debezium.connector.postgresql.PostgresConnector", "topic.prefix": "shop", "plugin.name": "pgoutput",
            "publication.autocreate.mode": "filtered", "table.include.list": "public.items", "database.hostname": "127.0.0.1",
            "database.port": str(server.port), "database.user": "postgres", "database.dbname": "shop",
            "key.converter": connect.JSON, "value.converter": connect.JSON}


def sink(server):
    return {"connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector", "topics": "shop.public.items",
            "connection.url": f"jdbc:postgresql://127.0.0.1:{server.port}/copy", "connection.username": "postgres",
            "collection.name.format": "${source.table}", "insert.mode": "upsert", "primary.key.mode": "record_key",
            "delete.enabled": "true", "schema.evolution": "basic", "key.converter": connect.JSON, "value.converter": connect.JSON}


@contextlib.contextmanager
def changes(server):
    """The table changes all the time; a statement that a crash cuts off is one that never was."""
    ended, done = threading.Event(), []

    def work():
        while not ended.wait(0.05):
            done.append(server.sql(CHURN.format(len(done) % 83), "shop", check=False))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield done
    finally:
        ended.set()
        thread.join()


def wait_until_equal(daemon, server):
    def equal():
        wanted = server.sql(SUMMARY, "shop")
        return wanted if server.sql(SUMMARY, "copy", check=False) == wanted else None

    return levada.wait_for(equal, 180, lambda: f"the copy has {server.sql(SUMMARY, 'copy', check=False)} of {server.sql(SUMMARY, 'shop')}; "
                           f"{connect.Connect(daemon.rest_url).get('/v1/connectors')}")


def reads_tables(worker):
    """Whether the source is in the midst of a snapshot, by its own account."""
    answer = worker.get("/v1/connectors/shop/progress")
    told = [task["progress"] for task in answer.body["tasks"]] if answer.status == 200 else []
    return any(progress and progress["phase"] == "snapshot" for progress in told)


def wait_for_snapshot(worker):
    """Until a snapshot runs, which is asked for again and again: one may end between two looks at it."""
    def seen():
        if reads_tables(worker):
            return True
        # A task that a crash has stopped is not there yet.
        assert worker.call("POST", "/v1/connectors/shop/snapshot", SNAPSHOT).status in (202, 409)
        end = time.monotonic() + 2
        while time.monotonic() < end:
            if reads_tables(worker):
                return True
        return False

    levada.wait_for(seen, 120, lambda: f"the table is read anew; {worker.get('/v1/connectors/shop/progress')}")


@pytest.mark.timeout(7200)
def test_the_copy_equals_the_table_after_kills_of_daemon_and_server(daemons, server, rounds):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance, daemon = random.Random(seed), daemons()
    victims, killed = {"daemon": daemon, "server": server}, collections.Counter()
    server.sql("CREATE TABLE items (id bigserial PRIMARY KEY, name text, price numeric(20, 4), seen timestamptz DEFAULT now(), doc jsonb)", "shop")
    server.sql(f"INSERT INTO items (name, price, doc) SELECT 'item ' || n, n / 3.0, '{{}}' FROM generate_series(1, {ROWS}) n", "shop")
    worker = connect.Connect(daemon.rest_url)
    assert worker.create("shop", source(server)).status == 201
    assert worker.create("copy", sink(server)).status == 201
    for number in range(KILL_ROUNDS * rounds):
        kills = list(itertools.product(victims, ("snapshot", "stream")))
        chance.shuffle(kills)
        with changes(server) as done:
            for victim, phase in kills:
                if phase == "snapshot":
                    wait_for_snapshot(worker)
                    time.sleep(chance.uniform(0, 0.2))
                else:
                    levada.wait_for(lambda: not reads_tables(worker), 120, "the snapshot ends")
                    time.sleep(chance.uniform(0.1, 1.5))
                killed[victim, "snapshot" if reads_tables(worker) else "stream"] += 1
                victims[victim].kill9()
                time.sleep(chance.uniform(0, 0.5))
                victims[victim].start()
        print(f"round {number}: {len(done)} changes, {wait_until_equal(daemon, server)}")
    print(f"killed: {dict(killed)}")
    assert len(killed) == 4, f"each in each phase: {killed}"
    assert daemon.stop() == 0


def test_tasks_whose_retries_are_used_up_go_on_once_the_server_is_back(daemons, server, unique):
    daemon = daemons(["restart.backoff.initial.ms=300", "restart.backoff.max.ms=1000"])
    server.sql("CREATE TABLE items (id int PRIMARY KEY, name text)", "shop")
    worker = connect.Connect(daemon.rest_url)
    quick = {"flush.max.retries": "1", "flush.retry.delay.ms": "50", "connection.attempts": "1", "errors.max.retries": "1"}
    assert worker.create("shop", {**source(server), **quick}).status == 201
    assert worker.create("copy", {**sink(server), **quick}).status == 201
    server.sql("INSERT INTO items VALUES (1, 'before')", "shop")
    levada.wait_for(lambda: server.sql("SELECT name FROM items", "copy", check=False) == "before", 120, "the first row arrives")
    topic = unique("rows")
    assert worker.create("other", {**sink(server), **quick, "topics": topic, "collection.name.format": "other"}).status == 201
    server.kill9()
    rows = confluent_kafka.Producer({"bootstrap.servers": daemon.bootstrap})
    field = {"type": "struct", "fields": [{"field": "id", "type": "int32"}]}
    row = json.dumps({"schema": field, "payload": {"id": 7}})
    rows.produce(topic, key=row, value=row)
    assert rows.flush(60) == 0
    for name, key in (("shop", "errors.max.retries=1"), ("other", "flush.max.retries=1")):
        trace = worker.wait_for_failure(name, timeout=120)
        assert key in trace and "RetriableException" in trace, trace
    server.start()
    server.sql("INSERT INTO items VALUES (2, 'after')", "shop")
    levada.wait_for(lambda: server.sql("SELECT id FROM other", "copy", check=False) == "7", 120, lambda: worker.get("/connectors/other/status"))
    levada.wait_for(lambda: server.sql("SELECT name FROM items WHERE id = 2", "copy", check=False) == "after", 120,
                    lambda: f"{worker.get('/connectors/shop/status')} {worker.get('/connectors/copy/status')}")
    assert daemon.stop() == 0


def rows(daemon, topic, ids, key=True, **more):
    """Produces rows of `id` and a name."""
    producer = confluent_kafka.Producer({"bootstrap.servers": daemon.bootstrap})
    of = lambda *fields: {"type": "struct", "fields": list(fields)}
    number, text = {"field": "id", "type": "int32"}, {"field": "name", "type": "string"}
    for row in ids:
        key_json = json.dumps({"schema": of(number), "payload": {"id": row}}) if key else None
        value = json.dumps({"schema": of(number, text), "payload": {"id": row, "name": "x" * more.get("width", 10)}})
        producer.produce(topic, key=key_json, value=value)
        producer.poll(0)
    assert producer.flush(60) == 0


def committed(daemon, group, topic):
    """What the group has committed of partition 0."""
    consumer = confluent_kafka.Consumer({"bootstrap.servers": daemon.bootstrap, "group.id": group})
    try:
        return consumer.committed([confluent_kafka.TopicPartition(topic, 0)], timeout=10)[0].offset
    finally:
        consumer.close()


def resident(daemon):
    """Memory of the daemon in MiB."""
    with open(f"/proc/{daemon.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) >> 10 for line in file if line.startswith("VmRSS:"))


def test_a_target_that_is_slow_and_locked_holds_up_the_records_and_nothing_else(daemons, server, unique):
    # Waits are longer than a member's poll interval and session, and more comes in than the task may hold.
    daemon, topic, count, locked = daemons(), unique("slow"), 3000, 12
    overrides = {"consumer.override.max.poll.interval.ms": "6000", "consumer.override.session.timeout.ms": "6000",
                 "consumer.override.max.poll.records": "200", "batch.size": "200"}
    server.sql("""CREATE TABLE slow (id int PRIMARY KEY, name text); CREATE TABLE writes (id int, pid int);
        CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
          $$ BEGIN IF new.id % 300 = 0 THEN PERFORM pg_sleep(1); END IF;
                   INSERT INTO writes VALUES (new.id, pg_backend_pid()); RETURN new; END $$;
        CREATE TRIGGER slow BEFORE INSERT ON slow FOR EACH ROW EXECUTE FUNCTION slow()""", "copy")
    worker = connect.Connect(daemon.rest_url)
    rows(daemon, topic, range(1))
    assert worker.create("slow", {**sink(server), **overrides, "topics": topic, "collection.name.format": "slow"}).status == 201
    levada.wait_for(lambda: server.sql("SELECT count(*) FROM slow", "copy") == "1", 60, "the first row arrives")
    holder = threading.Thread(target=server.sql, args=(f"BEGIN; LOCK TABLE slow; SELECT pg_sleep({locked}); COMMIT", "copy"))
    holder.start()
    before, most = resident(daemon), 0
    # 60 MB, far more than the task takes at once.
    rows(daemon, topic, range(1, count), width=20_000)

    def arrived():
        nonlocal most
        most = max(most, resident(daemon))
        assert worker.states("slow") == ("RUNNING", ["RUNNING"]), worker.get("/connectors/slow/status")
        return not holder.is_alive() and server.sql("SELECT count(*) FROM slow", "copy") == str(count)

    levada.wait_for(arrived, 50, lambda: server.sql("SELECT count(*) FROM slow", "copy"))
    holder.join()
    assert server.sql("SELECT count(*), count(DISTINCT id), count(DISTINCT pid) FROM writes", "copy") == f"{count}|{count}|1", \
        "every row is written once, by one session"
    levada.wait_for(lambda: committed(daemon, "connect-slow", topic) == count, 30, "the offsets are committed")
    log = daemon.log_path.read_text(encoding="utf-8")
    assert "membership lost" not in log, "it stays in its group"
    assert most - before < 200, f"{before} MiB before, at most {most}"
    assert daemon.stop() == 0


def test_a_password_that_is_changed_is_read_anew_without_being_asked(daemons, server, unique, tmp_path):
    secret, topic = tmp_path / "secret.properties", unique("rotated")
    secret.write_text("password=one\n", encoding="utf-8")
    server.sql("CREATE ROLE app LOGIN REPLICATION SUPERUSER PASSWORD 'one'")
    # The role alone has to give its password.
    with open(f"{server.data}/pg_hba.conf", "r+", encoding="ascii") as file:
        rules = file.read()
        file.seek(0)
        file.write("host all app 127.0.0.1/32 scram-sha-256\nhost replication app 127.0.0.1/32 scram-sha-256\n" + rules)
    server.sql("SELECT pg_reload_conf()")
    daemon = daemons(["restart.backoff.initial.ms=300", "restart.backoff.max.ms=1000", "config.providers=file",
                      "config.providers.file.class=org.apache.kafka.common.config.provider.FileConfigProvider",
                      f"config.providers.file.param.allowed.paths={tmp_path}"])
    server.sql("CREATE TABLE items (id int PRIMARY KEY, name text)", "shop")
    worker = connect.Connect(daemon.rest_url)
    password = f"${{file:{secret}:password}}"
    assert worker.create("shop", {**source(server), "database.user": "app", "database.password": password}).status == 201
    assert worker.create("mirror", sink(server)).status == 201
    assert worker.create("copy", {**sink(server), "topics": topic, "collection.name.format": "copied", "connection.username": "app",
                                  "connection.password": password}).status == 201
    ids = lambda table: server.sql(f"SELECT string_agg(id::text, ' ' ORDER BY id) FROM {table}", "copy", check=False)
    server.sql("INSERT INTO items VALUES (1, 'one')", "shop")
    rows(daemon, topic, [1])
    levada.wait_for(lambda: (ids("items"), ids("copied")) == ("1", "1"), 60, "the first rows arrive")
    server.sql("ALTER ROLE app PASSWORD 'two'")
    server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'")
    server.sql("INSERT INTO items VALUES (2, 'two')", "shop")
    rows(daemon, topic, [2])
    for name in ("shop", "copy"):
        trace = worker.wait_for_failure(name, timeout=60)
        assert "28P01" in trace and "'one'" not in trace and "=one" not in trace, trace
    secret.write_text("password=two\n", encoding="utf-8")
    levada.wait_for(lambda: (ids("items"), ids("copied")) == ("1 2", "1 2"), 60,
                    lambda: f"{worker.get('/connectors/shop/status')} {worker.get('/connectors/copy/status')}")
    for name in ("shop", "copy"):
        worker.wait_for_states(name, "RUNNING", "RUNNING")
    assert daemon.stop() == 0


def test_offsets_in_the_database_lead_whatever_the_group_has(daemons, server, unique):
    daemon, topic = daemons(["restart.backoff.initial.ms=300"]), unique("once")
    server.sql("CREATE TABLE once (id int, name text)", "copy")
    worker = connect.Connect(daemon.rest_url)
    # A group without offsets would begin at the end.
    once = {**sink(server), "topics": topic, "collection.name.format": "once", "exactly.once.mode": "transaction", "insert.mode": "insert",
            "primary.key.mode": "none", "delete.enabled": "false"}
    rows(daemon, topic, range(5))
    assert worker.create("once", once).status == 201
    ids = lambda: server.sql("SELECT string_agg(id::text, ' ' ORDER BY id) FROM once", "copy")
    levada.wait_for(lambda: ids() == "0 1 2 3 4", 60, ids)
    assert worker.delete("once").status == 204
    admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": daemon.bootstrap})
    levada.wait_for(lambda: gone(admin.delete_consumer_groups(["connect-once"])["connect-once"]), 30, "the group is deleted")
    rows(daemon, topic, range(5, 8))
    assert worker.create("once", {**once, "consumer.override.auto.offset.reset": "latest"}).status == 201
    levada.wait_for(lambda: ids() == "0 1 2 3 4 5 6 7", 60, lambda: f"{ids()} {worker.get('/connectors/once/status')}")

    assert worker.put("/connectors/once/stop").status == 204
    admin.delete_topics([topic])[topic].result(30)
    rows(daemon, topic, range(20, 22))
    assert worker.put("/connectors/once/resume").status == 202
    trace = worker.wait_for_failure("once")
    assert "made anew" in trace and "/connectors/NAME/offsets" in trace and "offset 8" in trace, trace
    assert worker.put("/connectors/once/stop").status == 204
    levada.wait_for(lambda: worker.call("DELETE", "/connectors/once/offsets").status == 200, 30, "the offsets are deleted")
    assert worker.put("/connectors/once/config", once).status == 200
    assert worker.put("/connectors/once/resume").status == 202
    levada.wait_for(lambda: ids() == "0 1 2 3 4 5 6 7 20 21", 60, lambda: f"{ids()} {worker.get('/connectors/once/status')}")
    assert daemon.stop() == 0


def gone(future):
    """Whether what a future stands for is done; a group with members is not deleted yet."""
    try:
        future.result(30)
        return True
    except confluent_kafka.KafkaException as error:
        return error.args[0].code() == confluent_kafka.KafkaError.GROUP_ID_NOT_FOUND
def doctor(scratch, config):
    file = scratch / "connector.json"
    file.write_text(json.dumps({"name": "shop", "config": config}))
    return subprocess.run([levada.BINARY, "doctor", file], capture_output=True, text=True, timeout=60, check=False, cwd=scratch)


def test_doctor_tells_what_a_server_lacks_and_ends_with_the_code_of_a_wrong_configuration(scratch, server):
    """The program against a server: exit code 2 with every error and the SQL to run, 0 once it has been run."""
    server.sql("CREATE TABLE items (id int PRIMARY KEY); CREATE ROLE lowly LOGIN", "shop")
    lowly = {**source(server), "database.user": "lowly"}
    server.stop()
    server.settings["wal_level"] = "replica"
    server.start()
    found = doctor(scratch, lowly)
    assert found.returncode == 2, found
    for words in ("wal_level", "database.user", "REPLICATION", "lowly"):
        assert words in found.stdout, found
    server.stop()
    server.settings["wal_level"] = "logical"
    server.start()
    assert "wal_level" not in doctor(scratch, lowly).stdout
    server.sql("ALTER ROLE lowly REPLICATION; GRANT CREATE ON DATABASE shop TO lowly; ALTER TABLE items OWNER TO lowly", "shop")
    mended = doctor(scratch, lowly)
    assert mended.returncode == 0, mended
    gone = doctor(scratch, {**lowly, "database.port": str(levada.free_port())})
    assert gone.returncode == 2 and "database.hostname" in gone.stdout, gone


def test_a_change_of_a_table_that_pauses_its_source_is_shown_as_stalled(daemons, server):
    """`schema.change.policy=pause`: Connect's own state stays RUNNING, and health tells the change and the key."""
    daemon = daemons()
    server.sql("CREATE TABLE items (id int PRIMARY KEY, name text)", "shop")
    server.sql("INSERT INTO items VALUES (1, 'before')", "shop")
    worker = connect.Connect(daemon.rest_url)
    assert worker.create("shop", {**source(server), "schema.change.policy": "pause"}).status == 201
    assert worker.create("copy", sink(server)).status == 201
    levada.wait_for(lambda: server.sql("SELECT name FROM items", "copy", check=False) == "before", 120, "the first row arrives")
    server.sql("ALTER TABLE items ADD COLUMN price int", "shop")
    server.sql("INSERT INTO items VALUES (2, 'after', 5)", "shop")
    worker.wait_for_stall("shop", "schema.change.policy", "items", "price", timeout=60)
    assert worker.states("shop") == ("RUNNING", ["RUNNING"])
    assert server.sql("SELECT count(*) FROM items", "copy") == "1"
    assert worker.put("/connectors/shop/config", {**source(server), "schema.change.policy": "evolve"}).status == 200
    levada.wait_for(lambda: server.sql("SELECT price FROM items WHERE id = 2", "copy", check=False) == "5", 120,
                    lambda: f"the row arrives; {worker.get('/v1/connectors/shop/health')}")
    assert worker.get("/v1/connectors/shop/health").body["health"] != "STALLED"
    assert daemon.stop() == 0


def test_many_new_topics_and_heartbeats_hold_nothing_up(daemons, server):
    """Each table's topic is made while batches of the others are on their way."""
    daemon, tables = daemons(), 40
    server.sql("".join(f"CREATE TABLE m{n} (id int PRIMARY KEY); INSERT INTO m{n} SELECT generate_series(1, 500);" for n in range(tables)), "shop")
    worker = connect.Connect(daemon.rest_url)
    keys = {**source(server), "table.include.list": "public.m.*,public.later.*", "heartbeat.interval.ms": "20",
            "publication.autocreate.mode": "all_tables"}
    assert worker.create("shop", keys).status == 201
    consumer = confluent_kafka.Consumer({"bootstrap.servers": daemon.bootstrap, "group.id": "counts"})

    def records(of):
        topics = [topic for topic in consumer.list_topics(timeout=10).topics if topic.startswith(of)]
        ends = [consumer.get_watermark_offsets(confluent_kafka.TopicPartition(topic, 0), timeout=10)[1] for topic in topics]
        return len(ends), sum(ends)

    wanted = tables, tables * 500
    levada.wait_for(lambda: records("shop.public.m") == wanted, 60, lambda: f"{records('shop.public.m')} of {wanted}")
    server.sql("".join(f"CREATE TABLE later{n} (id int PRIMARY KEY);" for n in range(20)), "shop")
    server.sql("".join(f"INSERT INTO later{n} VALUES (1); INSERT INTO m{n} VALUES (0);" for n in range(20)), "shop")
    levada.wait_for(lambda: records("shop.public.later") == (20, 20), 60, lambda: f"{records('shop.public.later')} of 20 tables")
    assert worker.get("/v1/connectors/shop/health").body["health"] == "HEALTHY"
    consumer.close()
    assert daemon.stop() == 0
