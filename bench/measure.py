"""What every bench needs: daemons, the Apache peer, processes' CPU and memory, and one way to print a figure."""
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/foreign"))
import connect  # noqa: E402  (the suites' own helpers)
import levada  # noqa: E402

WORK = ROOT / "target/bench"
PEER = ROOT / "target/peers/kafka"
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(*pids):
    """User and system time the processes have used so far."""
    total = 0.0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += (int(fields[11]) + int(fields[12])) / TICKS
    return total


def memory_mb(field, *pids):
    """VmRSS or VmHWM of the processes together, in MB (1e6 bytes)."""
    total = 0
    for pid in pids:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                total += int(line.split()[1]) * 1024
    return total / 1e6


def fresh(name):
    """An empty directory for one measurement."""
    path = WORK / name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def daemon(name, *settings):
    """A started daemon on an empty data directory."""
    return levada.Daemon(fresh(name), settings).start()


class Peer:
    """Apache Kafka and Connect from bench/peers/kafka.sh, always on an empty data directory."""

    bootstrap = "127.0.0.1:29092"
    rest_url = "http://127.0.0.1:28083"

    def __init__(self, *parts):
        self._script("wipe")
        self._script("start", *parts)
        self.parts = parts

    def pids(self):
        return [int((PEER / f"{part}.pid").read_text()) for part in self.parts]

    def stop(self):
        self._script("wipe")

    @staticmethod
    def _script(*words):
        subprocess.run([str(ROOT / "bench/peers/kafka.sh"), *words], check=True, stdin=subprocess.DEVNULL)


def figure(section, **values):
    """Prints one line of figures and keeps it in target/bench/SECTION.jsonl."""
    rounded = {key: round(value, 3) if isinstance(value, float) else value for key, value in values.items()}
    print(f"{section:>8}  " + "  ".join(f"{key}={value}" for key, value in rounded.items()), flush=True)
    WORK.mkdir(parents=True, exist_ok=True)
    with open(WORK / f"{section}.jsonl", "a", encoding="utf-8") as out:
        out.write(json.dumps({"at": int(time.time()), **rounded}) + "\n")


def median(values):
    return statistics.median(values)


__all__ = ["ROOT", "WORK", "Peer", "connect", "cpu_seconds", "daemon", "figure", "fresh", "levada", "median", "memory_mb"]
