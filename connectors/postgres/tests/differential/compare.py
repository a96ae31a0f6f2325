"""Compares two captures: lines of topic, key, value and headers, as JSON."""
import json

CLOCKS = {"ts_ms", "ts_us", "ts_ns", "version"}
POSITIONS = ("source/lsn", "source/txId", "source/sequence")


def load(path):
    def parse(text):
        if text in ("NULL", "null", ""):
            return None
        try:
            return json.loads(text)
        except ValueError:
            return text

    events = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            fields = line.rstrip("\n").split("\t")
            if len(fields) >= 4:
                events.append((fields[0], parse(fields[1]), parse(fields[2])))
    return events


def without_clocks(value, within=""):
    if isinstance(value, dict):
        hidden = within in ("source", "payload")
        return {
            key: ("*" if item is not None else None) if hidden and key in CLOCKS else without_clocks(item, key)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [without_clocks(item) for item in value]
    return value


def differences(a, b, path):
    if isinstance(a, dict) and isinstance(b, dict):
        for key in list(a) + [key for key in b if key not in a]:
            if key in a and key in b:
                yield from differences(a[key], b[key], f"{path}/{key}")
            else:
                yield f"{path}/{key}", a.get(key, "<absent>"), b.get(key, "<absent>")
        if list(a) != list(b) and set(a) == set(b) and not path.endswith("parameters"):
            yield path, f"order {list(a)}", list(b)
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        names = [item.get("field", index) if isinstance(item, dict) else index for index, item in enumerate(a)]
        for name, left, right in zip(names, a, b):
            yield from differences(left, right, f"{path}/{name}")
    elif a != b or type(a) is not type(b):
        yield path, a, b


def compare(debezium, levada):
    left, right, seen = load(debezium), load(levada), set()
    for topic in sorted({event[0] for event in left + right}):
        a, b = ([event for event in events if event[0] == topic] for events in (left, right))
        print(f"{topic}: {len(a)} and {len(b)} records")
        for index, ((_, key_a, value_a), (_, key_b, value_b)) in enumerate(zip(a, b)):
            found = list(differences(without_clocks(key_a), without_clocks(key_b), "key"))
            found += differences(without_clocks(value_a), without_clocks(value_b), "value")
            for path, x, y in found:
                told = (topic, path, str(x)[:100], str(y)[:100])
                if told in seen or path.endswith(POSITIONS):
                    continue
                seen.add(told)
                print(f"  #{index} {path}: Debezium {str(x)[:160]} | Levada {str(y)[:160]}")
