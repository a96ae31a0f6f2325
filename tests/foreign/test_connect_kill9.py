"""file -> topic -> file while the daemon is killed with SIGKILL at random moments.

The source is at-least-once: no line missing, order kept. Levada's sink is exactly-once: its file is the topic."""
import random
import time

import pytest

import admin
import connect
import levada
import lines

LINES = 300_000
KILLS = 5


def count_lines(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0


def kill_at_random(daemon, source, kills, finished):
    """Kills and restarts the daemon until `kills` are spent or the work is done; the number of kills done."""
    for done in range(kills):
        time.sleep(source.uniform(0.05, 0.8))
        if finished():
            return done
        daemon.kill9()
        daemon.start()
    return kills


def seeded():
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    return random.Random(seed)


def read_topic(daemon, topic):
    return [message.value().decode() for message in admin.read_all(daemon.bootstrap, topic)]


def wait_until_sunk(daemon, topic, out, last):
    """Until the topic ends with line `last` and the sink's file has as many lines as the topic records."""
    def done():
        end = admin.end_offsets(daemon.bootstrap, topic)[0]
        return count_lines(out) == end and out.read_bytes().endswith(f"{lines.line(last)}\n".encode())

    levada.wait_for(done, 120, lambda: f"the sink has written up to line {last}; it has {count_lines(out)} lines, the last "
                    f"{out.read_bytes()[-80:]!r}, of {admin.end_offsets(daemon.bootstrap, topic)} records; "
                    f"{connect.Connect(daemon.rest_url).get('/connectors?expand=status')}")


@pytest.mark.timeout(600)
def test_file_to_topic_to_file_across_kill9(daemons, scratch, rounds):
    source, daemon = seeded(), daemons()
    for number in range(rounds):
        topic, path, out = f"lines-{number}", scratch / f"in-{number}", scratch / f"out-{number}"
        lines.write_lines(path, 0, LINES)
        admin.create_topic(daemon.bootstrap, topic, 1)
        worker = connect.Connect(daemon.rest_url)
        assert worker.create(f"in-{number}", connect.levada_source(path, topic)).status == 201
        assert worker.create(f"out-{number}", connect.levada_sink(out, topic)).status == 201
        kills = kill_at_random(daemon, source, KILLS, lambda: count_lines(out) >= LINES)
        wait_until_sunk(daemon, topic, out, LINES - 1)
        in_topic = read_topic(daemon, topic)
        doubled = lines.assert_at_least_once(lines.numbers(in_topic), LINES, kills)
        print(f"{kills} kills, {doubled} lines doubled by the source")
        assert out.read_text().splitlines() == in_topic, "the exactly-once sink's file is the topic, record for record"
        for name in (f"in-{number}", f"out-{number}"):
            assert worker.delete(name).status == 204
    assert daemon.stop() == 0


@pytest.mark.timeout(600)
def test_exactly_once_sink_of_six_partitions_across_kill9(daemons, scratch, rounds):
    source, daemon = seeded(), daemons()
    from drivers import records
    from drivers.registry import DRIVERS
    for number in range(rounds):
        topic, out, count = f"six-{number}", scratch / f"six-{number}", 200_000
        admin.create_topic(daemon.bootstrap, topic, 6)
        base_ts = int(time.time() * 1000) - 2 * count
        DRIVERS["confluent-kafka"].run("produce", bootstrap=daemon.bootstrap, topic=topic, codec="lz4", **{"from": 0}, to=count, base_ts=base_ts)
        worker = connect.Connect(daemon.rest_url)
        assert worker.create(f"six-{number}", connect.levada_sink(out, topic)).status == 201
        kill_at_random(daemon, source, KILLS, lambda: count_lines(out) >= count)
        levada.wait_for(lambda: count_lines(out) >= count, 120, f"the sink has written {count} lines")
        worker.put(f"/connectors/six-{number}/stop")
        worker.wait_for_states(f"six-{number}", "STOPPED")
        written = out.read_text().splitlines()
        assert sorted(written) == [records.value(i) for i in range(count)], "every record once"
        last = {}
        for text in written:
            i = int(text.split(":")[0])
            assert last.get(records.key(i), -1) < i, "order per key"
            last[records.key(i)] = i
    assert daemon.stop() == 0


@pytest.mark.timeout(600)
def test_apaches_classes_lose_nothing_across_kill9(daemons, scratch):
    source, daemon = seeded(), daemons()
    topic, path, out = "apache", scratch / "in", scratch / "out"
    lines.write_lines(path, 0, LINES)
    admin.create_topic(daemon.bootstrap, topic, 1)
    worker = connect.Connect(daemon.rest_url)
    assert worker.create("in", connect.file_source(path, topic)).status == 201
    assert worker.create("out", connect.file_sink(out, topic)).status == 201
    kills = kill_at_random(daemon, source, KILLS, lambda: count_lines(out) >= LINES)
    levada.wait_for(lambda: read_topic(daemon, topic)[-1:] == [lines.line(LINES - 1)], 60, "the source has read the whole file")
    end = admin.end_offsets(daemon.bootstrap, topic)[0]
    levada.wait_for(lambda: admin.committed(daemon.bootstrap, "connect-out", topic) == {0: end}, 60, "the sink is at the end")
    lines.assert_at_least_once(lines.numbers(read_topic(daemon, topic)), LINES, kills)
    # The sink may have torn a line at a crash and written it again; every line is there whole.
    whole = {text for text in out.read_text(errors="replace").splitlines()}
    missing = [n for n in range(LINES) if lines.line(n) not in whole]
    assert not missing, f"{len(missing)} lines missing, first {missing[:5]}"
    assert daemon.stop() == 0


def test_a_run_without_a_crash_is_byte_identical_and_survives_an_orderly_restart(daemons, scratch):
    daemon = daemons()
    path, out = scratch / "in", scratch / "out"
    lines.write_lines(path, 0, 50_000)
    worker = connect.Connect(daemon.rest_url)
    assert worker.create("in", connect.levada_source(path, "plain")).status == 201
    assert worker.create("out", connect.levada_sink(out, "plain")).status == 201
    levada.wait_for(lambda: count_lines(out) == 50_000, 60, "everything is written")
    assert out.read_bytes() == path.read_bytes()
    before = {name: worker.get(f"/connectors/{name}").body for name in ("in", "out")}
    assert daemon.stop() == 0, "orderly stop"
    daemon.start()
    # Everything resumes from the internal topics alone: configs, running state, and both offsets.
    worker.wait_for_states("in", "RUNNING", "RUNNING")
    worker.wait_for_states("out", "RUNNING", "RUNNING")
    assert {name: worker.get(f"/connectors/{name}").body for name in ("in", "out")} == before
    lines.write_lines(path, 50_000, 60_000)
    levada.wait_for(lambda: count_lines(out) == 60_000, 60, "the new lines are written, the old ones not again")
    assert out.read_bytes() == path.read_bytes()
    assert daemon.stop() == 0
