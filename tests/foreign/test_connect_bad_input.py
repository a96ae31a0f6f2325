"""Bad files, bad records and a full disk under connectors: a clear cause, and everything else goes on.

A neighbour (another file -> topic -> file pair in the same daemon) moves lines all the while."""
import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile
import threading
import time

import pytest
from confluent_kafka import Producer

import admin
import connect
import levada
import lines

CLASSES = ["levada", "apache"]


SOURCES = {"apache": connect.file_source, "levada": connect.levada_source}
SINKS = {"apache": connect.file_sink, "levada": connect.levada_sink}


def make_source(worker, kind, name, path, topic):
    return worker.create(name, SOURCES[kind](path, topic))


def make_sink(worker, kind, name, path, topics, **more):
    return worker.create(name, SINKS[kind](path, topics, **more))


def count_lines(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.fixture
def worker(rest):
    return connect.Connect(rest)


@pytest.fixture
def neighbour(worker, unique, scratch):
    """Lines written during the test must all arrive, in order, once."""
    name, path, out = unique("neighbour"), scratch / "neighbour-in", scratch / "neighbour-out"
    path.touch()
    assert make_source(worker, "levada", f"{name}-in", path, name).status == 201
    assert make_sink(worker, "levada", f"{name}-out", out, name).status == 201
    stop, written = threading.Event(), [0]

    def run():
        while not stop.is_set():
            lines.write_lines(path, written[0], written[0] + 10)
            written[0] += 10
            stop.wait(0.02)

    thread = threading.Thread(target=run)
    thread.start()
    yield
    stop.set()
    thread.join()
    levada.wait_for(lambda: count_lines(out) >= written[0], 60, f"the neighbour's {written[0]} lines arrive")
    assert out.read_bytes() == path.read_bytes()
    for part in ("in", "out"):
        worker.wait_for_states(f"{name}-{part}", "RUNNING", "RUNNING")
        worker.delete(f"{name}-{part}")


def values(broker, topic):
    return [message.value().decode() for message in admin.read_all(broker.bootstrap, topic)]


def wait_for_values(broker, topic, wanted):
    levada.wait_for(lambda: topic in admin.client(broker.bootstrap).list_topics(timeout=10).topics, 60, f"{topic} exists")
    levada.wait_for(lambda: len(values(broker, topic)) >= len(wanted), 60, f"{topic} has {len(wanted)} records")
    assert values(broker, topic) == wanted


def refused_or_failed(worker, answer, name, *texts):
    """A wrong path is either refused on create (400) or fails the task; both name the cause."""
    words = answer.body["message"] if answer.status == 400 else worker.wait_for_failure(name)
    assert answer.status in (201, 400), answer
    for text in texts:
        assert text.lower() in words.lower(), words
    worker.delete(name)


@pytest.mark.parametrize("kind", CLASSES)
def test_a_source_file_that_does_not_exist_yet_is_waited_for(worker, broker, neighbour, unique, scratch, kind):
    name, topic, path = unique("late"), unique("late"), scratch / "later.txt"
    assert make_source(worker, kind, name, path, topic).status == 201
    worker.wait_for_states(name, "RUNNING", "RUNNING")
    path.write_text("came late\n")
    wait_for_values(broker, topic, ["came late"])
    worker.delete(name)


@pytest.mark.parametrize("kind", CLASSES)
def test_a_source_path_that_is_a_directory_has_a_clear_cause(worker, neighbour, unique, scratch, kind):
    name, path = unique("directory"), scratch / "directory"
    path.mkdir()
    refused_or_failed(worker, make_source(worker, kind, name, path, unique("t")), name, "directory", str(path))


@pytest.mark.parametrize("kind", CLASSES)
def test_a_source_file_that_vanishes_and_comes_back(worker, broker, neighbour, unique, scratch, kind):
    name, topic, path = unique("vanish"), unique("vanish"), scratch / "vanishing.txt"
    path.write_text("first\n")
    assert make_source(worker, kind, name, path, topic).status == 201
    wait_for_values(broker, topic, ["first"])
    path.unlink()
    time.sleep(0.5)
    assert worker.states(name) == ("RUNNING", ["RUNNING"])
    path.write_text("second, in a new file\nthird\n")
    wait_for_values(broker, topic, ["first", "second, in a new file", "third"])
    worker.delete(name)


@pytest.mark.parametrize("kind", CLASSES)
def test_a_truncated_source_file_is_read_from_its_start(worker, broker, neighbour, unique, scratch, kind):
    name, topic, path = unique("truncate"), unique("truncate"), scratch / "truncated.txt"
    path.write_text("one\ntwo\nthree\n")
    assert make_source(worker, kind, name, path, topic).status == 201
    wait_for_values(broker, topic, ["one", "two", "three"])
    os.truncate(path, 0)
    time.sleep(1.5)  # the tail looks at least once a second
    with open(path, "a", encoding="utf-8") as out:
        out.write("four\n")
    wait_for_values(broker, topic, ["one", "two", "three", "four"])
    worker.delete(name)


def test_an_unreadable_source_file_has_a_clear_cause(external, unique):
    if external:
        pytest.skip("runs a daemon of its own")
    home = pathlib.Path(tempfile.mkdtemp(prefix="levada-unreadable-"))
    try:
        as_nobody = os.getuid() == 0  # root can read everything, so the daemon must be somebody else
        binary = home / "levada"
        shutil.copy(levada.BINARY, binary)
        path = home / "secret.txt"
        path.write_text("not for you\n")
        path.chmod(0)
        if as_nobody:
            nobody = pwd.getpwnam("nobody")
            os.chown(home, nobody.pw_uid, nobody.pw_gid)
        daemon = levada.Daemon(home, binary=binary, uid=nobody.pw_uid if as_nobody else None).start()
        try:
            worker = connect.Connect(daemon.rest_url)
            for kind in CLASSES:
                assert make_source(worker, kind, f"unreadable-{kind}", path, f"unreadable-{kind}").status == 201
                worker.wait_for_stall(f"unreadable-{kind}", "permission denied", str(path))
            path.chmod(0o644)
            for kind in CLASSES:  # the mend is noticed without a restart
                wait_for_values(daemon, f"unreadable-{kind}", ["not for you"])
            assert daemon.stop() == 0
        finally:
            if daemon.process:
                daemon.kill9()
    finally:
        shutil.rmtree(home)


@pytest.mark.parametrize("kind", CLASSES)
def test_bytes_that_are_no_utf8_are_replaced(worker, broker, neighbour, unique, scratch, kind):
    name, topic, path = unique("bytes"), unique("bytes"), scratch / "bytes.txt"
    path.write_bytes(b"good\nb\xffad\nnul\0inside\ncrlf\r\n\nlast\n")
    assert make_source(worker, kind, name, path, topic).status == 201
    wait_for_values(broker, topic, ["good", "b\ufffdad", "nul\0inside", "crlf", "", "last"])
    worker.delete(name)


@pytest.mark.parametrize("kind", CLASSES)
def test_a_sink_path_that_cannot_be_written_has_a_clear_cause(worker, broker, neighbour, unique, scratch, kind):
    topic = unique("t")
    producer = Producer({"bootstrap.servers": broker.bootstrap, "log_level": 0})
    admin.create_topic(broker.bootstrap, topic, 1)
    producer.produce(topic, "x")
    assert producer.flush(30) == 0
    name = unique("sink-directory")
    refused_or_failed(worker, make_sink(worker, kind, name, scratch, topic), name, "directory", str(scratch))
    name, inside = unique("sink-no-parent"), scratch / "absent" / "deep" / "out.txt"
    answer = make_sink(worker, kind, name, inside, topic)
    refused_or_failed(worker, answer, name, "does not exist", str(inside))


@pytest.mark.parametrize("tolerance", ["none", "all"])
def test_records_that_the_converter_cannot_read(worker, broker, neighbour, unique, scratch, tolerance):
    topic, name, out = unique("garbage"), unique("garbage"), scratch / "out.txt"
    admin.create_topic(broker.bootstrap, topic, 1)
    producer = Producer({"bootstrap.servers": broker.bootstrap, "log_level": 0})
    for value in (b'{"a":1}', b"\xff{not json", b'"text"'):
        producer.produce(topic, value)
    assert producer.flush(30) == 0
    answer = make_sink(worker, "levada", name, out, topic, **{
        "value.converter": connect.JSON, "value.converter.schemas.enable": "false", "errors.tolerance": tolerance})
    assert answer.status == 201, answer
    if tolerance == "none":
        trace = worker.wait_for_failure(name)
        assert "Tolerance exceeded in error handler" in trace and "\n" in trace, trace
    else:
        levada.wait_for(lambda: count_lines(out) == 2, 60, "the two good records are written")
        assert worker.states(name) == ("RUNNING", ["RUNNING"])
    worker.delete(name)


@pytest.fixture
def small_disk(scratch):
    """A tmpfs of 1 MB; grow(megabytes) enlarges it."""
    if os.getuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    path = scratch / "small"
    path.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "levada-test", str(path)], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"mount is not allowed here: {mounted.stderr.strip()}")
    yield path, lambda size: subprocess.run(["mount", "-o", f"remount,size={size}m", str(path)], check=True)
    subprocess.run(["umount", "-l", str(path)], check=True)


def test_a_sink_on_a_full_disk_stalls_alone_and_finishes_once_there_is_space(worker, broker, neighbour, small_disk, unique, scratch):
    path, grow = small_disk
    name, topic, out, count = unique("full"), unique("full"), path / "out.txt", 50_000
    lines.write_lines(scratch / "in", 0, count)
    assert make_source(worker, "levada", f"{name}-in", scratch / "in", topic).status == 201
    assert make_sink(worker, "levada", name, out, topic).status == 201
    worker.wait_for_stall(name, "full", str(out))
    worker.wait_for_states(f"{name}-in", "RUNNING", "RUNNING")
    grow(64)
    levada.wait_for(lambda: count_lines(out) >= count, 60, "the sink goes on")
    assert out.read_bytes() == (scratch / "in").read_bytes(), "nothing lost, nothing twice"
    for part in (name, f"{name}-in"):
        worker.delete(part)


def test_a_full_data_disk_refuses_appends_and_resumes(external, small_disk, unique):
    if external:
        pytest.skip("runs a daemon of its own")
    path, grow = small_disk
    grow(48)
    daemon = levada.Daemon(path / "levada", ["group.initial.rebalance.delay.ms=0"]).start()
    try:
        admin.create_topic(daemon.bootstrap, "fill", 1)
        acked, failed = [], []
        producer = Producer({"bootstrap.servers": daemon.bootstrap, "log_level": 0, "message.timeout.ms": 5000, "linger.ms": 5})
        body = os.urandom(50_000)
        for number in range(2000):
            producer.produce("fill", str(number).encode() + b":" + body,
                             on_delivery=lambda error, m: (failed if error else acked).append(m.value()))
            producer.poll(0)
            if failed:
                break
            while len(producer) > 50:
                producer.poll(0.1)
        producer.flush(30)
        assert failed and acked, f"{len(acked)} acknowledged, {len(failed)} failed on a disk of 48 MB"
        assert daemon.alive(), daemon.log_tail()
        # Reads go on, and everything acknowledged is there.
        assert {m.value() for m in admin.read_all(daemon.bootstrap, "fill")} >= set(acked)
        grow(256)
        after = Producer({"bootstrap.servers": daemon.bootstrap, "log_level": 0, "message.timeout.ms": 30000})
        after.produce("fill", b"after", on_delivery=lambda error, m: (failed if error else acked).append(m.value()))
        assert after.flush(60) == 0 and acked[-1] == b"after", "appends resume once there is space"
        daemon.kill9()
        daemon.start()
        assert {m.value() for m in admin.read_all(daemon.bootstrap, "fill")} >= set(acked)
        assert daemon.stop() == 0
    finally:
        if daemon.process:
            daemon.kill9()
