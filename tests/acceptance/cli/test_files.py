"""export and import: what goes out of the log and into it."""

from __future__ import annotations

import csv
import json
import signal
import subprocess

import pytest

from buslog import db

from ..conftest import wait_until
from .conftest import Cli, value


def history(*, bad: bytes = b"", count: int = 50) -> bytes:
    lines = [
        json.dumps({
            "name": f"name {n % 3}", "key": f"S-{n}", "emitted_at": f"2011-0{n % 9 + 1}-02T03:04:05.{n:06}+02:00",
            "payload": {"n": n, "text": 'quote " comma , line\n'},
        }).encode()
        for n in range(count)
    ]  # fmt: skip
    return b"\n".join([*lines, bad, b""])


IMPORTING = """SELECT pid FROM pg_stat_activity WHERE query LIKE '%COPY import_lines%'
               AND datname = current_database() AND pid <> pg_backend_pid()"""


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(text.splitlines(keepends=True)))


def test_what_was_imported_is_exported_with_its_own_times_keys_and_payloads(cli: Cli) -> None:
    (cli.folder / "history.jsonl").write_bytes(history())
    assert cli("import", "history.jsonl").out == "added 50, known 0\n"
    rows = table(cli("export").out)
    assert list(rows[0]) == [
        "message_id", "kind", "name", "key", "emitted_at", "subscription", "mode", "state", "attempts",
        "last_error_type", "last_error", "finished_at", "correlation_id", "causation_id", "payload",
    ]  # fmt: skip
    found = sorted((row["key"], row["emitted_at"], row["state"], json.loads(row["payload"])["n"]) for row in rows)
    assert found == sorted(
        (f"S-{n}", f"2011-0{n % 9 + 1}-02T01:04:05.{n:06}Z", "imported", n) for n in range(50)
    )  # fmt: skip


def test_importing_a_file_twice_adds_nothing_and_is_no_failure(cli: Cli, connection: db.Connection) -> None:
    cli("import", "-", stdin=history())
    done = cli("import", "-", stdin=history())
    assert (done.code, done.out) == (0, "added 0, known 50\n")
    assert value(connection, "SELECT outcome ->> 'origin' FROM buslog.operations LIMIT 1") == "stdin"


def test_a_bad_line_is_named_ends_with_2_and_nothing_is_imported(cli: Cli, connection: db.Connection) -> None:
    bad = b'{"name": "x", "key": "k", "emitted_at": "2012-01-23T15:42:54", "payload": {"a": "hunter2"}}'
    (cli.folder / "history.jsonl").write_bytes(history(bad=bad))
    done = cli("import", "history.jsonl")
    assert (done.code, done.out) == (2, "")
    assert done.error == (
        "Error: line 51, emitted_at: has an offset from UTC (was '2012-01-23T15:42:54'). "
        "Write it as 2012-01-23T15:42:54.644+01:00."
    )
    assert value(connection, "SELECT count(*) FROM buslog.messages") == 0


def test_an_import_whose_database_breaks_off_ends_with_1_and_imports_nothing(
    cli: Cli, connection: db.Connection
) -> None:
    process = cli.start("import", "-", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(history())
    process.stdin.flush()
    wait_until(lambda: connection.execute(IMPORTING).fetchone())
    connection.execute(f"SELECT pg_terminate_backend(pid) FROM ({IMPORTING}) AS p")
    out, err = process.communicate(history(count=2000), timeout=60)
    assert (process.returncode, out) == (1, b"")
    assert b"Error: database: answers" in err
    assert b"Traceback" not in err
    assert value(connection, "SELECT count(*) FROM buslog.messages") == 0


def test_an_import_that_is_interrupted_imports_nothing(cli: Cli, connection: db.Connection) -> None:
    process = cli.start("import", "-", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(history())
    process.stdin.flush()
    wait_until(lambda: connection.execute(IMPORTING).fetchone())
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in err
    assert value(connection, "SELECT count(*) FROM buslog.messages") == 0


def test_an_export_is_what_it_is_asked_to_be_and_in_the_audit(cli: Cli, connection: db.Connection) -> None:
    cli("emit", "said", "{}", "--key", "S-7")
    assert cli("export", "--format", "excel").out.splitlines()[1].split(";")[2:4] == ["said", "S-7"]
    process = cli.start("export", "--format", "parquet", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out[:4], out[-4:]) == (0, b"PAR1", b"PAR1"), err
    audited = connection.execute(
        "SELECT verb, outcome ->> 'format' FROM buslog.operations WHERE verb ~ 'export' ORDER BY id"
    )
    assert audited.fetchall() == [
        (verb, format_) for format_ in ("excel", "parquet") for verb in ("export", "export ended")
    ]


def test_an_export_in_two_formats_at_once_is_misuse(cli: Cli) -> None:
    refused = cli("export", "--format", "parquet", "--json")
    assert (refused.code, refused.out, "leave --format out" in refused.fields["rule"]) == (2, "", True)


def test_export_is_filtered_by_key_name_state_and_time(cli: Cli) -> None:
    cli("import", "-", stdin=history())
    cli("emit", "name 1", "{}", "--key", "S-7")

    def keys(*options: str) -> list[str]:
        return sorted(row["key"] for row in table(cli("export", *options).out))

    assert keys("--key", "S-7") == ["S-7", "S-7"]
    assert keys("--key", "S-7", "--state", "imported") == ["S-7"]
    assert keys("--state", "unrouted", "--state", "failed") == ["S-7"]
    assert len(keys("--name", "name 1", "--name", "name 2", "--state", "imported")) == 33
    assert keys("--from", "2011-09-02", "--to", "2011-09-02T01:04:05.000010Z") == ["S-8"]
    assert keys("--key", "nobody") == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--state", "faild"], "Did you mean failed?"),
        (["--from", "yesterday"], "from: is a date or time in ISO 8601"),
    ],
)
def test_a_nonsense_filter_ends_with_2(cli: Cli, options: list[str], told: str) -> None:
    done = cli("export", *options)
    assert (done.code, done.out) == (2, "")
    assert told in done.error


def test_a_reader_that_has_enough_ends_an_export_quietly(cli: Cli, connection: db.Connection) -> None:
    cli("import", "-", stdin=history(count=8_000))
    process = cli.start("export", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.read(100)
    process.stdout.close()
    told = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(timeout=60) == 0
    assert told.startswith("Database: ")
    assert told.count("\n") == 1
    wait_until(lambda: value(connection, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY%%'") == 0)
