"""The records every driver writes, and the checks on what came back.

Record i: key `key-00042` (i modulo KEYS), value `000000123:` plus filler, timestamp `base_ts + i`. The Java and Go
drivers build the same bytes. What a driver read is a file of lines `partition TAB offset TAB timestamp TAB key TAB value`."""
import collections

KEYS = 1000
FILLER = "the quick brown fox jumps over the lazy dog " * 2


def key(i):
    return f"key-{i % KEYS:05d}"


def value(i):
    return f"{i:09d}:{FILLER[:40 + i % 40]}"


Row = collections.namedtuple("Row", "partition offset timestamp key number")


def read_rows(path):
    """Parses a driver's output; the value must be exactly what record `number` holds."""
    rows = []
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            if not line.endswith("\n"):
                break  # the driver is in the middle of writing it
            partition, offset, timestamp, record_key, text = line.rstrip("\n").split("\t")
            number = int(text.split(":", 1)[0])
            assert text == value(number), f"record {number} came back changed: {text!r}"
            assert record_key == key(number), f"record {number} came back with key {record_key!r}"
            rows.append(Row(int(partition), int(offset), int(timestamp), record_key, number))
    return rows


def assert_exactly_once(rows, start, end):
    """Every record of [start, end) is there once."""
    seen = collections.Counter(row.number for row in rows)
    missing = [i for i in range(start, end) if i not in seen]
    doubled = [i for i, count in seen.items() if count > 1]
    extra = [i for i in seen if not start <= i < end]
    assert not missing, f"{len(missing)} records missing, first {missing[:5]}"
    assert not doubled, f"{len(doubled)} records doubled, first {sorted(doubled)[:5]}"
    assert not extra, f"{len(extra)} records nobody wrote here, first {sorted(extra)[:5]}"


def assert_key_order(rows):
    """In reading order, each key stays in one partition and its numbers only grow."""
    partition_of, last = {}, {}
    for row in rows:
        assert partition_of.setdefault(row.key, row.partition) == row.partition, f"{row.key} is in two partitions"
        assert last.get(row.key, -1) < row.number, f"{row.key}: {row.number} came after {last[row.key]}"
        last[row.key] = row.number


def assert_dense_offsets(rows, partitions):
    """Offsets of each partition run 0, 1, 2 ... in reading order, and all partitions were used."""
    by_partition = collections.defaultdict(list)
    for row in rows:
        by_partition[row.partition].append(row.offset)
    assert sorted(by_partition) == list(range(partitions)), f"partitions used: {sorted(by_partition)}"
    for partition, offsets in by_partition.items():
        assert offsets == list(range(len(offsets))), f"partition {partition}: offsets are not dense"
