"""Starts, kills and stops one Levada daemon for the cross-process suites; the only file that knows its command line.

A test gets either a `Daemon` that this run owns, or, when LEVADA_TEST_BOOTSTRAP (and LEVADA_TEST_REST) name a
running broker and worker, an `External` one: that is how the suites themselves are checked against Apache Kafka.
Every process started here is ended by its own pid, and dies with the test run (PR_SET_PDEATHSIG)."""
import ctypes
import os
import pathlib
import random
import signal
import socket
import subprocess
import time

import requests

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("LEVADA_BIN", ROOT / "target/release/levada"))
TOOLS = ROOT / "target/test-tools"
START_TIMEOUT = 30.0
STOP_TIMEOUT = 30.0
_LIBC = ctypes.CDLL(None)


def die_with_parent():
    """For preexec_fn: the child gets SIGKILL when this test run ends, however it ends."""
    _LIBC.prctl(1, signal.SIGKILL)


def free_port():
    """A loopback port nobody listens on right now, below those that clients' connections are given."""
    while True:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", random.randrange(12_000, 32_000)))
                return probe.getsockname()[1]
            except OSError:
                continue


def wait_for(condition, timeout, what):
    """Polls until `condition()` is truthy and returns its value; fails with `what` after `timeout` seconds."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"after {timeout} s still not so: {what() if callable(what) else what}")
        time.sleep(0.05)


class External:
    """A broker (and Connect worker) somebody else runs: Apache Kafka as the oracle of these suites."""

    owned = False

    def __init__(self, bootstrap, rest_url, data_dir=None):
        self.bootstrap = bootstrap
        self.rest_url = rest_url
        self.data_dir = pathlib.Path(data_dir) if data_dir else None

    def alive(self):
        return True

    def log_tail(self):
        return "(external broker: no log here)"


class Daemon:
    """One `levada serve` on free loopback ports and a directory of its own."""

    owned = True

    def __init__(self, directory, settings=(), plugin_path=None, binary=BINARY, uid=None):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.data_dir = self.directory / "data"
        self.log_path = self.directory / "levada.log"
        self.kafka_port = free_port()
        self.rest_port = free_port()
        self.bootstrap = f"127.0.0.1:{self.kafka_port}"
        self.rest_url = f"http://127.0.0.1:{self.rest_port}"
        self.settings = list(settings)
        self.plugin_path = plugin_path
        self.binary = binary
        self.uid = uid
        self.process = None

    def command(self):
        command = [str(self.binary), "serve", "--data-dir", str(self.data_dir),
                   "--kafka-listen", self.bootstrap, "--rest-listen", f"127.0.0.1:{self.rest_port}"]
        if self.plugin_path:
            command += ["--plugin-path", str(self.plugin_path)]
        for setting in self.settings:
            command += ["--set", setting]
        return command

    def start(self):
        """Starts the daemon and waits until both interfaces answer."""
        self.spawn()
        wait_for(self._ready, START_TIMEOUT, lambda: f"{self.bootstrap} and {self.rest_url} answer\n{self.log_tail()}")
        return self

    def spawn(self):
        """Starts the process and does not wait for it."""
        assert self.process is None, "already started"
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            cwd=self.directory, start_new_session=True, preexec_fn=die_with_parent, user=self.uid)

    def _ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the daemon ended with {self.process.returncode}\n{self.log_tail()}")
        try:
            with socket.create_connection(("127.0.0.1", self.kafka_port), 1):
                pass
            return requests.get(self.rest_url + "/connectors", timeout=5).status_code == 200
        except OSError:
            return False

    @property
    def pid(self):
        return self.process.pid

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def kill9(self):
        """SIGKILL, and wait until the process is gone."""
        self.process.kill()
        self.process.wait(10)
        self.process = None

    def stop(self):
        """SIGTERM; returns the exit code of the orderly stop."""
        if self.process is None:
            return None
        process, self.process = self.process, None
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
                raise AssertionError(f"no orderly stop within {STOP_TIMEOUT} s\n{self.log_tail()}") from None
        return process.returncode

    def restart(self):
        self.stop()
        return self.start()

    def log_tail(self, lines=40):
        try:
            return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return "(no log)"

    def peak_memory_mb(self):
        """VmHWM of the running daemon in MB (1e6 bytes)."""
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
        raise AssertionError("no VmHWM line")
