#!/usr/bin/env python3
"""verify_copy.py ORIGINAL COPY: what became of a file's lines on their way through one crash of the daemon.

Right is: no line missing, order kept, and at most one step back, where the source read lines again that were already in
the topic. So COPY must be ORIGINAL up to some line end, followed by ORIGINAL from an earlier (or the same) line on.
Prints the number of doubled lines; exit 1 with the first wrong byte when COPY is something else. Bytes, so that any
encoding will do."""
import sys

CHUNK = 1 << 20


def common_prefix(a, b):
    """Length of the longest common prefix."""
    at, end = 0, min(len(a), len(b))
    while at < end and a[at:at + CHUNK] == b[at:at + CHUNK]:
        at = min(at + CHUNK, end)
    while at < end and a[at] == b[at]:
        at += 1
    return at


def common_suffix(a, b):
    """Length of the longest common suffix."""
    at, end = 0, min(len(a), len(b))
    while at + CHUNK <= end and a[len(a) - at - CHUNK:len(a) - at] == b[len(b) - at - CHUNK:len(b) - at]:
        at += CHUNK
    while at < end and a[len(a) - at - 1] == b[len(b) - at - 1]:
        at += 1
    return at


def doubled_lines(original, copy):
    """Number of lines that stand in `copy` twice; None when it is no copy with one step back."""
    extra = len(copy) - len(original)
    prefix, suffix = common_prefix(original, copy), common_suffix(original, copy)
    if extra < 0 or prefix + suffix < len(copy):
        return None
    step = copy.rfind(b"\n", 0, prefix) + 1  # the last line end at which the step back may have been
    if step < len(copy) - suffix or step < extra:
        return None
    return original[step - extra:step].count(b"\n")


def main():
    with open(sys.argv[1], "rb") as original_file, open(sys.argv[2], "rb") as copy_file:
        original, copy = original_file.read(), copy_file.read()
    doubled = doubled_lines(original, copy)
    if doubled is None:
        at = common_prefix(original, copy)
        sys.exit(f"{sys.argv[2]} is wrong from byte {at} on (original {len(original)} bytes, copy {len(copy)} bytes)")
    print(doubled)


if __name__ == "__main__":
    main()
