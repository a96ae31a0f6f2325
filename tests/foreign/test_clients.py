"""Foreign clients against the broker: bulk produce and consume in every codec, groups, commits, seek by time, and
an idempotent producer across a kill -9. Every check is on the exact result, none on time."""
import json
import random
import re
import threading
import time

import pytest

import admin
import levada
from drivers import records
from drivers.registry import DRIVERS

PARTITIONS = 6
BULK = 100_000
CODECS = [(driver.name, codec) for driver in DRIVERS.values() for codec in driver.codecs]


def base_timestamp(count):
    """So that `base + count` is not in the future, which brokers refuse from an hour on."""
    return int(time.time() * 1000) - count - 60_000


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("name", "codec"), CODECS, ids=[f"{n}-{c}" for n, c in CODECS])
def test_every_record_comes_back_once_and_in_key_order(broker, unique, tmp_path, name, codec):
    driver, topic = DRIVERS[name], unique(f"bulk-{name}-{codec}")
    admin.create_topic(broker.bootstrap, topic, PARTITIONS)
    base_ts = base_timestamp(BULK)
    made = driver.run("produce", bootstrap=broker.bootstrap, topic=topic, codec=codec, **{"from": 0}, to=BULK, base_ts=base_ts)
    assert made == {"acked": BULK}
    driver.run("consume", bootstrap=broker.bootstrap, topic=topic, out=tmp_path / "rows")
    rows = records.read_rows(tmp_path / "rows")
    records.assert_exactly_once(rows, 0, BULK)
    records.assert_key_order(rows)
    records.assert_dense_offsets(rows, PARTITIONS)
    if name != "kcat":
        assert all(row.timestamp == base_ts + row.number for row in rows)
    # What one client wrote another must read alike.
    other = DRIVERS["confluent-kafka" if name != "confluent-kafka" else "franz-go"]
    other.run("consume", bootstrap=broker.bootstrap, topic=topic, out=tmp_path / "other")
    assert sorted(records.read_rows(tmp_path / "other")) == sorted(rows)


class Member:
    """One running group member and the files it writes."""

    def __init__(self, driver, bootstrap, topic, group, path):
        self.driver, self.path = driver, path
        self.process = driver.start("group", bootstrap=bootstrap, topic=topic, group=group, out=path)

    def lines(self):
        """Rows written so far; a member that ended by itself fails the test with its own words."""
        if self.process.stdin is not None and self.process.poll() is not None:
            raise AssertionError(f"{self.driver.name}: the member ended\n{self.process.stderr.read()[-3000:]}")
        return self.path.read_bytes().count(b"\n") if self.path.exists() else 0

    def rows(self):
        return records.read_rows(self.path) if self.path.exists() else []

    def leave(self):
        self.process.stdin.close()
        self.process.stdin = None
        self.driver.finish(self.process, "group", timeout=60)


@pytest.mark.timeout(240)
def test_group_of_two_with_a_join_and_a_leave(broker, unique, tmp_path, driver):
    topic, group = unique(f"group-{driver.name}"), unique(f"members-{driver.name}")
    bootstrap, step = broker.bootstrap, 10_000
    admin.create_topic(bootstrap, topic, PARTITIONS)

    def produce(start):
        DRIVERS["confluent-kafka"].run("produce", bootstrap=bootstrap, topic=topic, codec="lz4", **{"from": start},
                                       to=start + step, base_ts=base_timestamp(start + step))

    def join(name):
        return Member(driver, bootstrap, topic, group, tmp_path / name)

    produce(0)
    first = join("first")
    levada.wait_for(lambda: first.lines() >= step, 60, "the first member has read everything")
    assert admin.members(bootstrap, group) == [PARTITIONS]

    second = join("second")
    levada.wait_for(lambda: admin.members(bootstrap, group) == [3, 3], 60, "two members share the partitions")
    produce(step)
    levada.wait_for(lambda: first.lines() + second.lines() >= 2 * step, 60, "both members together have read everything")
    assert second.lines() > 0, "the second member got nothing"

    second.leave()
    levada.wait_for(lambda: admin.members(bootstrap, group) == [PARTITIONS], 60, "the first member has all partitions again")
    produce(2 * step)
    levada.wait_for(lambda: first.lines() + second.lines() >= 3 * step, 60, "the member that stayed has read everything")
    first.leave()

    rows = first.rows() + second.rows()
    records.assert_exactly_once(rows, 0, 3 * step)
    for member in (first, second):
        numbers = {}
        for row in member.rows():
            assert numbers.get(row.key, -1) < row.number, f"{row.key} out of order"
            numbers[row.key] = row.number
    # The offsets are committed to the end, and a member that comes later starts there.
    assert admin.committed(bootstrap, group, topic) == admin.end_offsets(bootstrap, topic)
    third = join("third")
    produce(3 * step)
    levada.wait_for(lambda: third.lines() >= step, 60, "a later member has read what is new")
    third.leave()
    records.assert_exactly_once(third.rows(), 3 * step, 4 * step)


@pytest.mark.timeout(120)
def test_seek_by_time_finds_the_first_record_not_older(broker, unique, tmp_path, driver):
    topic, half = unique(f"seek-{driver.name}"), 3_000
    admin.create_topic(broker.bootstrap, topic, PARTITIONS)
    base_ts = base_timestamp(2 * half)
    for start in (0, half):
        driver.run("produce", bootstrap=broker.bootstrap, topic=topic, codec="none", **{"from": start}, to=start + half, base_ts=base_ts)
    driver.run("consume", bootstrap=broker.bootstrap, topic=topic, out=tmp_path / "rows")
    rows = records.read_rows(tmp_path / "rows")
    newest = max(row.timestamp for row in rows)
    middle = sorted(row.timestamp for row in rows)[half]
    for ts in (0, middle, newest, newest + 1000):
        expected = {str(p): None for p in range(PARTITIONS)}
        for row in rows:
            if row.timestamp >= ts and expected[str(row.partition)] is None:
                expected[str(row.partition)] = [row.offset, row.number]
        assert driver.run("seek", bootstrap=broker.bootstrap, topic=topic, ts=ts) == expected, f"timestamp {ts}"


@pytest.mark.timeout(300)
def test_idempotent_producer_across_kill9_of_the_broker(daemons, unique, tmp_path, driver):
    daemon, topic, count = daemons(), unique("idempotent"), 100_000
    admin.create_topic(daemon.bootstrap, topic, PARTITIONS)
    kill_after = random.randrange(15_000, 60_000)
    print(f"kill -9 after {kill_after} acknowledged records")
    producer = driver.start("produce", bootstrap=daemon.bootstrap, topic=topic, codec="lz4", **{"from": 0}, to=count,
                            base_ts=base_timestamp(count), idempotent=1, rate=25_000)
    reached, words = threading.Event(), []

    def watch():
        for line in producer.stderr:
            words.append(line)
            found = re.match(r"progress (\d+)", line)
            if found and int(found[1]) >= kill_after:
                reached.set()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    assert reached.wait(120), f"the producer got nowhere: {words[-5:]}"
    daemon.kill9()
    time.sleep(0.5)  # the producer meets a closed port, not only a broken connection
    daemon.start()
    producer.stdin.close()
    assert producer.wait(180) == 0, "".join(words[-20:])
    watcher.join(10)
    assert json.loads(producer.stdout.read()) == {"acked": count}
    driver.run("consume", bootstrap=daemon.bootstrap, topic=topic, out=tmp_path / "rows")
    rows = records.read_rows(tmp_path / "rows")
    records.assert_exactly_once(rows, 0, count)
    records.assert_key_order(rows)
    assert daemon.stop() == 0
