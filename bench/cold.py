"""Cold start to the first right answers (an empty data directory, then one with 50 connectors), idle memory and CPU: empty, with 50
connectors, and with 50 connectors that have moved data and came to rest."""
import json
import socket
import time
import urllib.request

from measure import Peer, connect, cpu_seconds, figure, fresh, levada, median, memory_mb
from probe import metadata_names_a_broker

CONNECTORS = 50
IDLE_SECONDS = 20
REST_SECONDS = 30
MOVED_LINES = 80_000
LINE = b"x" * 99 + b"\n"


def first_answers(home, expected):
    """Milliseconds from the process's start to GET /connectors?expand=status naming `expected` connectors, all of them
    RUNNING, and to a Metadata answer naming the broker."""
    start = time.monotonic()
    home.spawn()
    rest = kafka = None
    while rest is None or kafka is None:
        if time.monotonic() - start > 30:
            raise SystemExit(f"no answer after 30 s\n{home.log_tail()}")
        if kafka is None and answers_metadata(home.kafka_port):
            kafka = (time.monotonic() - start) * 1000
        if rest is None and running(home.rest_url) == expected:
            rest = (time.monotonic() - start) * 1000
        time.sleep(0.001)
    return rest, kafka


def answers_metadata(port):
    try:
        return metadata_names_a_broker("127.0.0.1", port)
    except (OSError, socket.timeout):
        return False


def running(url):
    """Number of connectors whose status is RUNNING; None while there is no right answer."""
    try:
        with urllib.request.urlopen(f"{url}/connectors?expand=status", timeout=5) as answer:
            listed = json.load(answer)
    except (OSError, ValueError):
        return None
    states = [entry["status"]["connector"]["state"] for entry in listed.values() if "status" in entry]
    return len(listed) if states == ["RUNNING"] * len(listed) else None


def idle(who, pids, what="idle", rest=5, **more):
    time.sleep(rest)
    before = cpu_seconds(*pids)
    time.sleep(IDLE_SECONDS)
    figure("cold", who=who, what=what, rss_mb=memory_mb("VmRSS", *pids), cpu_percent=100 * (cpu_seconds(*pids) - before) / IDLE_SECONDS, **more)


def empty_starts(runs):
    rest, kafka = [], []
    for _ in range(runs):
        home = levada.Daemon(fresh("cold"))
        try:
            r, k = first_answers(home, 0)
            rest.append(r)
            kafka.append(k)
        finally:
            home.stop()
    figure("cold", who="Levada", what="empty start", runs=runs, rest_ms=median(rest), kafka_ms=median(kafka), worst_rest_ms=max(rest),
           worst_kafka_ms=max(kafka))


def move(home, line, lines):
    """Half of the connectors read a file of so many lines into topics of their own, the others write them to files."""
    worker = connect.Connect(home.rest_url)
    path = home.directory / "in.txt"
    with open(path, "wb") as out:
        for _ in range(lines):
            out.write(line)
    for number in range(CONNECTORS // 2):
        assert worker.create(f"in-{number}", connect.levada_source(path, f"topic-{number}")).status == 201
        assert worker.create(f"out-{number}", connect.levada_sink(home.directory / f"out-{number}", f"topic-{number}")).status == 201
    levada.wait_for(lambda: running(home.rest_url) == CONNECTORS, 60, "all connectors run")
    outputs = [home.directory / f"out-{number}" for number in range(CONNECTORS // 2)]
    whole = lambda output: output.exists() and output.stat().st_size == len(line) * lines
    levada.wait_for(lambda: all(map(whole, outputs)), 300, "all sinks have written")


def after_moving():
    home = levada.Daemon(fresh("cold-moved")).start()
    try:
        move(home, LINE, MOVED_LINES)
        more = {"connectors": CONNECTORS, "moved_mb": len(LINE) * MOVED_LINES * CONNECTORS // 2 / 1e6}
        idle("Levada", [home.pid], f"idle {REST_SECONDS} s after moving data", REST_SECONDS, peak_mb=memory_mb("VmHWM", home.pid), **more)
    finally:
        home.stop()


def loaded_starts(runs):
    home = levada.Daemon(fresh("cold-50")).start()
    try:
        idle("Levada", [home.pid], connectors=0)
        move(home, b"line\n", 10)
        idle("Levada", [home.pid], connectors=CONNECTORS)
        rest, kafka = [], []
        for _ in range(runs):
            assert home.stop() == 0
            r, k = first_answers(home, CONNECTORS)
            rest.append(r)
            kafka.append(k)
        figure("cold", who="Levada", what=f"start with {CONNECTORS} connectors", runs=runs, rest_ms=median(rest), kafka_ms=median(kafka))
    finally:
        if home.process:
            home.stop()


def peer_start():
    start = time.monotonic()
    peer = Peer("broker", "connect")
    figure("cold", who="Apache Connect + Kafka", what="empty start, storage format included", ready_ms=(time.monotonic() - start) * 1000)
    try:
        idle("Apache Connect + Kafka", peer.pids(), connectors=0)
    finally:
        peer.stop()


def main(options):
    empty_starts(10)
    loaded_starts(5)
    after_moving()
    if options.peer:
        peer_start()
