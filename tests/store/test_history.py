"""An import: all lines or none, each once, with its own time, never executed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from buslog import db
from buslog.desk import Actor
from buslog.errors import InvalidImport
from buslog.history import ImportReport, import_history

ACTOR = Actor("local:tester", "cli")


def line(name: str = "departed", **changes: Any) -> bytes:
    whole = {"name": name, "key": "S-42", "emitted_at": "2012-01-23T15:42:54.644+01:00", "payload": {"a": 1}}
    return json.dumps({field: value for field, value in {**whole, **changes}.items() if value is not ...}).encode()


def ended(subscription: str = "mail:send", state: str = "failed", **changes: Any) -> dict[str, Any]:
    return {
        "subscription": subscription, "state": state, "attempts": 8, "finished_at": "2012-01-23T15:50:00+01:00",
        "error_type": "TimeoutError", "error": "no answer\nfrom the carrier", **changes,
    }  # fmt: skip


def take(dsn: str, *lines: bytes) -> ImportReport:
    return import_history(dsn, lines, ACTOR)


def rows(connection: db.Connection, statement: Any, *values: Any) -> list[tuple[Any, ...]]:
    return connection.execute(statement, values).fetchall()


def test_imported_lines_are_in_the_log_as_they_were(dsn: str, connection: db.Connection) -> None:
    payload = {"a": [1.50, "ü", None, {"b": 12345678901234567890}]}
    cause = "0189a1b2-0000-7000-8000-000000000001"
    thread = "0189a1b2-0000-7000-8000-000000000002"
    report = take(dsn, line("T02 Check", payload=payload, kind="command", causation_id=cause, correlation_id=thread))
    moment = datetime(2012, 1, 23, 14, 42, 54, 644000, tzinfo=UTC)
    assert report == ImportReport(lines=1, added=1, known=0, deliveries=0, first=moment, last=moment)
    assert rows(
        connection,
        """SELECT kind::text, name, key, emitted_at, state, subscription, correlation_id::text, causation_id::text,
                  payload FROM buslog.log""",
    ) == [("command", "T02 Check", "S-42", moment, "imported", None, thread, cause, payload)]
    assert rows(connection, "SELECT source, actor, routed FROM buslog.messages") == [("import", None, 0)]


def test_numbers_keep_every_digit(dsn: str, connection: db.Connection) -> None:
    take(dsn, line().replace(b'"a": 1', b'"a": 12.10, "b": 0.1000000000000000055511151231257827021181583404541015625'))
    assert rows(connection, "SELECT payload::text FROM buslog.messages") == [
        ('{"a": 12.10, "b": 0.1000000000000000055511151231257827021181583404541015625}',)
    ]


def test_a_line_without_a_thread_begins_its_own(dsn: str, connection: db.Connection) -> None:
    take(dsn, line())
    assert rows(connection, "SELECT correlation_id = id FROM buslog.messages") == [(True,)]


def test_a_line_without_a_key_takes_it_from_the_payload_like_an_emit(dsn: str, connection: db.Connection) -> None:
    take(dsn, line(key=..., payload={"shipmentId": "S-7"}), line(key=None, payload={"shipmentId": 8}), line(key=...))
    assert sorted(rows(connection, "SELECT coalesce(key, 'none') FROM buslog.messages")) == [
        ("8",), ("S-7",), ("none",)
    ]  # fmt: skip


def test_ids_order_and_bound_like_those_of_emitted_messages(dsn: str, connection: db.Connection) -> None:
    start = datetime(2012, 1, 23, 14, 42, 54, 999_000, tzinfo=UTC)
    times = [start + timedelta(microseconds=7 * step) for step in range(300)]
    take(dsn, *(line(emitted_at=moment.isoformat()) for moment in times))
    assert rows(
        connection,
        """SELECT count(*), bool_and(id >= buslog.id_floor(emitted_at)
                                     AND id < buslog.id_floor(emitted_at + interval '1 microsecond'))
           FROM buslog.messages""",
    ) == [(300, True)]
    assert [row[0] for row in rows(connection, "SELECT emitted_at FROM buslog.messages ORDER BY id")] == times


def test_nothing_imported_is_ever_executed(dsn: str, connection: db.Connection) -> None:
    connection.execute(
        """WITH s AS (INSERT INTO buslog.subscriptions (subscription, kind, mode, chain_order, position, policy)
                      VALUES ('mail:send', 'event', 'async', 0, 0, '{}') RETURNING id)
           INSERT INTO buslog.routes SELECT 'departed', id FROM s"""
    )
    take(dsn, line(), line(key="S-43", deliveries=[ended()]))
    assert rows(connection, "SELECT count(*) FROM buslog.deliveries") == [(0,)]


def test_deliveries_are_taken_over_as_they_ended(dsn: str, connection: db.Connection) -> None:
    deliveries = [
        ended(),
        ended("status:update", "succeeded", attempts=1, error_type=None, error=None),
        ended("tasks:make", "cancelled", attempts=0, error_type=None, error=None),
    ]
    assert take(dsn, line(deliveries=deliveries)).deliveries == 3
    finished = datetime(2012, 1, 23, 14, 50, tzinfo=UTC)
    assert rows(
        connection,
        """SELECT subscription, state, attempts, finished_at, last_error_type, last_error
           FROM buslog.log ORDER BY subscription""",
    ) == [
        ("mail:send", "failed", 8, finished, "TimeoutError", "no answer\nfrom the carrier"),
        ("status:update", "succeeded", 1, finished, None, None),
        ("tasks:make", "cancelled", 0, finished, None, None),
    ]


def test_a_subscription_that_only_history_knows_is_inactive(dsn: str, connection: db.Connection) -> None:
    take(dsn, line(deliveries=[ended()]), line("sendMail", kind="command", deliveries=[ended("mail:command")]))
    assert rows(
        connection, "SELECT subscription, kind::text, active, policy FROM buslog.subscriptions ORDER BY subscription"
    ) == [("mail:command", "command", False, {}), ("mail:send", "event", False, {})]


def test_importing_the_same_lines_twice_adds_nothing(dsn: str, connection: db.Connection) -> None:
    lines = [line(key=f"S-{number}", deliveries=[ended()]) for number in range(20)]
    first, second = take(dsn, *lines), take(dsn, *lines)
    assert (first.added, first.known, first.deliveries) == (20, 0, 20)
    assert (second.added, second.known, second.deliveries) == (0, 20, 0)
    assert rows(connection, "SELECT count(*) FROM buslog.log") == [(20,)]


def test_a_line_that_stands_twice_in_a_file_is_one_message(dsn: str, connection: db.Connection) -> None:
    report = take(dsn, line(deliveries=[ended()]), line(deliveries=[ended()]))
    assert (report.lines, report.added, report.known, report.deliveries) == (2, 1, 1, 1)


def test_a_longer_file_adds_only_what_is_new(dsn: str, connection: db.Connection) -> None:
    take(dsn, line(key="S-1"))
    assert take(dsn, line(key="S-1"), line(key="S-2")).added == 1
    assert rows(connection, "SELECT key FROM buslog.messages ORDER BY key") == [("S-1",), ("S-2",)]


@pytest.mark.parametrize(
    "bad",
    [line(emitted_at="2012-01-23T15:42:54"), line(payload={"a": "\x00"}), b"{", line(deliveries=[ended(state="x")])],
    ids=["time without offset", "NUL", "broken JSON", "state"],
)
def test_a_bad_line_is_named_and_nothing_is_half_imported(dsn: str, connection: db.Connection, bad: bytes) -> None:
    good = [line(key=f"S-{number}", deliveries=[ended()]) for number in range(5_000)]
    with pytest.raises(InvalidImport, match=r"^line 5002"):
        take(dsn, *good, b"\n", bad, *good)
    for table in ("messages", "ended_deliveries", "subscriptions", "names", "operations"):
        assert rows(connection, f"SELECT count(*) FROM buslog.{table}") == [(0,)]
    assert rows(connection, "SELECT count(*) FROM buslog.partitions WHERE suffix LIKE 'y%%'") == [(0,)]


def test_an_unfit_key_in_the_payload_is_named_by_its_line(dsn: str, connection: db.Connection) -> None:
    with pytest.raises(InvalidImport, match=r"^line 3, payload\.shipmentId: .*300 characters"):
        take(dsn, line(), line(), line(key=..., payload={"shipmentId": "x" * 300}))
    assert rows(connection, "SELECT count(*) FROM buslog.messages") == [(0,)]


def test_a_source_that_breaks_off_leaves_nothing(dsn: str, connection: db.Connection) -> None:
    def breaking() -> Iterator[bytes]:
        yield line()
        raise OSError("unplugged")

    with pytest.raises(OSError, match="unplugged"):
        import_history(dsn, breaking(), ACTOR)
    assert rows(connection, "SELECT count(*) FROM buslog.messages") == [(0,)]


def test_an_import_of_nothing_is_no_error(dsn: str, connection: db.Connection) -> None:
    assert take(dsn, b"\xef\xbb\xbf\n", b"\n") == ImportReport(0, 0, 0, 0, None, None)


def test_history_makes_the_partitions_it_needs_and_no_others(dsn: str, connection: db.Connection) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(hours=23)).isoformat()
    take(
        dsn, line(emitted_at="1970-01-01T00:00:00Z"), line(emitted_at="2011-12-31T23:59:59.999999-12:00"),
        line(emitted_at=tomorrow),
    )  # fmt: skip
    assert rows(connection, "SELECT suffix FROM buslog.partitions WHERE suffix LIKE 'y%%' ORDER BY suffix") == [
        ("y1970",), ("y2012",)
    ]  # fmt: skip
    assert rows(connection, "SELECT count(*) FROM buslog.messages") == [(3,)]


def test_names_are_known_from_when_history_first_saw_them(dsn: str, connection: db.Connection) -> None:
    connection.execute("SELECT buslog.emit('departed', '{}')")
    take(
        dsn,
        line(emitted_at="2012-01-02T00:00:00Z"),
        line(emitted_at="2012-01-01T00:00:00Z"),
        line("sent", kind="command"),
    )
    assert rows(connection, "SELECT name, kind::text, first_seen FROM buslog.names ORDER BY name") == [
        ("departed", "event", datetime(2012, 1, 1, tzinfo=UTC)),
        ("sent", "command", datetime(2012, 1, 23, 14, 42, 54, 644000, tzinfo=UTC)),
    ]


def test_an_import_leaves_its_audit_row(dsn: str, connection: db.Connection) -> None:
    import_history(dsn, [line(), line()], ACTOR, origin="receipt.jsonl")
    assert rows(connection, "SELECT actor, verb, outcome FROM buslog.operations") == [
        ("local:tester", "import", {"origin": "receipt.jsonl", "lines": 2, "added": 1, "known": 1, "deliveries": 0})
    ]


def test_two_imports_of_one_file_at_once_add_it_once(dsn: str, connection: db.Connection) -> None:
    lines = [line(f"name {number % 9}", key=f"S-{number}", deliveries=[ended()]) for number in range(3_000)]
    take(dsn, line("first"))  # the partition is there: nothing but the lines themselves makes the two wait
    reports: list[ImportReport] = []

    def importing(order: Iterable[bytes]) -> None:
        reports.append(import_history(dsn, order, ACTOR))

    threads = [threading.Thread(target=importing, args=(order,)) for order in (lines, lines[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(report.added for report in reports) == [0, 3_000]
    assert rows(connection, "SELECT count(*) FROM buslog.log") == [(3_001,)]


def test_emits_go_on_while_an_import_is_open(dsn: str, connection: db.Connection) -> None:
    connection.execute("SET statement_timeout = '3s'")

    def emitting_between() -> Iterator[bytes]:
        for number in range(2_000):
            if number % 500 == 0:
                connection.execute("SELECT buslog.emit('departed', '{}')")
            yield line(key=f"S-{number}")

    assert import_history(dsn, emitting_between(), ACTOR).added == 2_000
    assert rows(connection, "SELECT count(*) FROM buslog.messages WHERE source = 'sql'") == [(4,)]


def test_progress_tells_how_many_lines_were_checked_and_stored(dsn: str) -> None:
    told: list[tuple[str, int]] = []
    lines = [line(key=f"S-{number}") for number in range(2_500)]
    import_history(dsn, lines, ACTOR, progress=lambda step, count: told.append((step, count)))
    assert told == [("checking", 1_000), ("checking", 2_000), ("checking", 2_500), ("storing", 2_500)]
