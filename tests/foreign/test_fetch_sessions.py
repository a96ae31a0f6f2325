"""Incremental fetch sessions (KIP-227): the answer leaves out partitions with nothing new."""
import struct

import pytest
from kafka.record.default_records import DefaultRecordBatchBuilder

import admin
import wire

PARTITIONS = 6


def batch(*values):
    builder = DefaultRecordBatchBuilder(2, 0, False, -1, -1, -1, 1 << 20)
    for offset, value in enumerate(values):
        builder.append(offset, 1_700_000_000_000, b"key", value, [])
    return bytes(builder.build())


@pytest.fixture
def session(broker, unique):
    """An open connection, the topic, and produce/fetch helpers."""
    topic = unique("sessions")
    admin.create_topic(broker.bootstrap, topic, PARTITIONS)
    with wire.Connection(broker.bootstrap) as connection, wire.Connection(broker.bootstrap) as producer:

        def produce(partition, *values):
            error, offset = wire.read_produce(producer.call(*wire.produce(topic, partition, batch(*values))))
            assert error == 0
            return offset

        def fetch(partitions=(), **options):
            asked = [(topic, p, offset) for p, offset in partitions]
            options["forgotten"] = [(topic, p) for p in options.get("forgotten", ())]
            error, session_id, found = wire.read_fetch(connection.call(*wire.fetch(asked, **options)))
            return error, session_id, {p: entry for (_, p), entry in found.items()}

        yield produce, fetch


def test_unchanged_partitions_are_left_out(session):
    produce, fetch = session
    error, sid, found = fetch([(p, 0) for p in range(PARTITIONS)], epoch=0)
    assert error == 0 and sid != 0, "the broker opened no session"
    assert sorted(found) == list(range(PARTITIONS)), "the first answer of a session is full"

    error, same, found = fetch(session=sid, epoch=1)
    assert (error, same, found) == (0, sid, {}), "nothing changed, so nothing is told"

    produce(2, b"one")
    error, _, found = fetch(session=sid, epoch=2, max_wait_ms=5000)
    assert error == 0 and sorted(found) == [2], "only the partition with data"
    code, high_watermark, records = found[2]
    assert (code, high_watermark) == (0, 1) and b"one" in records

    error, _, found = fetch([(2, 1)], session=sid, epoch=3)
    assert (error, found) == (0, {}), "the position moved past the record"

    produce(3, b"three")
    produce(4, b"four")
    error, _, found = fetch(session=sid, epoch=4, forgotten=[3])
    assert error == 0 and sorted(found) == [4], "a forgotten partition is not told any more"


def test_wrong_epochs_unknown_and_closed_sessions_are_refused(session):
    _, fetch = session
    _, sid, _ = fetch([(0, 0)], epoch=0)
    assert fetch(session=sid, epoch=7)[0] == wire.INVALID_FETCH_SESSION_EPOCH
    assert fetch(session=sid ^ 0x55AA55, epoch=1)[0] == wire.FETCH_SESSION_ID_NOT_FOUND
    error, closed, found = fetch([(0, 0)], session=sid, epoch=-1)
    assert (error, closed, sorted(found)) == (0, 0, [0]), "epoch -1 closes the session with a full answer"
    assert fetch(session=sid, epoch=1)[0] == wire.FETCH_SESSION_ID_NOT_FOUND


def test_a_corrupt_batch_is_refused_and_the_connection_goes_on(broker, unique):
    topic = unique("corrupt")
    admin.create_topic(broker.bootstrap, topic, 1)
    good = batch(b"a", b"b")
    with wire.Connection(broker.bootstrap) as connection:
        for at in range(17, len(good)):
            bad = bytearray(good)
            bad[at] ^= 0x40
            error, _ = wire.read_produce(connection.call(*wire.produce(topic, 0, bytes(bad))))
            assert error == wire.CORRUPT_MESSAGE, f"byte {at} flipped, error {error}"
        for cut in (1, 30, 61, len(good) - 1):
            error, _ = wire.read_produce(connection.call(*wire.produce(topic, 0, good[:cut])))
            assert error != 0, f"a batch cut at {cut} was taken"
        long = good[:8] + struct.pack(">i", 0x7FFFFFFF) + good[12:]
        assert wire.read_produce(connection.call(*wire.produce(topic, 0, long)))[0] != 0
        assert wire.read_produce(connection.call(*wire.produce(topic, 0, good))) == (0, 0), "the good one is the first"
