"""kafka-python (pure Python) behind the drivers' verbs; see `registry`."""
from kafka import ConsumerRebalanceListener, KafkaConsumer, KafkaProducer, TopicPartition

from drivers import cli, records


def produce(args):
    progress = cli.Progress()
    codec = args["codec"]
    producer = KafkaProducer(
        bootstrap_servers=args["bootstrap"], compression_type=None if codec == "none" else codec, acks="all",
        linger_ms=20, batch_size=65536, retries=10_000, enable_idempotence=bool(args.get("idempotent")),
        max_in_flight_requests_per_connection=5 if args.get("idempotent") else 1, delivery_timeout_ms=120_000)
    pace, base_ts = cli.Pace(args.number("rate", 0)), args.number("base_ts")
    for i in range(args.number("from"), args.number("to")):
        pace.step()
        future = producer.send(args["topic"], records.value(i).encode(), records.key(i).encode(), timestamp_ms=base_ts + i)
        future.add_callback(lambda _: progress.ack())
        future.add_errback(progress.ack)
    producer.flush(timeout=120)
    producer.close()
    return progress.result()


def _consumer(args, **extra):
    return KafkaConsumer(bootstrap_servers=args["bootstrap"], enable_auto_commit=False, auto_offset_reset="earliest",
                         session_timeout_ms=10000, heartbeat_interval_ms=1000, max_poll_records=2000, **extra)


def _partitions(consumer, topic):
    return [TopicPartition(topic, p) for p in sorted(consumer.partitions_for_topic(topic))]


def _write(out, message):
    out.write(f"{message.partition}\t{message.offset}\t{message.timestamp}\t{message.key.decode()}\t{message.value.decode()}\n")


def consume(args):
    consumer = _consumer(args)
    partitions = _partitions(consumer, args["topic"])
    consumer.assign(partitions)
    first, end = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
    left = sum(end[p] - first[p] for p in partitions)
    count = 0
    with open(args["out"], "w", encoding="utf-8") as out:
        while count < left:
            for batch in consumer.poll(timeout_ms=1000).values():
                for message in batch:
                    _write(out, message)
                    count += 1
    consumer.close()
    return {"count": count}


class Listener(ConsumerRebalanceListener):
    """Reports assignments. It need not commit: `group` commits each batch before it polls again, and the client
    forbids blocking calls in here."""

    def __init__(self, events):
        self._events = events

    def on_partitions_assigned(self, partitions):
        self._note("assigned", partitions)

    def on_partitions_revoked(self, partitions):
        self._note("revoked", partitions)

    def on_partitions_lost(self, partitions):
        self._note("lost", partitions)

    def _note(self, what, partitions):
        self._events.write(f"{what} {len(partitions)}\n")
        self._events.flush()


def group(args):
    leave = cli.StdinClosed()
    with open(args["out"], "a", encoding="utf-8") as out, open(args["out"] + ".events", "a", encoding="utf-8") as events:
        member = _consumer(args, group_id=args["group"])
        member.subscribe([args["topic"]], listener=Listener(events))
        while not leave:
            polled = member.poll(timeout_ms=200)
            for batch in polled.values():
                for message in batch:
                    _write(out, message)
            if polled:
                out.flush()
                member.commit()
        member.close(autocommit=False)
    return {}


def seek(args):
    consumer = _consumer(args)
    partitions = _partitions(consumer, args["topic"])
    result = {}
    for partition, found in consumer.offsets_for_times({p: args.number("ts") for p in partitions}).items():
        if found is None:
            result[partition.partition] = None
            continue
        consumer.assign([partition])
        consumer.seek(partition, found.offset)
        batch = []
        while not batch:
            batch = consumer.poll(timeout_ms=1000).get(partition, [])
        result[partition.partition] = [batch[0].offset, int(batch[0].value.split(b":")[0])]
    consumer.close()
    return result


if __name__ == "__main__":
    cli.main({"produce": produce, "consume": consume, "group": group, "seek": seek})
