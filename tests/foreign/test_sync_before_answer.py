"""A trace of system calls: with acks=all the segment file is synced before the answer leaves the socket.

kill -9 can't show this, since the page cache survives it. The same check finds no sync under ack.durability=page-cache,
which shows that it can fail."""
import itertools
import re
import shutil
import signal
import subprocess

import pytest
from kafka.record.default_records import DefaultRecordBatchBuilder

import admin
import levada
import wire

ROUNDS = 20
CALLS = "write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,fdatasync,fsync"


def batch(text):
    builder = DefaultRecordBatchBuilder(2, 0, False, -1, -1, -1, 1 << 20)
    builder.append(0, 1_700_000_000_000, b"key", text, [])
    return bytes(builder.build())


def events(trace, segment, port):
    """The order of `write` to the segment, `sync` of the segment (when it has ended) and `answer` on our connection."""
    unfinished = {}
    for line in trace.splitlines():
        found = re.match(r"(\d+) +(.*)", line)
        if not found:
            continue
        pid, text = found.groups()
        resumed = re.match(r"<\.\.\. (\w+) resumed>", text)
        call = unfinished.pop(pid, "") + text if resumed else text
        name = re.match(r"(\w+)\(", call)
        if not name:
            continue
        on_segment, on_socket = segment in call, re.search(rf"TCP:\[[^\]]*:{port}\]", call)
        ended = "<unfinished ...>" not in text
        if not ended:
            unfinished[pid] = text.replace("<unfinished ...>", "")
        if name[1] in ("fdatasync", "fsync"):
            if on_segment and ended and call.rstrip().endswith("= 0"):
                yield "sync"
        elif on_segment and not resumed:
            yield "write"
        elif on_socket and not resumed:
            yield "answer"


def traced_produce(daemon, topic, tmp_path):
    """The events of ROUNDS produce requests, one at a time on one connection."""
    admin.create_topic(daemon.bootstrap, topic, 1)
    trace = tmp_path / "trace"
    with wire.Connection(daemon.bootstrap) as connection:
        assert wire.read_produce(connection.call(*wire.produce(topic, 0, batch(b"warm-up")))) == (0, 0)
        tracer = subprocess.Popen(["strace", "-f", "-yy", "-s", "0", "-e", f"trace={CALLS}", "-o", str(trace), "-p", str(daemon.pid)],
                                  stderr=subprocess.PIPE, text=True, preexec_fn=levada.die_with_parent)
        attached = tracer.stderr.readline()
        if "attached" not in attached:
            pytest.skip(f"strace may not attach here: {attached.strip()}")
        for number in range(ROUNDS):
            error, offset = wire.read_produce(connection.call(*wire.produce(topic, 0, batch(b"%d" % number))))
            assert (error, offset) == (0, number + 1)
        tracer.send_signal(signal.SIGINT)
        tracer.wait(30)
        port = connection.sock.getsockname()[1]
    return list(events(trace.read_text(errors="replace"), f"{topic}-0/00000000000000000000.log", port))


@pytest.fixture
def traced(tmp_path):
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    return tmp_path


def test_a_sync_ends_before_each_answer(daemons, traced):
    seen = traced_produce(daemons(), "synced", traced)
    collapsed = [event for event, _ in itertools.groupby(seen)]  # a write or an answer may take several calls
    assert collapsed == ["write", "sync", "answer"] * ROUNDS, seen


def test_page_cache_acks_do_not_wait_for_a_sync(daemons, traced):
    seen = traced_produce(daemons(["ack.durability=page-cache"]), "unsynced", traced)
    assert seen.count("answer") >= ROUNDS and "sync" not in seen, seen
