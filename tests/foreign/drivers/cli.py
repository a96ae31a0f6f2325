"""Shared command line of the Python drivers: parses `verb name=value...`, runs the verb, prints its result as JSON."""
import json
import sys
import threading
import time


class Arguments(dict):
    """`name=value` arguments with the numbers the verbs need."""

    def number(self, name, default=None):
        return int(self.get(name, default))


class StdinClosed:
    """True once the test closed our stdin: the order to leave."""

    def __init__(self):
        self._event = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self):
        sys.stdin.read()
        self._event.set()

    def __bool__(self):
        return self._event.is_set()


class Pace:
    """Holds a loop to `rate` records a second (0: no limit)."""

    def __init__(self, rate):
        self._rate, self._start, self._count = rate, time.monotonic(), 0

    def step(self):
        self._count += 1
        if self._rate and self._count % 50 == 0:
            ahead = self._count / self._rate - (time.monotonic() - self._start)
            if ahead > 0:
                time.sleep(ahead)


class Progress:
    """Counts acknowledged records and tells the test on stderr, every 1,000."""

    def __init__(self):
        self.acked, self.errors = 0, []

    def ack(self, error=None):
        if error is not None:
            self.errors.append(str(error))
            return
        self.acked += 1
        if self.acked % 1000 == 0:
            print(f"progress {self.acked}", file=sys.stderr, flush=True)

    def result(self):
        for error in self.errors[:5]:
            print(error, file=sys.stderr)
        if self.errors:
            sys.exit(1)
        return {"acked": self.acked}


def main(verbs):
    """Entry point of a driver: `verbs` maps a verb to a function of Arguments."""
    arguments = Arguments(item.split("=", 1) for item in sys.argv[2:])
    result = verbs[sys.argv[1]](arguments)
    if result is not None:
        print(json.dumps(result))
