"""Numbered lines for file connectors, and what may have happened to them on the way."""
import itertools


def line(number):
    return f"{number:09d} the quick brown fox jumps over the lazy dog, {number * 7919 % 1000003}"


def write_lines(path, start, end):
    """Appends lines [start, end)."""
    with open(path, "a", encoding="utf-8") as out:
        out.writelines(f"{line(number)}\n" for number in range(start, end))


def numbers(texts):
    """The number of each line; its text must be untouched."""
    found = []
    for text in texts:
        number = int(text[:9])
        assert text == line(number), f"line {number} changed: {text!r}"
        found.append(number)
    return found


def assert_at_least_once(found, count, crashes):
    """No line missing and order kept: the source may only step back, once for each crash. Returns the doubled lines."""
    assert found and found[0] == 0, f"the first line is {found[:1]}"
    steps_back, reached = 0, 0
    for before, after in itertools.pairwise(found):
        if after != before + 1:
            steps_back += 1
            assert after <= reached + 1, f"after line {before} came {after}: lines from {reached + 1} on are missing"
        reached = max(reached, after)
    assert reached == count - 1, f"the last line is {reached}, not {count - 1}"
    assert steps_back <= crashes, f"{steps_back} steps back in {crashes} crashes"
    return len(found) - count
