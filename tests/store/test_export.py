"""CSV straight from COPY."""

from __future__ import annotations

import csv
import io
import time
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from buslog import db
from buslog.errors import DatabaseUnavailable
from buslog.export import CHUNK, COLUMNS, stream_csv
from buslog.filter import Filter
from buslog.message import State

if TYPE_CHECKING:
    from tests.conftest import BusByHand


def read(chunks: Iterator[bytes]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(b"".join(chunks).decode())))


def fill(dsn: str, messages: int) -> None:
    with db.connect(dsn) as connection:
        connection.execute(
            """INSERT INTO buslog.messages (id, kind, routed, emitted_at, correlation_id, name, source, payload)
               SELECT id, 'event', 0, now(), id, 'filler', 'sql', jsonb_build_object('text', repeat('x', 300))
               FROM generate_series(1, %s) AS n,
                    LATERAL (SELECT buslog.new_id(now() + n * interval '1 us') AS id)""",
            (messages,),
        )


def test_an_export_carries_the_columns_of_the_public_view_in_its_order(dsn: str, connection: db.Connection) -> None:
    view = connection.execute("SELECT * FROM buslog.log")
    assert view.description is not None
    assert [column.name for column in view.description] == list(COLUMNS)
    assert b"".join(stream_csv(dsn, Filter())) == ",".join(COLUMNS).encode() + b"\n"


def test_an_export_holds_the_whole_filtered_set_newest_first_in_utc(dsn: str, by_hand: BusByHand) -> None:
    by_hand.subscribe("mail.notify", "shipmentDeparted")
    by_hand.subscribe("tracking.update", "shipmentDeparted")
    for number in range(3):
        by_hand.emit("shipmentDeparted", f'{{"shipmentId": "S-{number}", "remark": "a, \\"b\\"\\nc"}}')
    by_hand.work(**{"mail.notify": "failed"})
    by_hand.add_history("T02 Check", "2011-05-05T10:00:00.266001+02:00", key="case-1")
    rows = read(stream_csv(dsn, Filter()))
    assert [row["key"] for row in rows] == ["S-2", "S-2", "S-1", "S-1", "S-0", "S-0", "case-1"]
    assert rows[-1]["emitted_at"] == "2011-05-05T08:00:00.266001Z"
    assert rows[-1]["state"] == "imported"
    failed = read(stream_csv(dsn, Filter(states=(State.FAILED,))))
    assert [row["key"] for row in failed] == ["S-2", "S-1", "S-0"]
    assert {(row["subscription"], row["last_error_type"]) for row in failed} == {("mail.notify", "CarrierTimeout")}
    assert failed[0]["payload"] == '{"remark": "a, \\"b\\"\\nc", "shipmentId": "S-2"}'
    old = Filter(since=datetime(2011, 1, 1, tzinfo=UTC), until=datetime(2012, 1, 1, tzinfo=UTC))
    assert len(read(stream_csv(dsn, old))) == 1


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@cmd", '=HYPERLINK("http://x")'])
def test_a_text_that_looks_like_a_formula_begins_with_an_apostrophe(dsn: str, by_hand: BusByHand, text: str) -> None:
    by_hand.emit(text, key=text)
    (row,) = read(stream_csv(dsn, Filter(key=text)))
    assert (row["name"], row["key"]) == ("'" + text, "'" + text)
    assert row["payload"] == "{}"


def test_filter_values_are_bound_not_spliced(dsn: str, by_hand: BusByHand) -> None:
    by_hand.emit('it\'s 100% \\ "quoted"', key="'; DROP TABLE buslog.messages; --")
    for filter_ in (Filter(names=('it\'s 100% \\ "quoted"', "%s")), Filter(key="'; DROP TABLE buslog.messages; --")):
        assert len(read(stream_csv(dsn, filter_))) == 1


def test_chunks_are_some_64_kb_and_memory_stays_flat(dsn18: str) -> None:
    fill(dsn18, 30_000)
    tracemalloc.start()
    sizes = [len(chunk) for chunk in stream_csv(dsn18, Filter())]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(sizes) > 10_000_000
    assert max(sizes) < 2 * CHUNK
    assert peak < 3_000_000


def test_an_export_outlives_the_time_out_of_the_screens(dsn18: str) -> None:
    fill(dsn18, 20_000)
    with db.connect(dsn18) as connection:
        connection.execute("ALTER DATABASE " + connection.info.dbname + " SET statement_timeout = 200")
    chunks = stream_csv(dsn18, Filter())
    first = next(chunks)
    time.sleep(0.5)
    assert len(read(iter([first, *chunks]))) == 20_000


def test_closing_an_export_cancels_the_copy(dsn18: str) -> None:
    fill(dsn18, 100_000)
    chunks = stream_csv(dsn18, Filter())
    next(chunks)
    with db.connect(dsn18) as watching:
        running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY%' AND datname = current_database()"
        assert watching.execute(running).fetchone() == (1,)
        began = time.monotonic()
        chunks.close()
        assert time.monotonic() - began < 5
        assert watching.execute(running).fetchone() == (0,)


def test_nothing_is_read_before_the_first_chunk_and_a_dead_database_is_named_then() -> None:
    chunks = stream_csv("postgresql://user:secret@127.0.0.1:1/nowhere", Filter())
    with pytest.raises(DatabaseUnavailable) as down:
        next(chunks)
    assert "secret" not in str(down.value)
