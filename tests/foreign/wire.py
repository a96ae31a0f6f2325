"""Just enough of the Kafka protocol over a plain socket to send what no well-behaved client would.

Only non-flexible versions, so that a request is a handful of fixed-width fields."""
import itertools
import socket
import struct

PRODUCE, FETCH, LIST_OFFSETS, METADATA, API_VERSIONS = 0, 1, 2, 3, 18
CORRUPT_MESSAGE, UNSUPPORTED_VERSION, FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH = 2, 35, 70, 71
_CORRELATION = itertools.count(1)


def string(text):
    return struct.pack(">h", len(text.encode())) + text.encode()


def array(items):
    return struct.pack(">i", len(items)) + b"".join(items)


def request(key, version, body, correlation=None):
    """A whole frame: size, header v1, body."""
    header = struct.pack(">hhi", key, version, next(_CORRELATION) if correlation is None else correlation) + string("abuse")
    return struct.pack(">i", len(header) + len(body)) + header + body


class Reader:
    """Reads fixed-width fields off an answer."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, layout):
        values = struct.unpack_from(">" + layout, self.data, self.at)
        self.at += struct.calcsize(">" + layout)
        return values[0] if len(values) == 1 else values

    def bytes(self, count):
        if count < 0:
            return None
        self.at += count
        return self.data[self.at - count:self.at]

    def string(self):
        return self.bytes(self.take("h"))

    def array(self, item):
        return [item() for _ in range(max(0, self.take("i")))]


class Connection:
    """One socket to the broker."""

    def __init__(self, bootstrap, timeout=30):
        host, port = bootstrap.rsplit(":", 1)
        self.sock = socket.create_connection((host, int(port)), timeout)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, data):
        """Sends what the peer takes; it may have closed already, which is what most tests wait for."""
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def closed_by_peer(self, timeout=30):
        """True when the broker ends the connection without another answer."""
        self.sock.settimeout(timeout)
        try:
            return self.sock.recv(1) == b""
        except ConnectionResetError:
            return True
        except socket.timeout:
            return False

    def answer(self):
        """(correlation id, Reader at the body) of the next answer."""
        (size,) = struct.unpack(">i", self._exactly(4))
        reader = Reader(self._exactly(size))
        return reader.take("i"), reader

    def call(self, key, version, body):
        self.send(request(key, version, body))
        return self.answer()[1]

    def _exactly(self, count):
        data = bytearray()
        while len(data) < count:
            chunk = self.sock.recv(min(count - len(data), 1 << 20))
            if not chunk:
                raise ConnectionError(f"closed after {len(data)} of {count} bytes")
            data += chunk
        return bytes(data)


def metadata(topics=None):
    """Metadata version 1; None asks for every topic."""
    body = struct.pack(">i", -1) if topics is None else array([string(t) for t in topics])
    return METADATA, 1, body


def fetch(partitions, session=0, epoch=-1, forgotten=(), max_wait_ms=0, max_bytes=50_000_000):
    """Fetch version 11: `partitions` and `forgotten` hold (topic, partition[, offset])."""
    def by_topic(entries):
        return {topic: [e for e in entries if e[0] == topic] for topic in dict.fromkeys(e[0] for e in entries)}

    wanted = [string(topic) + array([struct.pack(">iiqqi", p, -1, offset, -1, max_bytes) for _, p, offset in entries])
              for topic, entries in by_topic(partitions).items()]
    dropped = [string(topic) + array([struct.pack(">i", p) for _, p in entries]) for topic, entries in by_topic(forgotten).items()]
    head = struct.pack(">iiiibii", -1, max_wait_ms, 1, max_bytes, 0, session, epoch)
    return FETCH, 11, head + array(wanted) + array(dropped) + string("")


def read_fetch(reader):
    """(error, session id, {(topic, partition): (error, high watermark, record bytes)})"""
    _throttle, error, session = reader.take("ihi")
    found = {}

    def partition(topic):
        number, code, high_watermark, _stable, _start = reader.take("ihqqq")
        reader.array(lambda: reader.take("qq"))
        reader.take("i")
        found[topic, number] = (code, high_watermark, reader.bytes(reader.take("i")) or b"")

    def topic():
        name = reader.string().decode()
        reader.array(lambda: partition(name))

    reader.array(topic)
    return error, session, found


def produce(topic, partition, batch, acks=-1):
    """Produce version 7 of one record batch."""
    data = struct.pack(">ii", partition, len(batch)) + batch
    return PRODUCE, 7, struct.pack(">hhi", -1, acks, 30000) + array([string(topic) + array([data])])


def read_produce(reader):
    """(error, base offset) of the only partition."""
    assert reader.take("i") == 1
    reader.string()
    assert reader.take("i") == 1
    _partition, error, base_offset, _time, _start = reader.take("ihqqq")
    return error, base_offset


def api_versions(reader):
    """(error, {key: (min, max)}) of an ApiVersions version 0 answer."""
    error = reader.take("h")
    return error, {key: (low, high) for key, low, high in reader.array(lambda: reader.take("hhh"))}
