#!/usr/bin/env python3
"""make bench: prints speed and memory figures, and keeps them as JSON lines under target/bench/.

    make bench                                   everything, Levada and the Apache peer
    make bench ARGS='files --runs 5 --no-peer'   one section, Levada alone

Figures compare within one run on one quiet machine; across machines they say little."""
import argparse
import os
import platform
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import clients  # noqa: E402
import cold  # noqa: E402
import files  # noqa: E402
import postgres_bench  # noqa: E402
import postgres_sink  # noqa: E402

SECTIONS = {"files": files, "cold": cold, "clients": clients, "postgres": postgres_bench, "sink": postgres_sink}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", default=list(SECTIONS), metavar="files|cold|clients|postgres|sink")
    parser.add_argument("--runs", type=int, default=3, help="repetitions of each Levada measurement")
    parser.add_argument("--lines", type=int, default=files.LINES)
    parser.add_argument("--records", type=int, default=1_000_000, help="1 KiB records of the clients section")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the PostgreSQL snapshot")
    parser.add_argument("--events", type=int, default=300_000, help="changes of the PostgreSQL catch-up")
    parser.add_argument("--upserts", type=int, default=200_000, help="rows that PostgreSQL's sink writes")
    parser.add_argument("--no-peer", dest="peer", action="store_false", help="leave Apache Kafka and Connect out")
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, {platform.platform()}, release profile (no LTO); MB and GB are 1e6 and 1e9 bytes", flush=True)
    for name in options.sections:
        SECTIONS[name].main(options)


if __name__ == "__main__":
    main()
