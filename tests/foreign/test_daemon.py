"""The daemon as a process: what it refuses to start with, and with which words and exit code; orderly stops; plugins."""
import os
import signal
import socket
import subprocess

import pytest

import connect
import levada

VALIDATION, ENVIRONMENT = 2, 3


@pytest.fixture(autouse=True)
def own_binary(external):
    if external:
        pytest.skip("is about Levada's own process")


def refused(*options, code, words, environment=None, data_dir=None, tmp_path=None):
    """`levada serve` must end by itself with `code`, one line of cause that holds `words`, and no backtrace."""
    command = [str(levada.BINARY), "serve", "--data-dir", str(data_dir or tmp_path / "data"), *map(str, options)]
    for listener in ("--kafka-listen", "--rest-listen"):
        if listener not in options:
            command += [listener, f"127.0.0.1:{levada.free_port()}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL,
                          env={**os.environ, **(environment or {})}, preexec_fn=levada.die_with_parent)
    assert done.returncode == code, f"exit {done.returncode}, not {code}: {done.stderr}"
    assert done.stdout == "", "stdout is for data"
    for word in words:
        assert word in done.stderr, done.stderr
    assert "panicked" not in done.stderr and "backtrace" not in done.stderr.lower(), done.stderr
    cause = [line for line in done.stderr.splitlines() if line.startswith("levada:") or "error" in line.lower()]
    assert len(cause) == 1, f"one line of cause: {done.stderr}"


def test_a_second_daemon_on_the_same_data_directory_is_refused(daemons, tmp_path):
    first = daemons()
    refused(data_dir=first.data_dir, code=ENVIRONMENT, words=[str(first.data_dir)])
    assert connect.Connect(first.rest_url).get("/").status == 200
    first.kill9()
    first.start()  # a lock left by kill -9 is no lock


@pytest.mark.parametrize("which", ["--kafka-listen", "--rest-listen"])
def test_a_taken_port_is_refused(tmp_path, which):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        refused(which, address, code=ENVIRONMENT, words=[address], tmp_path=tmp_path)


def test_a_data_directory_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "data"
    refused(data_dir=path, code=ENVIRONMENT, words=[str(path)])


def test_a_corrupt_config_file_is_refused(tmp_path):
    config = tmp_path / "levada.toml"
    config.write_text("[broker\nlog.retention.ms = ")
    refused("--config", config, code=VALIDATION, words=[str(config)], tmp_path=tmp_path)
    refused("--config", tmp_path / "absent.toml", code=VALIDATION, words=["absent.toml"], tmp_path=tmp_path)


@pytest.mark.parametrize(("setting", "words"), [
    ("group.initial.rebalance.dely.ms=0", ["group.initial.rebalance.dely.ms", "group.initial.rebalance.delay.ms"]),
    ("offset.flush.interval.ms=soon", ["offset.flush.interval.ms", "soon"]),
    ("ack.durability=sometimes", ["ack.durability", "sometimes"])])
def test_unknown_keys_and_bad_values_are_refused(tmp_path, setting, words):
    refused("--set", setting, code=VALIDATION, words=words, tmp_path=tmp_path)


def test_an_unknown_variable_of_ours_is_refused(tmp_path):
    refused(code=VALIDATION, words=["LEVADA_WORKER_OFSET_FLUSH_INTERVAL_MS"], environment={"LEVADA_WORKER_OFSET_FLUSH_INTERVAL_MS": "1"},
            tmp_path=tmp_path)


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_signals_stop_it_in_order(daemons, sign):
    daemon = daemons()
    daemon.process.send_signal(sign)
    assert daemon.process.wait(30) == 0, daemon.log_tail()


def test_files_that_are_no_plugins_are_named_and_left_out(tmp_path):
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "libnothing.so").write_bytes(b"\x7fELF but no more than that")
    (plugins / "notes.txt").write_text("not a library")
    daemon = levada.Daemon(tmp_path / "levada", ["plugin.placement=dylib"], plugin_path=plugins).start()
    try:
        assert "libnothing.so" in daemon.log_path.read_text()
        worker = connect.Connect(daemon.rest_url)
        (refused_file,) = worker.get("/v1/plugins").body["refused"]
        assert refused_file["path"] == str(plugins / "libnothing.so") and refused_file["reason"]
        assert worker.get("/connector-plugins").status == 200
        assert daemon.stop() == 0
    finally:
        if daemon.process:
            daemon.kill9()
