"""drain_big_log: `drain` with a long log ÷ `drain` on an empty one. The log lies in the month that is being written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import LiteralString

from benchmarks.environments import say
from benchmarks.harness import Bench, Subject, Work
from benchmarks.works.drain import drain_rate
from buslog import db
from buslog.folding import FOLD_BATCH

BIG = "bench_big_log"

# The month's partitions without their indexes, filled, indexed and put back: minutes instead of an hour.
TAKE_OUT: LiteralString = """
    CREATE TEMP TABLE month AS
        SELECT suffix, from_time, until_time, buslog.id_floor(from_time) AS low, buslog.id_floor(until_time) AS high
        FROM buslog.partitions WHERE clock_timestamp() >= from_time AND clock_timestamp() < until_time;
    DO $$
    DECLARE parent text; one record;
    BEGIN
        SELECT * INTO one FROM month;
        FOREACH parent IN ARRAY ARRAY['messages', 'ended_deliveries'] LOOP
            EXECUTE format('ALTER TABLE buslog.%I DETACH PARTITION buslog.%I', parent, parent || '_' || one.suffix);
            EXECUTE format('DROP TABLE buslog.%I', parent || '_' || one.suffix);
            EXECUTE format('CREATE TABLE buslog.%I (LIKE buslog.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)',
                           parent || '_' || one.suffix, parent);
            EXECUTE format('CREATE VIEW pg_temp.%I AS SELECT * FROM buslog.%I', 'month_' || parent,
                           parent || '_' || one.suffix);
        END LOOP;
    END $$"""
FILL: LiteralString = """
    WITH said AS (
        SELECT buslog.new_id(month.from_time + (clock_timestamp() - month.from_time) * n / %(count)s) AS id, n
        FROM generate_series(%(first)s::int, %(last)s::int) AS n, month),
    stored AS (
        INSERT INTO month_messages (id, kind, routed, emitted_at, correlation_id, name, key, source, payload)
        SELECT id, 'event', 1, buslog.id_time(id), id, 'shipmentDeparted', 'S-' || n %% 100000, 'bus',
               jsonb_build_object('shipmentId', 'S-' || n %% 100000, 'event', 'DEPA')
        FROM said)
    INSERT INTO month_ended_deliveries
        (message_id, subscription_id, generation, attempts, repeats, state, started_at, finished_at, worker)
    SELECT id, 1, 1, 1, 0, 'succeeded', buslog.id_time(id), buslog.id_time(id), 'host:1' FROM said"""
PUT_BACK: LiteralString = """
    DO $$
    DECLARE parent text; one record; child text;
    BEGIN
        SELECT * INTO one FROM month;
        FOREACH parent IN ARRAY ARRAY['messages', 'ended_deliveries'] LOOP
            child := parent || '_' || one.suffix;
            EXECUTE format('DROP VIEW pg_temp.%I', 'month_' || parent);
            EXECUTE format('ALTER TABLE buslog.%I ATTACH PARTITION buslog.%I FOR VALUES FROM (%L) TO (%L)',
                           parent, child, one.low, one.high);
        END LOOP;
    END $$"""
STEP = 500_000


def make_big_log(bench: Bench, subject: Subject) -> Mapping[str, str]:
    """A database with so many ended deliveries, made once a run of the benchmarks."""
    if BIG not in bench.kept:
        where, count = bench.where(subject, BIG), bench.scale.logged
        with db.connect(where["dsn"]) as connection:
            connection.execute(TAKE_OUT)
            for first in range(1, count + 1, STEP):
                connection.execute(FILL, {"first": first, "last": min(first + STEP - 1, count), "count": count})
                say(f"  {min(first + STEP - 1, count):,} ended deliveries")
            connection.execute(PUT_BACK)
            connection.execute("VACUUM (ANALYZE) buslog.messages, buslog.ended_deliveries")
            say("  folding them")  # as the workers of a bus that had lived to write them would have
            while connection.execute("SELECT buslog.fold_series(%s)", [FOLD_BATCH]).fetchone() == (True,):
                pass
            connection.execute("CHECKPOINT")
        bench.kept[BIG] = where
    kept: Mapping[str, str] = bench.kept[BIG]
    return kept


def measure(bench: Bench, subject: Subject) -> Mapping[str, float]:
    big = make_big_log(bench, subject)
    empty = drain_rate(bench, subject, bench.where(subject))
    return {"drain_big_log": drain_rate(bench, subject, big) / empty}


WORKS = (Work({"drain_big_log": "×"}, ("buslog",), measure),)
