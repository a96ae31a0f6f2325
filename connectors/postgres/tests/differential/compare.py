"""Compares two captures: lines of topic, key, value and headers, as JSON."""
import json
import os
import re

CLOCKS = {"ts_ms", "ts_us", "ts_ns", "version"}
# Where each capture began is its own: rows of a snapshot have the position of their slot.
POSITIONS = {"lsn", "txId", "sequence", "xmin"}


def headers(text):
    """By name: each side has them in an order of its own, and the run is its own."""
    found = {}
    for header in re.split(r",(?=__debezium\.)", text):
        name, _, value = header.partition("=")
        try:
            value = json.loads(value)
        except ValueError:
            pass
        found[name] = "*" if name.endswith("runId") and value else value
    return dict(sorted(found.items()))


def load(path):
    def parse(text):
        if text in ("NULL", "null", ""):
            return None
        try:
            return json.loads(text)
        except ValueError:
            return text

    topics = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            fields = line.rstrip("\n").split("\t")
            record = [parse(fields[1]), parse(fields[2]), headers(fields[3])]
            topics.setdefault(fields[0], []).append(record)
    return topics


def without_clocks(record):
    """Times and positions that can't be the same become marks of whether there is one."""
    key, value, around = record
    payload = value.get("payload") if isinstance(value, dict) else None
    if isinstance(payload, dict):
        source = payload.get("source")
        mark(payload, CLOCKS)
        if isinstance(source, dict):
            mark(source, CLOCKS)
            if source.get("snapshot") != "false":
                mark(source, POSITIONS)
            elif isinstance(source.get("sequence"), str):
                # The commit before the first transaction is not known to who began behind it.
                source["sequence"] = ["*", json.loads(source["sequence"])[1]]
    return key, value, around


def mark(values, names):
    for name in names & set(values):
        values[name] = None if values[name] is None else "*"


def named(items):
    """Fields of a schema by their names."""
    if items and all(isinstance(item, dict) and "field" in item for item in items):
        return {item["field"]: item for item in items}
    return None


def differences(a, b, path):
    if isinstance(a, list) and isinstance(b, list):
        left, right = named(a), named(b)
        if left is not None and right is not None:
            yield from differences(left, right, path)
            return
    if isinstance(a, dict) and isinstance(b, dict):
        for key in list(a) + [key for key in b if key not in a]:
            if key in a and key in b:
                yield from differences(a[key], b[key], f"{path}/{key}")
            else:
                yield f"{path}/{key}", a.get(key, "<absent>"), b.get(key, "<absent>")
        both = [key for key in a if key in b]
        if both != [key for key in b if key in a] and not path.endswith("parameters"):
            yield path, f"order {list(a)}", list(b)
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for index, (left, right) in enumerate(zip(a, b)):
            yield from differences(left, right, f"{path}/{index}")
    elif a != b or type(a) is not type(b):
        yield path, a, b


def known_differences(text):
    """Lines of SET TABLE PATH, each a regular expression, and a reason that is for the reader."""
    lines = [line.split(None, 3) for line in text.splitlines() if line and not line.startswith("#")]
    return [tuple(re.compile(part) for part in line[:3]) for line in lines]


def compare(work, name, known):
    """Prints what differs between the captures of a set; the number of differences that are not among the known ones."""
    left, right = (load(os.path.join(work, name + end)) for end in (".tsv", ".levada.tsv"))
    known, seen, listed, records = known_differences(known), set(), 0, 0
    for topic in sorted(set(left) | set(right)):
        a, b = left.get(topic, []), right.get(topic, [])
        records += len(a)
        found = [(0, "count", len(a), len(b))] if len(a) != len(b) else []
        for index, pair in enumerate(zip(a, b)):
            for what, x, y in zip(("key", "value", "headers"), *map(without_clocks, pair)):
                found += [(index, *difference) for difference in differences(x, y, what)]
        table = topic.removeprefix(name + ".")
        for index, path, x, y in found:
            told = (table, path, str(x)[:100], str(y)[:100])
            if told in seen:
                continue
            seen.add(told)
            if any(of.fullmatch(name) and tables.fullmatch(table) and paths.fullmatch(path) for of, tables, paths in known):
                listed += 1
                continue
            print(f"{name} {table} #{index} {path}: Debezium {str(x)[:200]} | Levada {str(y)[:200]}")
    print(f"{name}: {len(left)} topics, {records} records, {listed} known differences, {len(seen) - listed} others")
    return len(seen) - listed
