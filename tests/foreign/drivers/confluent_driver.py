"""confluent-kafka (librdkafka) behind the drivers' verbs; see `registry`."""
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Producer, TopicPartition

from drivers import cli, records


def produce(args):
    progress = cli.Progress()
    config = {"bootstrap.servers": args["bootstrap"], "compression.type": args["codec"], "acks": "all",
              "linger.ms": 20, "partitioner": "murmur2_random", "log_level": 0}
    if args.get("idempotent"):
        config["enable.idempotence"] = True
    producer = Producer(config)
    pace, base_ts = cli.Pace(args.number("rate", 0)), args.number("base_ts")
    for i in range(args.number("from"), args.number("to")):
        pace.step()
        while True:
            try:
                producer.produce(args["topic"], records.value(i), records.key(i), timestamp=base_ts + i,
                                 on_delivery=lambda error, _: progress.ack(error))
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    producer.flush(120)
    return progress.result()


def _consumer(args, **extra):
    return Consumer({"bootstrap.servers": args["bootstrap"], "group.id": args.get("group", "none"), "log_level": 0,
                     "enable.auto.commit": False, "auto.offset.reset": "earliest", "session.timeout.ms": 10000, **extra})


def _partitions(consumer, topic):
    return sorted(consumer.list_topics(topic, timeout=20).topics[topic].partitions)


def _write(out, message):
    if message.error():
        raise KafkaException(message.error())
    out.write(f"{message.partition()}\t{message.offset()}\t{message.timestamp()[1]}\t"
              f"{message.key().decode()}\t{message.value().decode()}\n")


def consume(args):
    consumer, topic = _consumer(args), args["topic"]
    left = 0
    for p in _partitions(consumer, topic):
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=20)
        left += high - low
    consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in _partitions(consumer, topic)])
    count = 0
    with open(args["out"], "w", encoding="utf-8") as out:
        while count < left:
            for message in consumer.consume(1000, timeout=1.0):
                _write(out, message)
                count += 1
    consumer.close()
    return {"count": count}


def group(args):
    leave = cli.StdinClosed()
    with open(args["out"], "a", encoding="utf-8") as out, open(args["out"] + ".events", "a", encoding="utf-8") as events:

        def assigned(_, partitions):
            events.write(f"assigned {len(partitions)}\n")
            events.flush()

        def revoked(member, partitions):
            out.flush()
            try:
                member.commit(asynchronous=False)
            except KafkaException as error:
                if error.args[0].name() != "_NO_OFFSET":
                    raise
            events.write(f"revoked {len(partitions)}\n")
            events.flush()

        member = _consumer(args)
        member.subscribe([args["topic"]], on_assign=assigned, on_revoke=revoked)
        count = 0
        while not leave:
            message = member.poll(0.2)  # one by one: a batch may span a rebalance
            if message is not None:
                _write(out, message)
                count += 1
            if message is None or count % 500 == 0:
                out.flush()
            if message is not None and count % 500 == 0:
                member.commit(asynchronous=True)
        member.close()
    return {}


def seek(args):
    consumer, topic = _consumer(args), args["topic"]
    asked = [TopicPartition(topic, p, args.number("ts")) for p in _partitions(consumer, topic)]
    result = {}
    for found in consumer.offsets_for_times(asked, timeout=20):
        if found.offset < 0:
            result[found.partition] = None
            continue
        consumer.assign([found])
        message = consumer.poll(20)
        if message is None or message.error():
            result[found.partition] = None  # the client names the end of the partition when nothing is that young
        else:
            result[found.partition] = [message.offset(), int(message.value().split(b":")[0])]
    consumer.close()
    return result


if __name__ == "__main__":
    cli.main({"produce": produce, "consume": consume, "group": group, "seek": seek})
