"""Datasette on a SQLite file: a table of failures, indexed as its pages ask for it.

fill      a table of `count` rows in `file`, untimed
"""

from __future__ import annotations

import sqlite3
import sys

import common


def fill(options: dict) -> None:
    connection = sqlite3.connect(options["file"])
    connection.executescript("""
        DROP TABLE IF EXISTS failures;
        CREATE TABLE failures (id INTEGER PRIMARY KEY, emitted TEXT, name TEXT, key TEXT, subscription TEXT,
                               attempts INTEGER, error TEXT)""")
    connection.executemany(
        "INSERT INTO failures VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            (
                n,
                f"2026-03-14T08:30:00.{n:07d}",
                f"name{n % 40}",
                f"S-{n % 500000}",
                f"subscriber{n % 40}",
                3,
                "no answer",
            )
            for n in range(options["count"])
        ),
    )
    connection.commit()
    common.answer()


def serve(options: dict) -> None:
    command = [
        sys.executable,
        "-m",
        "datasette",
        "serve",
        "--immutable",
        options["file"],
        "--port",
        str(options["port"]),
    ]
    common.become_server(command, options["port"])


if __name__ == "__main__":
    common.run({"fill": fill, "serve": serve})
