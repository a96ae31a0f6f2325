#!/usr/bin/env python3
"""probe.py HOST:PORT: one Metadata request (version 1, no topics) over a plain socket; exit 0 when a broker is named.

Used by the cold-start bench and by start scripts, so it imports little and knows no client library."""
import socket
import struct
import sys

METADATA, VERSION, CORRELATION = 3, 1, 7


def read_exactly(sock, count):
    data = b""
    while len(data) < count:
        chunk = sock.recv(count - len(data))
        if not chunk:
            raise OSError("connection closed")
        data += chunk
    return data


def metadata_names_a_broker(host, port, timeout=2.0):
    """True when the answer to Metadata holds at least one broker."""
    with socket.create_connection((host, port), timeout) as sock:
        request = struct.pack(">hhih", METADATA, VERSION, CORRELATION, 5) + b"probe" + struct.pack(">i", 0)
        sock.sendall(struct.pack(">i", len(request)) + request)
        (size,) = struct.unpack(">i", read_exactly(sock, 4))
        answer = read_exactly(sock, size)
    correlation, brokers = struct.unpack(">ii", answer[:8])
    return correlation == CORRELATION and brokers >= 1


if __name__ == "__main__":
    host, port = sys.argv[1].rsplit(":", 1)
    try:
        ok = metadata_names_a_broker(host, int(port))
    except OSError as error:
        print(error, file=sys.stderr)
        ok = False
    sys.exit(0 if ok else 1)
