"""Topic and group administration for the suites, through confluent-kafka's AdminClient (an independent observer)."""
import functools
import os
import time

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

TIMEOUT = 30


@functools.cache
def client(bootstrap):
    """One client per broker address: a future is lost with the client that made it."""
    return AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})


def create_topic(bootstrap, name, partitions=6, **config):
    """Creates a topic; an answer without error means that it is usable at once."""
    topic = NewTopic(name, partitions, 1, config={k.replace("_", "."): v for k, v in config.items()})
    client(bootstrap).create_topics([topic], operation_timeout=TIMEOUT)[name].result(TIMEOUT)
    if os.environ.get("LEVADA_TEST_BOOTSTRAP"):
        time.sleep(0.5)  # Apache Kafka answers a moment before its brokers know the topic


def end_offsets(bootstrap, topic):
    """{partition: log end offset}"""
    admin = client(bootstrap)
    partitions = admin.list_topics(topic, timeout=TIMEOUT).topics[topic].partitions
    asked = {TopicPartition(topic, p): OffsetSpec.latest() for p in partitions}
    return {tp.partition: f.result(TIMEOUT).offset for tp, f in admin.list_offsets(asked).items()}


def committed(bootstrap, group, topic):
    """{partition: committed offset}, partitions without one left out"""
    future = client(bootstrap).list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group]
    return {tp.partition: tp.offset for tp in future.result(TIMEOUT).topic_partitions if tp.topic == topic and tp.offset >= 0}


def members(bootstrap, group):
    """Number of partitions of each member of the group, sorted."""
    description = client(bootstrap).describe_consumer_groups([group])[group].result(TIMEOUT)
    return sorted(len(m.assignment.topic_partitions) for m in description.members)


def read_all(bootstrap, topic):
    """Every record of the topic as confluent-kafka messages, partition by partition, in offset order."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "none", "enable.auto.commit": False, "log_level": 0})
    found = []
    for partition in sorted(consumer.list_topics(topic, timeout=TIMEOUT).topics[topic].partitions):
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=TIMEOUT)
        consumer.assign([TopicPartition(topic, partition, low)])
        want = high - low
        while want > 0:
            batch = consumer.consume(min(want, 1000), timeout=TIMEOUT)
            assert batch, f"{topic}-{partition}: {want} records before the end no more came in {TIMEOUT} s"
            for message in batch:
                assert message.error() is None, message.error()
            found += batch
            want = high - batch[-1].offset() - 1
    consumer.close()
    return found
