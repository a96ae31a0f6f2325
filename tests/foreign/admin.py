"""Topic and group administration for the suites, through confluent-kafka's AdminClient (an independent observer)."""
import functools
import os
import time

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, OffsetSpec

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
    admin = client(bootstrap)
    partitions = [TopicPartition(topic, p) for p in admin.list_topics(topic, timeout=TIMEOUT).topics[topic].partitions]
    first = {tp.partition: f.result(TIMEOUT).offset for tp, f in admin.list_offsets({p: OffsetSpec.earliest() for p in partitions}).items()}
    end = end_offsets(bootstrap, topic)
    wanted = {p: end[p] for p in end if end[p] > first[p]}
    if not wanted:
        return []
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "none", "enable.auto.commit": False, "log_level": 0})
    consumer.assign([TopicPartition(topic, p, first[p]) for p in wanted])
    found, last = [], time.monotonic()
    while wanted:
        batch = consumer.consume(1000, timeout=0.1)
        if batch:
            last = time.monotonic()
        assert time.monotonic() - last < TIMEOUT, f"{topic}: no more records in {TIMEOUT} s, short of {wanted}"
        for message in batch:
            assert message.error() is None, message.error()
            found.append(message)
            if message.offset() + 1 >= wanted.get(message.partition(), -1):
                wanted.pop(message.partition(), None)
    consumer.close()
    return sorted((m for m in found if m.offset() < end[m.partition()]), key=lambda m: (m.partition(), m.offset()))


def topic_config(bootstrap, topic):
    """{key: value} of a topic, defaults included."""
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    return {key: entry.value for key, entry in client(bootstrap).describe_configs([resource])[resource].result(TIMEOUT).items()}
