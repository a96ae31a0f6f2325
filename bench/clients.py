"""Produce and consume with librdkafka: 1 KiB records, 6 partitions, acks=all; MB/s and broker CPU seconds per GB.

Levada with synced acks and with page-cache acks, and Apache Kafka (whose acks never wait for the disk), in one run."""
import json
import subprocess
import time

from measure import Peer, cpu_seconds, daemon, figure, levada, memory_mb

import admin

SIZE = 1024
PARTITIONS = 6
PROPERTIES = {"produce": ["acks=all", "linger.ms=5", "batch.size=131072"], "consume": []}


def load(verb, bootstrap, topic, records):
    command = [str(levada.TOOLS / "load"), verb, bootstrap, topic, str(PARTITIONS), str(records), str(SIZE), *PROPERTIES[verb]]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=levada.die_with_parent)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: {done.stderr}")
    return json.loads(done.stdout)


def measure(who, acks, bootstrap, pids, records, runs):
    for number in range(runs):
        topic = f"bench-{number}"
        admin.create_topic(bootstrap, topic, PARTITIONS)
        time.sleep(1)  # Apache Kafka answers a moment before its broker leads the partitions
        for verb in ("produce", "consume"):
            before = cpu_seconds(*pids)
            result = load(verb, bootstrap, topic, records)
            used = cpu_seconds(*pids) - before
            gigabytes = result["bytes"] / 1e9
            figure("clients", who=who, acks=acks, verb=verb, records=records, mb_per_s=result["bytes"] / 1e6 / result["seconds"],
                   broker_cpu_s_per_gb=used / gigabytes, client_cpu_s_per_gb=result["client_cpu_s"] / gigabytes,
                   broker_rss_mb=memory_mb("VmRSS", *pids))


def main(options):
    for durability in ("fsync", "page-cache"):
        home = daemon(f"clients-{durability}", f"ack.durability={durability}")
        try:
            measure("Levada", durability, home.bootstrap, [home.pid], options.records, options.runs)
        finally:
            home.stop()
    if options.peer:
        peer = Peer("broker")
        try:
            measure("Apache Kafka", "page-cache", peer.bootstrap, peer.pids(), options.records, options.runs)
        finally:
            peer.stop()
