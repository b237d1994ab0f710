"""The whole filtered set as a file, straight from COPY."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, LiteralString

import pandas as pd
import pytest

from buslog import db
from buslog.desk import Actor
from buslog.errors import DatabaseUnavailable
from buslog.export import CHUNK, COLUMNS, TIMES, Exports, Format, _compiled, _query, stream
from buslog.filter import Filter
from buslog.masking import MASKED
from buslog.message import State

if TYPE_CHECKING:
    from tests.conftest import BusByHand


def read(chunks: Iterator[bytes]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(b"".join(chunks).decode())))


def fill(dsn: str, messages: int, name: str = "filler") -> None:
    with db.connect(dsn) as connection:
        connection.execute(
            """INSERT INTO buslog.messages (id, kind, routed, emitted_at, correlation_id, name, source, payload)
               SELECT id, 'event', 0, now(), id, %s, 'sql', jsonb_build_object('text', repeat('x', 300))
               FROM generate_series(1, %s) AS n,
                    LATERAL (SELECT buslog.new_id(now() + n * interval '1 us') AS id)""",
            (name, messages),
        )


def test_an_export_carries_the_columns_of_the_public_view_in_its_order(dsn: str, connection: db.Connection) -> None:
    view = connection.execute("SELECT * FROM buslog.log")
    assert view.description is not None
    assert [column.name for column in view.description] == list(COLUMNS)
    assert b"".join(stream(dsn, Filter())) == ",".join(COLUMNS).encode() + b"\n"


def test_an_export_holds_the_whole_filtered_set_newest_first_in_utc(dsn: str, by_hand: BusByHand) -> None:
    by_hand.subscribe("mail.notify", "shipmentDeparted")
    by_hand.subscribe("tracking.update", "shipmentDeparted")
    for number in range(3):
        by_hand.emit("shipmentDeparted", f'{{"shipmentId": "S-{number}", "remark": "a, \\"b\\"\\nc"}}')
    by_hand.work(**{"mail.notify": "failed"})
    by_hand.add_history("T02 Check", "2011-05-05T10:00:00.266001+02:00", key="case-1")
    rows = read(stream(dsn, Filter()))
    assert [row["key"] for row in rows] == ["S-2", "S-2", "S-1", "S-1", "S-0", "S-0", "case-1"]
    assert rows[-1]["emitted_at"] == "2011-05-05T08:00:00.266001Z"
    assert rows[-1]["state"] == "imported"
    failed = read(stream(dsn, Filter(states=(State.FAILED,))))
    assert [row["key"] for row in failed] == ["S-2", "S-1", "S-0"]
    assert {(row["subscription"], row["last_error_type"]) for row in failed} == {("mail.notify", "CarrierTimeout")}
    assert failed[0]["payload"] == '{"remark": "a, \\"b\\"\\nc", "shipmentId": "S-2"}'
    old = Filter(since=datetime(2011, 1, 1, tzinfo=UTC), until=datetime(2012, 1, 1, tzinfo=UTC))
    assert len(read(stream(dsn, old))) == 1


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@cmd", '=HYPERLINK("http://x")'])
def test_a_text_that_looks_like_a_formula_begins_with_an_apostrophe(dsn: str, by_hand: BusByHand, text: str) -> None:
    by_hand.emit(text, key=text)
    (row,) = read(stream(dsn, Filter(key=text)))
    assert (row["name"], row["key"]) == ("'" + text, "'" + text)
    assert row["payload"] == "{}"


NASTY = [
    "", "=1+1", "+1", "-1", "@cmd", "\ttab", "\rreturn", "'=1", " =1", "1-1", "ä=1", "é 船", "=é 船", '"', 'a "b"',
    '="a"', ",", ";", "a\nb", "\n=1", "\u00a0", "\\.", "\\N", "NULL", "\u22121", "𝄞",
]  # fmt: skip


@pytest.mark.parametrize(
    ("format_", "delimiter", "time"),
    [(Format.CSV, ",", "%Y-%m-%dT%H:%M:%S.%fZ"), (Format.EXCEL, ";", "%Y-%m-%d %H:%M:%S")],
)
def test_each_byte_of_a_file_is_as_it_should_be_whatever_was_said(
    dsn: str, by_hand: BusByHand, format_: Format, delimiter: str, time: str
) -> None:
    """Also of what is empty, and of what is not there."""
    by_hand.subscribe("=mail", "said")
    for _ in NASTY:
        by_hand.emit("said")
    by_hand.work(**{"=mail": "failed"})
    by_hand.run(
        """UPDATE buslog.messages m SET name = n.text, key = n.text
           FROM (SELECT id, row_number() OVER (ORDER BY id) AS place FROM buslog.messages) AS p
           JOIN unnest(%s::text[]) WITH ORDINALITY AS n (text, place) USING (place) WHERE p.id = m.id""",
        NASTY,
    )
    by_hand.run(
        """UPDATE buslog.ended_deliveries e SET error_type = m.name, error = m.name
           FROM buslog.messages m WHERE m.id = e.message_id"""
    )
    by_hand.emit("said")
    by_hand.add_history("=2", "2011-05-05T10:00:00.26+00:00", state="imported")

    def cell(value: object) -> str:
        if value is None:
            return ""
        if isinstance(value, datetime):
            return value.strftime(time)
        text = str(value)
        safe = f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
        doubled = safe.replace('"', '""')
        return f'"{doubled}"' if not safe or any(one in safe for one in f'{delimiter}"\n\r') else safe

    rows = by_hand.run("SELECT * FROM buslog.log ORDER BY message_id DESC")
    assert len(rows) == len(NASTY) + 2
    lines = [delimiter.join(map(cell, (*row[:-1], "{}"))) for row in rows]
    first, _, rest = b"".join(stream(dsn, Filter(), format_)).partition(b"\n")
    assert first.count(delimiter.encode()) == len(COLUMNS) - 1
    assert rest.decode() == "".join(f"{line}\n" for line in lines)


def test_filter_values_are_bound_not_spliced(dsn: str, by_hand: BusByHand) -> None:
    by_hand.emit('it\'s 100% \\ "quoted"', key="'; DROP TABLE buslog.messages; --")
    for filter_ in (Filter(names=('it\'s 100% \\ "quoted"', "%s")), Filter(key="'; DROP TABLE buslog.messages; --")):
        assert len(read(stream(dsn, filter_))) == 1


def frame(chunks: Iterable[bytes]) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(b"".join(chunks)), dtype=str)


def test_excel_and_parquet_hold_what_the_csv_holds(dsn: str, by_hand: BusByHand) -> None:
    by_hand.subscribe("mail.notify", "shipmentDeparted")
    for text in ('a, "b"; c\nd', "=1+1", "é 船", "", "{9007199254740993}"):
        by_hand.emit("shipmentDeparted", json.dumps({"shipmentId": "S-1", "remark": text, "n": 2**53 + 1}))
    by_hand.work(**{"mail.notify": "failed"})
    by_hand.emit("nobody's", key="=HYPERLINK(1)")
    by_hand.add_history("T02 Check", "2011-05-05T10:00:00.266001+02:00")
    plain = frame(stream(dsn, Filter(), Format.CSV))
    excel = b"".join(stream(dsn, Filter(), Format.EXCEL))
    assert excel.startswith("\ufeffmessage_id;".encode())
    read_by_excel = pd.read_csv(io.BytesIO(excel), sep=";", dtype=str, encoding="utf-8-sig")
    assert list(read_by_excel) == [f"{name} (UTC)" if name in TIMES else name for name in COLUMNS]
    read_by_excel.columns = pd.Index(COLUMNS)
    parquet = pd.read_parquet(io.BytesIO(b"".join(stream(dsn, Filter(), Format.PARQUET))))
    assert list(parquet) == list(COLUMNS)
    for column in COLUMNS:
        if column in TIMES:
            moments = pd.to_datetime(plain[column])
            assert str(parquet[column].dtype) == "datetime64[us, UTC]"
            assert parquet[column].dropna().tolist() == moments.dropna().tolist()
            told = moments.dropna().dt.strftime("%Y-%m-%d %H:%M:%S").tolist()
            assert read_by_excel[column].dropna().tolist() == told
        else:
            assert read_by_excel[column].fillna("").tolist() == plain[column].fillna("").tolist()
    assert parquet["attempts"].dropna().tolist() == [1] * 5
    assert parquet["payload"].tolist() == plain["payload"].tolist()
    assert parquet["message_id"].tolist() == plain["message_id"].tolist()
    # Formulas are for spreadsheets only.
    assert (parquet["key"][0], plain["key"][0]) == ("=HYPERLINK(1)", "'=HYPERLINK(1)")


@pytest.mark.parametrize(
    "filter_", [Filter(), Filter(states=(State.FAILED,)), Filter(names=("filler",))], ids=["all", "failed", "name"]
)
def test_an_export_neither_sorts_nor_asks_a_query_for_each_row(dsn: str, filter_: Filter) -> None:
    fill(dsn, 2000)
    statement, values = _compiled(_query(filter_, Format.CSV))
    with db.connect(dsn) as connection:
        connection.execute("SET enable_sort = off")
        connection.execute("ANALYZE buslog.messages")
        plan = "\n".join(row[0] for row in connection.execute(f"EXPLAIN {statement}".encode(), values).fetchall())
    assert "SubPlan" not in plan
    assert not re.search(r"(?<!Incremental )Sort  \(", plan), plan


def test_an_empty_parquet_file_has_its_columns(dsn18: str) -> None:
    assert list(pd.read_parquet(io.BytesIO(b"".join(stream(dsn18, Filter(), Format.PARQUET))))) == list(COLUMNS)


@pytest.mark.parametrize("format_", Format)
def test_what_is_masked_is_in_no_file(dsn18: str, by_hand18: BusByHand, format_: Format) -> None:
    by_hand18.emit("said", '{"email": "a@b.example", "note": ""}', key='a;,"b')
    by_hand18.run("UPDATE buslog.settings SET mask_fields = '{email}'")
    whole = b"".join(stream(dsn18, Filter(), format_))
    assert b"a@b.example" not in whole
    if format_ is Format.PARQUET:
        rows = pd.read_parquet(io.BytesIO(whole))
    elif format_ is Format.JSON:
        rows = pd.DataFrame([json.loads(line) for line in whole.splitlines()])
        rows["payload"] = rows["payload"].map(json.dumps)
    else:
        separator = ";" if format_ is Format.EXCEL else ","
        rows = pd.read_csv(io.BytesIO(whole), sep=separator, encoding="utf-8-sig")
    assert json.loads(rows["payload"][0]) == {"email": MASKED, "note": ""}
    assert rows["key"][0] == 'a;,"b'
    assert pd.isna(rows["subscription"][0]), "what is null stays null"


MEASURED = """
import sys
from buslog.export import Format, stream
from buslog.filter import Filter

def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))

dsn, format_ = sys.argv[1], Format(sys.argv[2])
sum(map(len, stream(dsn, Filter(names=("warm",)), format_)))
open("/proc/self/clear_refs", "w").write("5")
before = peak()
sizes = [len(chunk) for chunk in stream(dsn, Filter(names=("filler",)), format_)]
print(sum(sizes), max(sizes), (peak() - before) * 1024)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize(("format_", "room"), [("csv", 20_000_000), ("parquet", 30_000_000)])
def test_the_memory_of_a_process_that_exports_stays_flat(dsn18: str, format_: str, room: int) -> None:
    fill(dsn18, 100, "warm")
    fill(dsn18, 160_000)
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, dsn18, format_], capture_output=True, text=True, check=True, timeout=60
    )
    size, longest, grown = map(int, done.stdout.split())
    if format_ == "csv":
        assert size > 70_000_000
        assert longest < 2 * CHUNK
    assert grown < room


def test_an_export_outlives_the_time_out_of_the_screens(dsn18: str) -> None:
    fill(dsn18, 20_000)
    with db.connect(dsn18) as connection:
        connection.execute("ALTER DATABASE " + connection.info.dbname + " SET statement_timeout = 500")
    chunks = stream(dsn18, Filter())
    first = next(chunks)
    time.sleep(0.8)
    assert len(read(iter([first, *chunks]))) == 20_000


def test_closing_an_export_cancels_the_copy(dsn18: str) -> None:
    fill(dsn18, 100_000)
    chunks = stream(dsn18, Filter())
    next(chunks)
    with db.connect(dsn18) as watching:
        running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY%' AND datname = current_database()"
        assert watching.execute(running).fetchone() == (1,)
        began = time.monotonic()
        chunks.close()
        assert time.monotonic() - began < 15
        assert watching.execute(running).fetchone() == (0,)


def test_nothing_is_read_before_the_first_chunk_and_a_dead_database_is_named_then() -> None:
    chunks = stream("postgresql://user:secret@127.0.0.1:1/nowhere", Filter())
    with pytest.raises(DatabaseUnavailable) as down:
        next(chunks)
    assert "secret" not in str(down.value)


def copies(dsn: str) -> int:
    with db.connect(dsn) as watching:
        row = watching.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY%' AND state = 'active' "
            "AND datname = current_database()"
        ).fetchone()
    assert row is not None
    return int(row[0])


def wait_until(is_so: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < give_up_at
        time.sleep(0.02)


def test_a_reader_who_leaves_while_the_database_still_looks_cancels_the_copy(dsn18: str) -> None:
    fill(dsn18, 1000)
    exported = stream(dsn18, Filter())

    def read_all() -> None:
        with contextlib.suppress(DatabaseUnavailable):
            for _ in exported:
                pass

    with db.connect(dsn18) as blocking, blocking.transaction(force_rollback=True):
        blocking.execute("LOCK TABLE buslog.messages IN ACCESS EXCLUSIVE MODE")
        reading = threading.Thread(target=read_all)
        reading.start()
        wait_until(lambda: copies(dsn18) == 1)
        exported.close()
        reading.join(timeout=30)
        assert not reading.is_alive()
        assert copies(dsn18) == 0
    assert not exported.progress.is_whole


@pytest.mark.parametrize("format_", Format)
def test_a_file_that_was_cut_off_says_so_at_its_end(dsn18: str, format_: Format) -> None:
    fill(dsn18, 100_000)
    exported = stream(dsn18, Filter(), format_)
    got = [next(exported)]
    with db.connect(dsn18) as killing:
        killing.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE query LIKE 'COPY%' AND datname = current_database()"
        )
    with pytest.raises(DatabaseUnavailable):
        got.extend(exported)
    assert not exported.progress.is_whole
    whole = b"".join(got)
    if format_ is Format.PARQUET:
        with pytest.raises(ValueError, match="Parquet"):
            pd.read_parquet(io.BytesIO(whole))
    elif format_ is not Format.JSON:
        *rows, last = whole.decode().splitlines()
        assert last.startswith(f"CUT OFF after {exported.progress.rows} rows")
        assert len(rows) - 1 == exported.progress.rows, "each row that is counted is in the file"


def test_an_export_is_in_the_audit_when_it_begins_and_when_it_ends(dsn: str, by_hand: BusByHand) -> None:
    for _ in range(3):
        by_hand.emit("said", key="S-1")
    exports = Exports(dsn, Actor("anna", "dashboard"))
    assert len(read(exports.export(Filter(key="S-1")))) == 3
    fill(dsn, 50_000)
    exported = exports.export(Filter(names=("filler",)), Format.EXCEL)
    next(exported)
    audit: LiteralString = "SELECT actor, verb, outcome FROM buslog.operations ORDER BY id"
    asked = {"format": "csv", "filter": {"key": "S-1"}}
    of_filler = {"format": "excel", "filter": {"name": ["filler"]}}
    assert by_hand.run(audit) == [
        ("anna", "export", asked), ("anna", "export ended", {**asked, "rows": 3, "finished": True}),
        ("anna", "export", of_filler),
    ]  # fmt: skip
    next(exported)
    exported.close()
    *_, (_, verb, outcome) = by_hand.run(audit)
    assert (verb, outcome["finished"]) == ("export ended", False)
    assert 0 < outcome["rows"] < 50_000
