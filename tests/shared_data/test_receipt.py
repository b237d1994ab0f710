"""8,577 real events of a Dutch municipality's permit process, taken over and given back as they were."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from buslog import db
from buslog.desk import Actor
from buslog.export import stream
from buslog.filter import Filter
from buslog.history import ImportReport, import_history
from tests.conftest import SHARED, TestServer

FILE = SHARED / "receipt.jsonl"
ACTOR = Actor("local:tester", "cli")
WHOLE = tuple[str, str, datetime, str]  # name, key, emitted_at, payload as sorted JSON


def take(dsn: str) -> ImportReport:
    with FILE.open("rb") as file:
        return import_history(dsn, file, ACTOR)


@pytest.fixture(scope="module")
def receipt_dsn(server18: TestServer) -> Iterator[str]:
    """A database that has imported the file once."""
    dsn = server18.create()
    report = take(dsn)
    assert (report.added, report.known) == (8_577, 0)
    yield dsn
    server18.drop(dsn)


def told(row: dict[str, Any]) -> WHOLE:
    payload = row["payload"] if isinstance(row["payload"], dict) else json.loads(row["payload"])
    moment = datetime.fromisoformat(row["emitted_at"]).astimezone(UTC)
    return row["name"], row["key"], moment, json.dumps(payload, sort_keys=True)


def in_file() -> list[WHOLE]:
    return [told(json.loads(line)) for line in FILE.read_text(encoding="utf-8").splitlines()]


def exported(dsn: str, filter_: Filter) -> list[dict[str, str]]:
    text = b"".join(stream(dsn, filter_)).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def one(dsn: str, statement: Any) -> tuple[Any, ...]:
    with db.connect(dsn) as connection:
        row = connection.execute(statement).fetchone()
    assert row is not None
    return row


def test_the_log_has_8577_messages_27_names_and_1434_keys_over_2010_to_2012(receipt_dsn: str) -> None:
    assert one(
        receipt_dsn,
        """SELECT count(*), count(DISTINCT name), count(DISTINCT key), array_agg(DISTINCT state),
                  extract(year FROM min(emitted_at)), extract(year FROM max(emitted_at)) FROM buslog.log""",
    ) == (8_577, 27, 1_434, ["imported"], 2010, 2012)
    assert one(receipt_dsn, "SELECT count(*) FROM buslog.names") == (27,)


def test_importing_the_file_again_adds_nothing(receipt_dsn: str) -> None:
    report = take(receipt_dsn)
    assert (report.added, report.known) == (0, 8_577)
    assert one(receipt_dsn, "SELECT count(*) FROM buslog.messages") == (8_577,)


def test_the_export_agrees_with_the_file_in_names_times_keys_and_payloads(receipt_dsn: str) -> None:
    rows = exported(receipt_dsn, Filter())
    assert len(rows) == 8_577
    assert sorted(told(row) for row in rows) == sorted(in_file())
    assert len({row["message_id"] for row in rows}) == 8_577


def test_the_export_is_in_the_order_of_the_file_newest_first(receipt_dsn: str) -> None:
    assert [told(row) for row in exported(receipt_dsn, Filter())] == in_file()[::-1]


def test_the_key_case_891_shows_that_case_s_events_in_order(receipt_dsn: str) -> None:
    expected = [row for row in in_file() if row[1] == "case-891"]
    assert expected[0][0] == "Confirmation of receipt"
    assert [told(row) for row in exported(receipt_dsn, Filter(key="case-891"))][::-1] == expected


def test_both_versions_of_postgresql_give_the_lines_the_same_ids(receipt_dsn: str, dsn: str) -> None:
    take(dsn)
    ids = "SELECT md5(string_agg(id::text, ',' ORDER BY id)) FROM buslog.messages"
    assert one(dsn, ids) == one(receipt_dsn, ids)
