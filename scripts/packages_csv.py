#!/usr/bin/env python3
"""Rows of CSV (package, version, section, size, price, fields as JSON) out of a Debian package index, or of any text."""
import csv
import json
import sys


def stanzas(lines):
    fields, name = {}, None
    for line in lines:
        line = line.rstrip("\n")
        if not line:
            if fields:
                yield fields
            fields, name = {}, None
        elif line[0] in " \t" and name:
            fields[name] += "\n" + line.strip()
        else:
            name, _, value = line.partition(":")
            fields[name] = value.strip()
    if fields:
        yield fields


def main():
    out = csv.writer(sys.stdout)
    with open(sys.argv[1], encoding="utf-8", errors="replace") as file:
        for number, fields in enumerate(stanzas(file)):
            digits = fields.get("Size", "")
            size = int(digits) if digits.isdigit() else number
            out.writerow([fields.get("Package", f"text-{number}"), fields.get("Version"), fields.get("Section"), size, f"{size / 100:.2f}",
                          json.dumps(fields, ensure_ascii=False).replace("\\u0000", "")])


main()
