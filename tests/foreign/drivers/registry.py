"""The foreign clients and how a test runs them.

Every driver is a program of its own with the same verbs and `name=value` arguments:
  produce bootstrap topic codec from to base_ts [idempotent=1] [rate=N/s]  prints `progress N` on stderr, {"acked": N} at the end
  consume bootstrap topic out                all partitions, first to last offset, rows to `out`
  group   bootstrap topic group out          member until its stdin closes; rows to `out`, assignments to `out`.events;
                                             commits what it has written, also before it gives partitions up
  seek    bootstrap topic ts                 {"0": [offset, number], ..}: the first record not older than ts, null when none
"""
import dataclasses
import json
import os
import pathlib
import subprocess
import sys

import levada

HERE = pathlib.Path(__file__).resolve().parent
JAVA_OPTIONS = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dlog4j2.level=ERROR"]


@dataclasses.dataclass(frozen=True)
class Driver:
    """A client library behind the common verbs."""

    name: str
    command: tuple
    codecs: tuple = ("none", "gzip", "snappy", "lz4", "zstd")

    def start(self, verb, **arguments):
        """Starts a verb in the background; stdin, stdout and stderr are pipes."""
        command = [*self.command, verb, *(f"{k}={v}" for k, v in arguments.items())]
        environment = {**os.environ, "PYTHONPATH": str(HERE.parent), "PYTHONUNBUFFERED": "1"}
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True, env=environment, preexec_fn=levada.die_with_parent)

    def run(self, verb, timeout=180, **arguments):
        """Runs a verb to its end and returns the JSON it printed last."""
        return self.finish(self.start(verb, **arguments), verb, timeout)

    def finish(self, process, verb, timeout=180):
        """Waits for a started verb; fails with the client's own words when it did."""
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"{self.name} {verb}: no end after {timeout} s\n{out[-500:]}\n{err[-3000:]}") from None
        assert process.returncode == 0, f"{self.name} {verb}: exit {process.returncode}\n{out[-500:]}\n{err[-3000:]}"
        return json.loads(out.splitlines()[-1]) if out.strip() else None


def java_command(main_class):
    """A JVM with Kafka's jars and our compiled driver on the class path."""
    return ("java", *JAVA_OPTIONS, "-cp", f"{levada.TOOLS}/java:{levada.TOOLS}/kafka/libs/*", main_class)


DRIVERS = {
    driver.name: driver
    for driver in (
        Driver("confluent-kafka", (sys.executable, "-m", "drivers.confluent_driver")),
        Driver("kafka-python", (sys.executable, "-m", "drivers.kafka_python_driver")),
        Driver("kcat", (sys.executable, "-m", "drivers.kcat_driver")),
        Driver("java", java_command("Driver")),
        Driver("franz-go", (str(levada.TOOLS / "franz"),)),
    )
}
