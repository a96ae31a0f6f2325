"""What a port meets in the wild: the bad connection ends, nothing else does.

A bystander produces with acks=all all the while; at the end every record it got an answer for is there."""
import pathlib
import random
import resource
import socket
import struct
import threading

import pytest
from confluent_kafka import Producer

import admin
import wire

MEGABYTE = 1_000_000


@pytest.fixture
def bystander(broker, unique):
    """A well-behaved producer that runs during the test and is checked after it."""
    topic, stop, acked, failed = unique("bystander"), threading.Event(), [], []
    admin.create_topic(broker.bootstrap, topic, 1)
    producer = Producer({"bootstrap.servers": broker.bootstrap, "acks": "all", "linger.ms": 5, "log_level": 0,
                         "message.timeout.ms": 30000})

    def run():
        number = 0
        while not stop.is_set():
            producer.produce(topic, str(number), on_delivery=lambda error, m: (failed if error else acked).append(m.value()))
            number += 1
            producer.poll(0.005)
        producer.flush(30)

    thread = threading.Thread(target=run)
    thread.start()
    yield
    stop.set()
    thread.join()
    assert not failed and acked, f"{len(failed)} of the bystander's records failed, {len(acked)} were acknowledged"
    assert [m.value() for m in admin.read_all(broker.bootstrap, topic)] == acked
    assert broker.alive(), broker.log_tail()


def resident_mb(broker):
    """Memory of a daemon of ours, None for an external broker."""
    if not broker.owned:
        return None
    for line in pathlib.Path(f"/proc/{broker.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / MEGABYTE
    raise AssertionError("no VmRSS line")


@pytest.fixture
def bounded_memory(broker):
    """Fails when the daemon's memory grew by more than 100 MB during the test."""
    before = resident_mb(broker)
    yield
    if before is not None:
        assert resident_mb(broker) - before < 100, "memory follows what a request claims, not what it holds"


def assert_serves(broker):
    with wire.Connection(broker.bootstrap) as connection:
        brokers = connection.call(*wire.metadata([])).array(lambda: None)
        assert len(brokers) == 1


@pytest.mark.parametrize("size", [1 << 30, 0x7FFFFFFF, -1, -(1 << 31), 104_857_601],
                         ids=["1GiB", "2GiB", "minus-one", "minimum", "over-the-limit"])
def test_an_impossible_length_closes_the_connection(broker, bystander, bounded_memory, size):
    with wire.Connection(broker.bootstrap) as connection:
        connection.send(struct.pack(">i", size) + b"x" * 1000)
        assert connection.closed_by_peer()
    assert_serves(broker)


def test_claimed_lengths_cost_no_memory_until_bytes_arrive(broker, bystander, bounded_memory):
    if not broker.owned:
        pytest.skip("Apache Kafka allocates what the length claims and runs out of its heap")
    connections = [wire.Connection(broker.bootstrap) for _ in range(40)]
    for connection in connections:
        connection.send(struct.pack(">i", 100_000_000) + b"x" * 100)
    assert_serves(broker)
    for connection in connections:
        connection.sock.close()


def test_random_bytes_end_only_their_own_connection(broker, bystander, bounded_memory):
    source = random.Random(20261123)
    for round_number in range(300):
        data = source.randbytes(source.randrange(1, 400))
        if round_number % 3:  # a frame of the right length, garbage inside
            data = struct.pack(">i", len(data)) + data
        if round_number % 3 == 2:  # a known API key in front of the garbage
            data = struct.pack(">ihhi", len(data) + 8, source.choice([0, 1, 2, 3, 8, 9, 10, 11, 14, 18, 19, 22, 32]),
                               source.randrange(0, 12), 1) + data
        with wire.Connection(broker.bootstrap) as connection:
            connection.send(data)
            connection.sock.shutdown(socket.SHUT_WR)
            connection.sock.settimeout(30)
            try:
                while connection.sock.recv(65536):
                    pass
            except ConnectionResetError:
                pass
    assert_serves(broker)


def test_truncated_frames_end_only_their_own_connection(broker, bystander):
    frame = wire.request(*wire.fetch([("no-such-topic", p, 0) for p in range(4)]))
    for cut in range(1, len(frame)):
        with wire.Connection(broker.bootstrap) as connection:  # the frame says more than is ever sent
            connection.send(frame[:cut])
            connection.sock.shutdown(socket.SHUT_WR)
            assert connection.closed_by_peer(), f"cut at {cut}"
    for cut in range(4, len(frame)):
        with wire.Connection(broker.bootstrap) as connection:  # the frame is whole, its body is not
            connection.send(struct.pack(">i", cut - 4) + frame[4:cut])
            connection.sock.shutdown(socket.SHUT_WR)
            assert connection.closed_by_peer(), f"body cut at {cut}"
    assert_serves(broker)


def test_counts_that_cannot_be_true_cost_nothing(broker, bystander, bounded_memory):
    bodies = [(wire.METADATA, 1, struct.pack(">i", 0x7FFFFFFF)),
              (wire.METADATA, 1, struct.pack(">ih", 1, 0x7FFF)), (wire.LIST_OFFSETS, 1, struct.pack(">ii", -1, 0x7FFFFFF0)),
              (wire.FETCH, 11, struct.pack(">iiiibiii", -1, 0, 0, 1, 0, 0, -1, 0x7FFFFFFF)),
              (wire.PRODUCE, 7, struct.pack(">hhii", -1, -1, 1000, 0x7FFFFFFF)),
              # Metadata version 12: an unsigned varint that claims 2^32 - 2 topics, and one that never ends
              (wire.METADATA, 12, b"\0\xff\xff\xff\xff\x0f"), (wire.METADATA, 12, b"\0" + b"\xff" * 40)]
    for key, version, body in bodies:
        for _ in range(10):
            with wire.Connection(broker.bootstrap) as connection:
                connection.send(wire.request(key, version, body))
                connection.sock.shutdown(socket.SHUT_WR)
                assert connection.closed_by_peer(), f"key {key} version {version} body {body!r}"
    assert_serves(broker)


def test_unknown_keys_and_versions_close_but_api_versions_answers(broker, bystander):
    for key, version in ((999, 0), (-1, 0), (wire.METADATA, 99), (wire.FETCH, -1), (4, 0)):
        with wire.Connection(broker.bootstrap) as connection:
            connection.send(wire.request(key, version, b""))
            assert connection.closed_by_peer(), f"key {key} version {version}"
    with wire.Connection(broker.bootstrap) as connection:
        newest = b"\0" + b"\x06abuse" + b"\x021" + b"\0"  # header tags, compact name and version, tags
        error, keys = wire.api_versions(connection.call(wire.API_VERSIONS, 99, newest))
        assert error == wire.UNSUPPORTED_VERSION
        assert wire.API_VERSIONS in keys
        error, keys = wire.api_versions(connection.call(wire.API_VERSIONS, 0, b""))
        assert error == 0 and keys[wire.PRODUCE][0] == 0, "the same connection goes on with a version both know"


def test_pipelined_requests_are_answered_in_order(broker, bystander, unique):
    topic = unique("pipelined")
    admin.create_topic(broker.bootstrap, topic, 1)
    requests = []
    for number in range(200):
        kind = number % 4
        if kind == 0:  # a long poll with nothing to return: what follows waits for it
            call = wire.fetch([(topic, 0, 0)], max_wait_ms=10)
        elif kind == 1:
            call = (wire.API_VERSIONS, 0, b"")
        else:
            call = wire.metadata([topic])
        requests.append(wire.request(*call, correlation=5000 + number))
    with wire.Connection(broker.bootstrap) as connection:
        connection.send(b"".join(requests))
        assert [connection.answer()[0] for _ in requests] == [5000 + number for number in range(200)]


def test_a_thousand_idle_connections_leave_room_for_others(broker, bystander, bounded_memory):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    idle = [wire.Connection(broker.bootstrap) for _ in range(1000)]
    try:
        assert_serves(broker)
        for connection in idle[::100]:
            assert wire.api_versions(connection.call(wire.API_VERSIONS, 0, b""))[0] == 0
    finally:
        for connection in idle:
            connection.sock.close()
    assert_serves(broker)


def test_a_client_that_does_not_read_its_answers_holds_nobody_up(broker, bystander, bounded_memory, unique):
    topic = unique("unread")
    admin.create_topic(broker.bootstrap, topic, 1)
    producer = Producer({"bootstrap.servers": broker.bootstrap, "log_level": 0})
    for _ in range(40):
        producer.produce(topic, b"x" * 500_000)
        producer.poll(0)
    assert producer.flush(60) == 0
    asking = []
    for _ in range(8):
        connection = wire.Connection(broker.bootstrap)
        for _ in range(10):
            connection.send(wire.request(*wire.fetch([(topic, 0, 0)])))
        asking.append(connection)
    assert_serves(broker)
    for connection in asking:
        connection.sock.close()
