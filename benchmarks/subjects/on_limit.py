"""The least that PostgreSQL and the driver can do: buslog's tables with their indexes, bare statements, binary arrays,
no checks, no fan-out, no tasks, no decoding. Also the subject `commit`: one such commit.
"""

from __future__ import annotations

import asyncio
import json
import random
from datetime import datetime, timedelta
from functools import partial

import common
import psycopg
from common import BATCH, NAME, Drain, Latencies, payload

STORED = """stored AS (
        INSERT INTO buslog.messages (id, kind, routed, emitted_at, correlation_id, name, key, source, payload)
        SELECT id, 'event', 1, clock_timestamp(), id, name, key, 'bus', payload::jsonb FROM said)"""
DELIVER = """INSERT INTO buslog.deliveries (message_id, subscription_id, state, ready_seq)
    SELECT id, 1, 'pending', nextval('buslog.ready_seq') FROM said RETURNING message_id"""
ONE = "WITH said AS MATERIALIZED (SELECT uuidv7() AS id, %b::text AS name, %b::text AS key, %b::text AS payload),"
MANY = """WITH said AS MATERIALIZED (
        SELECT uuidv7() AS id, u.* FROM unnest(%b::text[], %b::text[], %b::text[]) AS u (name, key, payload)),"""
INSERT = f"{ONE} {STORED} {DELIVER}"
INSERT_MANY = f"{MANY} {STORED} {DELIVER}"
INSERT_AND_NOTIFY = f"{ONE} {STORED}, delivered AS ({DELIVER}) SELECT pg_notify('bench', '') FROM delivered"
CLAIM = """
    WITH ready AS MATERIALIZED (
        SELECT ctid FROM buslog.deliveries
        WHERE subscription_id = 1 AND state = 'pending' AND NOT alone AND ready_seq > %b
        ORDER BY ready_seq LIMIT %b FOR UPDATE SKIP LOCKED),
    taken AS (
        UPDATE buslog.deliveries d SET state = 'running', worker_id = 1, attempt = attempt + 1,
            started_at = clock_timestamp()
        WHERE d.ctid = ANY (ARRAY(SELECT ctid FROM ready))
        RETURNING message_id, subscription_id, ready_seq, attempt)
    SELECT t.*, m.kind::text, m.name, m.key, m.payload::text, m.emitted_at, m.correlation_id, m.causation_id
    FROM taken t JOIN buslog.messages m ON m.id = t.message_id"""
SETTLE = """
    WITH gone AS (
        DELETE FROM buslog.deliveries d
        USING unnest(%b::uuid[], %b::integer[], %b::bigint[]) AS o (message_id, subscription_id, ready_seq)
        WHERE d.message_id = o.message_id AND d.subscription_id = o.subscription_id AND d.ready_seq = o.ready_seq
          AND d.state = 'running'
        RETURNING d.*)
    INSERT INTO buslog.ended_deliveries
        (message_id, subscription_id, generation, attempts, repeats, chain, state, started_at, finished_at, worker)
    SELECT message_id, subscription_id, generation, attempt, repeats, chain, 'succeeded', started_at,
           clock_timestamp(), 'bench' FROM gone"""
PLAN = """
    SET plan_cache_mode = force_generic_plan; SET enable_hashjoin = off; SET enable_mergejoin = off;
    SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off"""


async def connect(options: dict, plan: str = ""):
    connection = await psycopg.AsyncConnection.connect(options["dsn"], autocommit=True)
    if plan:
        await connection.execute(plan)
    return connection


async def insert(connection, number: int = 0, statement: str = INSERT) -> int:
    """Returns the message's stamp."""
    said = payload(number)
    await connection.execute(statement, (NAME, said["shipmentId"], json.dumps(said)), prepare=True)
    return said[common.SENT]


async def insert_many(connection, said: list[dict]) -> None:
    columns = [NAME] * len(said), [one["shipmentId"] for one in said], [json.dumps(one) for one in said]
    await connection.execute(INSERT_MANY, columns, prepare=True)


class GroupCommit:
    """What is said while a commit is in flight goes out together in the next one."""

    def __init__(self, connection) -> None:
        self.connection = connection
        self.waiting: list[tuple[dict, asyncio.Future]] = []
        self.flushing: asyncio.Task | None = None

    def put(self, said: dict) -> asyncio.Future:
        stored = asyncio.get_running_loop().create_future()
        self.waiting.append((said, stored))
        if self.flushing is None:
            self.flushing = asyncio.create_task(self.flush())
        return stored

    async def flush(self) -> None:
        while self.waiting:
            batch, self.waiting = self.waiting, []
            await insert_many(self.connection, [said for said, _ in batch])
            for _, stored in batch:
                stored.set_result(None)
        self.flushing = None


async def emit(options: dict) -> None:
    connection = await connect(options)
    if options["callers"] == 1:
        await common.measure_rate(lambda: insert(connection), options)
    else:
        group = GroupCommit(connection)
        await common.measure_rate(lambda: group.put(payload()), options)


async def bulk(options: dict) -> None:
    connection = await connect(options)
    size = options["size"]
    await common.measure_rate(lambda: insert_many(connection, [payload(n) for n in range(size)]), options, size)


async def fill(options: dict) -> None:
    connection = await connect(options)
    for start in range(0, options["count"], 200):
        await insert_many(connection, [payload(n) for n in range(start, min(start + 200, options["count"]))])


async def drain(options: dict) -> None:
    claiming, settling = await connect(options, PLAN), await connect(options, PLAN)
    claimed: asyncio.Queue = asyncio.Queue(maxsize=2)

    async def settled() -> bool:
        return claimed.empty() and settle_idle.is_set()

    settle_idle = asyncio.Event()
    clock = Drain(options["count"], settled)

    async def claim() -> None:
        floor = 0
        while True:
            cursor = await claiming.execute(CLAIM, (floor, BATCH), prepare=True, binary=True)
            rows = await cursor.fetchall()
            if not rows:
                return
            floor = max(row[2] for row in rows)
            for _ in rows:
                clock.tick()
            await claimed.put(rows)

    async def settle() -> None:
        while True:
            if claimed.empty():
                settle_idle.set()
            rows = await claimed.get()
            settle_idle.clear()
            columns = [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]
            await settling.execute(SETTLE, columns, prepare=True)

    await asyncio.gather(claim(), settle(), clock.finish())


async def receive(options: dict) -> None:
    listening, claiming = await connect(options), await connect(options, PLAN)
    latencies = Latencies(options["count"])
    await listening.execute("LISTEN bench")
    common.say_ready()
    floor = 0
    async for _ in listening.notifies():
        cursor = await claiming.execute(CLAIM, (floor, BATCH), prepare=True, binary=True)
        for row in await cursor.fetchall():
            floor = max(floor, row[2])
            latencies.take(json.loads(row[7])["sent"])


async def send(options: dict) -> None:
    connection = await connect(options)
    await common.at_random(options["count"], options["gap"], lambda n: insert(connection, n, INSERT_AND_NOTIFY))
    common.answer()


async def local(options: dict) -> None:
    """Subject `commit`: how long one commit of a message and a delivery takes."""
    connection = await connect(options)
    latencies = Latencies(options["count"], leaving=False)

    async def one(number: int) -> None:
        latencies.take(await insert(connection, number))

    await common.at_random(options["count"], options["gap"], one)
    common.answer(latencies=latencies.found)


# ── the dashboard's reads, as bare queries ──────────────────────────────────────

COLUMNS = """m.id, m.kind, m.name, m.key, m.emitted_at, s.subscription, s.mode, e.state, e.generation, e.attempts,
    e.error_type, left(e.error, 300), e.finished_at"""
JOINED = """buslog.messages m JOIN buslog.ended_deliveries e ON e.message_id = m.id AND e.latest
    JOIN buslog.subscriptions s ON s.id = e.subscription_id"""
BROWSE = {
    "failed": f"""SELECT {COLUMNS} FROM {JOINED} WHERE e.state = 'failed'
                  ORDER BY e.message_id DESC, e.subscription_id DESC LIMIT 51""",
    "key": f"SELECT {COLUMNS} FROM {JOINED} WHERE m.key = %(key)s ORDER BY m.id DESC LIMIT 51",
    "name": f"SELECT {COLUMNS} FROM {JOINED} WHERE m.name = %(name)s ORDER BY m.id DESC LIMIT 51",
    "first": f"SELECT {COLUMNS} FROM {JOINED} ORDER BY m.id DESC LIMIT 51",
    "far": f"""SELECT {COLUMNS} FROM {JOINED} WHERE m.id <= %(far)s AND e.message_id <= %(far)s
               ORDER BY m.id DESC LIMIT 51""",
}
COUNTED = """
    WITH bounds AS MATERIALIZED (SELECT buslog.id_floor(%(since)s) AS low, buslog.id_floor(%(until)s) AS high)
    SELECT date_bin(%(bucket)s, buslog.id_time(id), 'epoch'), sum(messages), sum(failures), sum(errors)
    FROM bounds, LATERAL (
        SELECT id, 1 AS messages, 0 AS failures, 0 AS errors FROM buslog.messages WHERE id >= low AND id < high
        UNION ALL
        SELECT message_id, 0, 1, 0 FROM buslog.ended_deliveries
        WHERE state = 'failed' AND latest AND message_id >= low AND message_id < high
        UNION ALL
        SELECT message_id, 0, 0, 1 FROM buslog.attempts WHERE message_id >= low AND message_id < high
    ) AS facts GROUP BY 1"""


def browse(options: dict) -> None:
    with psycopg.connect(options["dsn"], autocommit=True) as connection:

        def look(which: str) -> None:
            asked = {
                "key": random.choice(options["keys"]),
                "name": f"name{random.randrange(40)}",
                "far": options["far"],
            }
            connection.execute(BROWSE[which], asked).fetchall()

        found = common.in_turn({which: partial(look, which) for which in BROWSE}, options["times"])
    common.answer(**found)


def chart(options: dict) -> None:
    """Counted from the log."""
    until = datetime.fromisoformat(options["until"])
    with psycopg.connect(options["dsn"], autocommit=True) as connection:

        def look(hours: int, bucket: float) -> list:
            asked = {"since": until - timedelta(hours=hours), "until": until, "bucket": timedelta(seconds=bucket)}
            return connection.execute(COUNTED, asked).fetchall()

        def sums(rows: list) -> dict:
            kinds = ("messages", "failures", "errors")
            return {what: int(sum(row[place] for row in rows)) for place, what in enumerate(kinds, 1)}

        looks = {name: partial(look, *asked) for name, asked in options["charts"].items()}
        latencies = common.in_turn(looks, options["times"])
        common.answer(latencies=latencies, sums={name: sums(one()) for name, one in looks.items()})


if __name__ == "__main__":
    common.run({f.__name__: f for f in (emit, bulk, fill, drain, receive, send, local, browse, chart)})
