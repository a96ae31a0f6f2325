"""kcat (Debian's build of librdkafka 2.0) behind the drivers' verbs; see `registry`.

kcat can't set a record's timestamp, so its records carry the time they were sent."""
import re
import subprocess
import sys
import threading
import time

import levada
from drivers import cli, records

FORMAT = r"%p\t%o\t%T\t%k\t%s\n"


def _kcat(args, *options, **popen):
    return subprocess.Popen(["kcat", "-b", args["bootstrap"], "-m", "20", *options], text=True,
                            preexec_fn=levada.die_with_parent, **popen)


def _check(process, what):
    if process.wait() != 0:
        sys.exit(f"kcat {what}: exit {process.returncode}")


def produce(args):
    options = ["-P", "-t", args["topic"], "-K", "\\t", "-z", args["codec"], "-X", "acks=all", "-X", "linger.ms=20"]
    if args.get("idempotent"):
        options += ["-X", "enable.idempotence=true", "-E"]
    process = _kcat(args, *options, stdin=subprocess.PIPE)
    pace, progress = cli.Pace(args.number("rate", 0)), cli.Progress()
    for i in range(args.number("from"), args.number("to")):
        pace.step()
        process.stdin.write(f"{records.key(i)}\t{records.value(i)}\n")
        progress.ack()
    process.stdin.close()
    _check(process, "produce")
    return progress.result()


def consume(args):
    with open(args["out"], "w", encoding="utf-8") as out:
        process = _kcat(args, "-C", "-q", "-t", args["topic"], "-o", "beginning", "-e", "-f", FORMAT, stdout=out)
        _check(process, "consume")
    return {}


def group(args):
    leave = cli.StdinClosed()
    with open(args["out"], "a", encoding="utf-8") as out, open(args["out"] + ".events", "a", encoding="utf-8") as events:
        process = _kcat(args, "-G", args["group"], "-u", "-f", FORMAT, "-X", "auto.offset.reset=earliest",
                        "-X", "auto.commit.interval.ms=200", "-X", "session.timeout.ms=10000", args["topic"],
                        stdout=out, stderr=subprocess.PIPE)
        threading.Thread(target=_watch, args=(process.stderr, events), daemon=True).start()
        while not leave and process.poll() is None:
            time.sleep(0.05)
        process.terminate()
        _check(process, "group")
    return {}


def _watch(stderr, events):
    """Turns kcat's rebalance lines into the drivers' events."""
    for line in stderr:
        sys.stderr.write(line)
        found = re.search(r"rebalanced .*: (assigned|revoked): (.*)", line)
        if found:
            events.write(f"{found[1]} {found[2].count('[')}\n")
            events.flush()


def seek(args):
    result = {}
    listing = _output(args, "-L", "-t", args["topic"])
    for partition in sorted(int(p) for p in re.findall(r"partition (\d+),", listing)):
        answer = _output(args, "-Q", "-t", f"{args['topic']}:{partition}:{args['ts']}")
        offset = int(re.search(r"offset (-?\d+)", answer)[1])
        line = ""
        if offset >= 0:
            line = _output(args, "-C", "-q", "-t", args["topic"], "-p", str(partition), "-o", str(offset), "-c", "1", "-e",
                           "-f", FORMAT)
        fields = line.rstrip("\n").split("\t")
        result[partition] = [int(fields[1]), int(fields[4].split(":")[0])] if line else None
    return result


def _output(args, *options):
    process = _kcat(args, *options, stdout=subprocess.PIPE)
    out = process.communicate()[0]
    _check(process, " ".join(options))
    return out


if __name__ == "__main__":
    cli.main({"produce": produce, "consume": consume, "group": group, "seek": seek})
