"""Apache Kafka's console tools (kafka-topics, kafka-console-producer and so on, run by their main classes)."""
import json
import os
import re
import subprocess

import pytest

import admin
import levada
from drivers.registry import JAVA_OPTIONS

TOOLS = {
    "kafka-topics": "org.apache.kafka.tools.TopicCommand",
    "kafka-console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "kafka-console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "kafka-consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "kafka-configs": "kafka.admin.ConfigCommand",
    "kafka-get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "kafka-delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
    "kafka-broker-api-versions": "org.apache.kafka.tools.BrokerApiVersionsCommand",
    "kafka-dump-log": "org.apache.kafka.tools.DumpLogSegments",
}


def run(tool, *options, stdin=None, timeout=90):
    """Runs a tool and returns its stdout; a non-zero exit or an error on stdout fails the test."""
    environment = {**os.environ, "CLASSPATH": f"{levada.TOOLS}/kafka/libs/*"}
    done = subprocess.run(["java", *JAVA_OPTIONS, TOOLS[tool], *map(str, options)], input=stdin, text=True, env=environment,
                          capture_output=True, timeout=timeout, preexec_fn=levada.die_with_parent)
    words = f"{tool} {options}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert done.returncode == 0, f"exit {done.returncode}: {words}"
    assert "Exception" not in done.stdout and "Error:" not in done.stdout, words
    return done.stdout


@pytest.fixture
def tool(broker):
    """tool(name, options...) against the broker under test."""
    return lambda name, *options, **kw: run(name, "--bootstrap-server", broker.bootstrap, *options, **kw)


def rows(text, first):
    """Fields of the lines that start with `first`."""
    return [line.split() for line in text.splitlines() if line.split()[:1] == [first]]


def test_topics_are_created_described_grown_and_deleted(tool, unique):
    topic = unique("tools")
    tool("kafka-topics", "--create", "--topic", topic, "--partitions", 6, "--config", "retention.ms=3600000")
    described = tool("kafka-topics", "--describe", "--topic", topic)
    assert re.search(r"TopicId: [A-Za-z0-9_-]{22}\s", described), described
    assert "PartitionCount: 6" in described and "ReplicationFactor: 1" in described
    assert "retention.ms=3600000" in described
    assert len(re.findall(r"Partition: \d+\s+Leader: \d+\s+Replicas: \d+\s+Isr: \d+", described)) == 6
    tool("kafka-topics", "--alter", "--topic", topic, "--partitions", 8)
    assert "PartitionCount: 8" in tool("kafka-topics", "--describe", "--topic", topic)
    assert topic in tool("kafka-topics", "--list").split()
    tool("kafka-topics", "--delete", "--topic", topic)
    assert topic not in tool("kafka-topics", "--list").split()


def test_console_producer_consumer_groups_and_offsets(tool, unique, tmp_path):
    topic, group = unique("console"), unique("console-group")
    tool("kafka-topics", "--create", "--topic", topic, "--partitions", 3)
    written = {f"k{i}": f"value {i} žluťoučký" for i in range(200)}
    tool("kafka-console-producer", "--topic", topic, "--reader-property", "parse.key=true",
         "--reader-property", "key.separator=:", stdin="".join(f"{k}:{v}\n" for k, v in written.items()))
    text = tool("kafka-console-consumer", "--topic", topic, "--group", group, "--from-beginning", "--max-messages", 200,
                "--timeout-ms", 60000, "--formatter-property", "print.key=true", "--formatter-property", "key.separator=:")
    assert dict(line.split(":", 1) for line in text.splitlines() if line.startswith("k")) == written

    ends = dict(re.findall(rf"{topic}:(\d+):(\d+)", tool("kafka-get-offsets", "--topic", topic, "--time", "latest")))
    assert len(ends) == 3 and sum(map(int, ends.values())) == 200
    described = rows(tool("kafka-consumer-groups", "--describe", "--group", group), group)
    assert {f[2]: (f[3], f[4], f[5]) for f in described} == {p: (end, end, "0") for p, end in ends.items()}
    assert [group, "Empty"] in [line.split() for line in tool("kafka-consumer-groups", "--list", "--state").splitlines()]

    tool("kafka-consumer-groups", "--reset-offsets", "--to-earliest", "--group", group, "--topic", topic, "--execute")
    described = rows(tool("kafka-consumer-groups", "--describe", "--group", group), group)
    assert {f[2]: (f[3], f[5]) for f in described} == {p: ("0", end) for p, end in ends.items()}
    tool("kafka-consumer-groups", "--delete-offsets", "--group", group, "--topic", f"{topic}:0")
    described = rows(tool("kafka-consumer-groups", "--describe", "--group", group), group)
    assert sorted(f[2] for f in described if f[3] != "-") == ["1", "2"]
    tool("kafka-consumer-groups", "--delete", "--group", group)
    assert group not in tool("kafka-consumer-groups", "--list").split()

    request = {"partitions": [{"topic": topic, "partition": 0, "offset": 5}], "version": 1}
    (tmp_path / "delete.json").write_text(json.dumps(request))
    assert "low_watermark: 5" in tool("kafka-delete-records", "--offset-json-file", tmp_path / "delete.json")
    earliest = tool("kafka-get-offsets", "--topic", topic, "--time", "earliest")
    assert f"{topic}:0:5" in earliest and f"{topic}:1:0" in earliest


def test_configs_of_topics_and_brokers(tool, unique):
    topic = unique("configs")
    tool("kafka-topics", "--create", "--topic", topic, "--config", "retention.ms=3600000")
    tool("kafka-configs", "--alter", "--topic", topic, "--add-config", "retention.ms=7200000,max.message.bytes=2000000")
    described = tool("kafka-configs", "--describe", "--topic", topic)
    assert "retention.ms=7200000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:retention.ms=7200000" in described
    assert "max.message.bytes=2000000" in described
    tool("kafka-configs", "--alter", "--topic", topic, "--delete-config", "max.message.bytes")
    assert "max.message.bytes" not in tool("kafka-configs", "--describe", "--topic", topic)
    every = tool("kafka-configs", "--describe", "--topic", topic, "--all")
    assert "segment.bytes=1073741824" in every and "cleanup.policy=delete" in every
    nodes = re.findall(r"\(id: (\d+) rack", tool("kafka-broker-api-versions"))
    assert len(nodes) == 1
    brokers = tool("kafka-configs", "--describe", "--entity-type", "brokers", "--entity-name", nodes[0], "--all")
    assert "num.partitions=1" in brokers


def test_api_versions_offer_what_the_newest_java_client_can_use(tool):
    text = tool("kafka-broker-api-versions")
    assert re.search(r"Produce\(0\): 0 to \d+ \[usable: \d+\]", text), text
    wanted = ["Fetch(1)", "ListOffsets(2)", "Metadata(3)", "OffsetCommit(8)", "OffsetFetch(9)", "FindCoordinator(10)",
              "JoinGroup(11)", "Heartbeat(12)", "LeaveGroup(13)", "SyncGroup(14)", "DescribeGroups(15)", "ListGroups(16)",
              "ApiVersions(18)", "CreateTopics(19)", "DeleteTopics(20)", "DeleteRecords(21)", "InitProducerId(22)",
              "OffsetForLeaderEpoch(23)", "DescribeConfigs(32)", "AlterConfigs(33)", "CreatePartitions(37)",
              "DeleteGroups(42)", "IncrementalAlterConfigs(44)", "OffsetDelete(47)", "DescribeCluster(60)"]
    for name in wanted:
        assert re.search(re.escape(name) + r": \d+( to \d+)? \[usable: \d+\]", text), f"{name} is missing or unusable\n{text}"


def test_dump_log_reads_the_segments_on_disk(broker, tool, unique):
    if broker.data_dir is None:
        pytest.skip("LEVADA_TEST_DATA_DIR does not say where the external broker's files are")
    topic, value = unique("dump"), "x" * 2000
    admin.create_topic(broker.bootstrap, topic, 1, segment_bytes="1048576")
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        tool("kafka-console-producer", "--topic", topic, "--compression-codec", codec, "--reader-property", "parse.key=true",
             "--reader-property", "key.separator=:", stdin="".join(f"{codec}{i}:{value}{i}\n" for i in range(600)))
    segments = sorted(broker.data_dir.rglob(f"{topic}-0/*.log"))
    assert len(segments) > 1, "the uncompressed records alone are more than one segment of 1 MiB"
    dumped = run("kafka-dump-log", "--print-data-log", "--deep-iteration", "--files", ",".join(map(str, segments)))
    assert re.findall(r"\| offset: (\d+) ", dumped) == [str(i) for i in range(3000)], dumped[:2000]
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        assert f"compresscodec: {codec}" in dumped and f"key: {codec}599 payload: {value}599" in dumped
    assert "isvalid: false" not in dumped
    # The segment that was rolled has its indexes on disk.
    index, time_index = segments[0].with_suffix(".index"), segments[0].with_suffix(".timeindex")
    assert index.stat().st_size > 0 and "passed sanity check" in run("kafka-dump-log", "--index-sanity-check", "--files", index)
    assert time_index.stat().st_size > 0 and "Found" not in run("kafka-dump-log", "--files", time_index), "time index and log differ"
