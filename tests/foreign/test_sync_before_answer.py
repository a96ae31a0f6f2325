"""A trace of system calls: with acks=all the segment file, or the file system it is on, is synced before the answer
leaves the socket.

kill -9 can't show this, since the page cache survives it. The same check finds no sync under ack.durability=page-cache,
which shows that it can fail."""
import itertools
import os
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
CALLS = "write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,fdatasync,fsync,syncfs"


def batch(text):
    builder = DefaultRecordBatchBuilder(2, 0, False, -1, -1, -1, 1 << 20)
    builder.append(0, 1_700_000_000_000, b"key", text, [])
    return bytes(builder.build())


def device(path):
    """The file system a path is on; None when there is nothing (any more)."""
    try:
        return os.stat(path).st_dev
    except OSError:
        return None


def is_on_file_system_of(call, segment):
    """Whether a syncfs was called with a descriptor of something on the segment's file system. Its arguments are `FD</path>`."""
    synced = re.match(r"syncfs\(\d+<([^>]*)>", call)
    return bool(synced) and device(synced[1]) is not None and device(synced[1]) == device(segment)


def events(trace, segment, port):
    """The order of `write` to the segment, `answer` on our connection, and what made the segment durable, when it has ended:
    `sync` of the segment itself or `syncfs` of its file system. Either counts only if it began after the last write."""
    begun = ended = 0  # writes to the segment
    unfinished, covers = {}, {}  # by thread: the call so far; for a sync, the writes that had been begun, if all of them had ended
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
        done = "<unfinished ...>" not in text
        if not done:
            unfinished[pid] = text.replace("<unfinished ...>", "")
        if name[1] in ("fdatasync", "fsync", "syncfs"):
            if not resumed:
                covers[pid] = begun if begun == ended else None
            if done and call.rstrip().endswith("= 0") and covers.pop(pid, None) == begun:
                if name[1] == "syncfs" and is_on_file_system_of(call, segment):
                    yield "syncfs"
                elif name[1] != "syncfs" and on_segment:
                    yield "sync"
        elif on_segment:
            begun, ended = begun + (not resumed), ended + done
            if not resumed:
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
    segment = daemon.data_dir.resolve() / "log" / f"{topic}-0" / "00000000000000000000.log"
    assert segment.exists()
    return list(events(trace.read_text(errors="replace"), str(segment), port))


@pytest.fixture
def traced(tmp_path):
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    return tmp_path


def assert_synced_before_each_answer(seen, sync):
    collapsed = [event for event, _ in itertools.groupby(seen)]  # a write or an answer may take several calls
    assert collapsed == ["write", sync, "answer"] * ROUNDS, seen


def test_a_sync_ends_before_each_answer(daemons, traced):
    assert_synced_before_each_answer(traced_produce(daemons(), "synced", traced), "sync")


def can_sync_whole_file_systems(path):
    """Whether the broker uses syncfs here: Linux 5.17 or newer, on ext4 or XFS."""
    release = tuple(int(part) for part in re.findall(r"\d+", os.uname().release)[:2])
    kind = subprocess.run(["findmnt", "-n", "-o", "FSTYPE", "-T", str(path)], capture_output=True, text=True).stdout.strip()
    return release >= (5, 17) and kind in ("ext4", "xfs")


def test_a_syncfs_ends_before_each_answer(daemons, traced):
    if not can_sync_whole_file_systems(traced):
        pytest.skip("syncfs is not used on this kernel or file system")
    seen = traced_produce(daemons(["log.syncfs.min.files=1"]), "synced-together", traced)
    assert_synced_before_each_answer(seen, "syncfs")


def test_page_cache_acks_do_not_wait_for_a_sync(daemons, traced):
    seen = traced_produce(daemons(["ack.durability=page-cache"]), "unsynced", traced)
    assert seen.count("answer") >= ROUNDS and "sync" not in seen and "syncfs" not in seen, seen


def test_only_a_sync_of_the_right_file_system_after_the_write_counts(tmp_path):
    segment = tmp_path / "0.log"
    segment.touch()
    write = f"1 pwritev(7<{segment}>, ..., 2, 0) = 9\n"
    answer = "3 sendto(8<TCP:[127.0.0.1:9->127.0.0.1:5]>, ...) = 4\n"

    def of(trace):
        return list(events(trace, str(segment), 5))

    assert of(f"{write}2 syncfs(4<{tmp_path}>) = 0\n{answer}") == ["write", "syncfs", "answer"]
    assert of(f"{write}2 fdatasync(7<{segment}>) = 0\n{answer}") == ["write", "sync", "answer"]
    for no_sync in ("syncfs(4</proc>) = 0", f"syncfs(4<{tmp_path}>) = -1 EIO (Input/output error)", f"fdatasync(7<{tmp_path}/1.log>) = 0",
                    "syncfs(4</nowhere/at/all>) = 0"):
        assert of(f"{write}2 {no_sync}\n{answer}") == ["write", "answer"], no_sync
    begun_before = f"2 syncfs(4<{tmp_path}> <unfinished ...>\n{write}2 <... syncfs resumed>) = 0\n{answer}"
    assert of(begun_before) == ["write", "answer"]
    during_write = (f"1 pwritev(7<{segment}>, ..., 2, 0 <unfinished ...>\n2 fdatasync(7<{segment}>) = 0\n"
                    f"1 <... pwritev resumed>) = 9\n{answer}")
    assert of(during_write) == ["write", "answer"]
    assert of(f"{write}2 syncfs(4<{tmp_path}> <unfinished ...>\n2 <... syncfs resumed>) = 0\n{answer}") == ["write", "syncfs", "answer"]
