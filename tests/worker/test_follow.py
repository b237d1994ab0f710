"""events and once: the log, followed live."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from pydantic import BaseModel

from buslog import Bus, Event, Record, Stream, StreamEnded, db, follow
from buslog.errors import BusNotStarted, InvalidSubscription, Misconfigured

from .conftest import until


@pytest.fixture
async def started(bus: Bus) -> AsyncIterator[Bus]:
    async with bus:
        yield bus


async def read(stream: Stream[Any], count: int, seconds: float = 30.0) -> list[Any]:
    """The payload's n of the next records."""
    async with asyncio.timeout(seconds):
        return [(await anext(stream)).payload["n"] for _ in range(count)]


async def nothing_more(stream: Stream[Any]) -> None:
    with pytest.raises(TimeoutError):
        await read(stream, 1, 0.3)


async def test_a_stream_has_what_is_said_after_its_call_and_nothing_from_before(started: Bus) -> None:
    await started.emit("departed", {"n": 0})
    started.emit("departed", {"n": 1})  # under way
    with started.events() as stream:
        started.emit("departed", {"n": 2})
        started.emit("arrived", {"n": 3})
        assert await read(stream, 2) == [2, 3]
        await nothing_more(stream)


async def test_a_record_is_the_message_without_a_subscriber(started: Bus) -> None:
    stream = started.events("departed")
    emitted = await started.emit("departed", {"shipmentId": "S-42"})
    record = await anext(stream)
    assert isinstance(record, Record)
    assert (record.id, record.kind, record.name, record.key) == (emitted.id, "event", "departed", "S-42")
    assert (record.payload, record.correlation_id, record.causation_id) == ({"shipmentId": "S-42"}, emitted.id, None)


async def test_what_waits_keeps_its_order_until_it_is_read(started: Bus) -> None:
    stream = started.events("departed")
    for n in range(500):
        started.emit("departed", {"n": n})
    await asyncio.sleep(0.3)
    assert await read(stream, 500) == list(range(500))


async def test_other_processes_and_sql_are_followed_too(started: Bus, emitter: Bus, connection: db.Connection) -> None:
    stream = started.events("departed")
    await until(lambda: stream._is_open)
    async with emitter:
        await emitter.emit("departed", {"n": 1})
    connection.execute("""SELECT buslog.emit('departed', '{"n": 2}')""")
    assert await read(stream, 2) == [1, 2]


async def test_a_transaction_that_commits_after_later_ones_is_not_missed(
    started: Bus, dsn: str, connection: db.Connection
) -> None:
    await started.emit("departed")  # or the others would wait for the first one's new name
    with psycopg.connect(dsn) as before, psycopg.connect(dsn) as late:
        before.execute("""SELECT buslog.emit('departed', '{"n": 0}')""")
        stream = started.events()
        await until(lambda: stream._is_open)
        late.execute("""SELECT buslog.emit('departed', '{"n": 1}')""")
        connection.execute("""SELECT buslog.emit('departed', '{"n": 2}')""")
        assert await read(stream, 1) == [2], "an open transaction holds nothing back"
        late.commit()
        assert await read(stream, 1) == [1]
        connection.execute("""SELECT buslog.emit('departed', '{"n": 3}')""")
        assert await read(stream, 1) == [3]
        before.commit()
        assert await read(stream, 1) == [0]
        await nothing_more(stream)


async def test_each_of_many_streams_gets_its_names_once(started: Bus) -> None:
    everything, ships, two = (
        started.events(), started.events(["shipment*", "*Departed"]), started.events(["shipmentDeparted", "invoiced"])
    )  # fmt: skip
    for n, name in enumerate(["shipmentDeparted", "invoiced", "shipment_x", "a%b"]):
        await started.emit(name, {"n": n})
    assert await read(everything, 4) == [0, 1, 2, 3]
    assert await read(ships, 2) == [0, 2]
    assert await read(two, 2) == [0, 1]
    await nothing_more(ships)


async def test_wildcards_of_sql_stand_for_themselves(started: Bus) -> None:
    stream = started.events(["a_b", "50%", "back\\slash"])
    for n, name in enumerate(["axb", "a_b", "50 percent", "50%", "back\\slash"]):
        await started.emit(name, {"n": n})
    assert await read(stream, 3) == [1, 3, 4]


async def test_a_pattern_does_not_reach_commands_and_a_name_in_full_does(bus: Bus) -> None:
    bus.command("resync", id="resync")(lambda _: None)
    async with bus:
        anything, named = bus.events(), bus.events("resync")
        await bus.emit("resync", {"n": 1})
        await bus.emit("departed", {"n": 2})
        assert await read(named, 1) == [1]
        assert await read(anything, 1) == [2]


async def test_history_that_is_taken_over_is_no_news(started: Bus, by_hand: Any) -> None:
    stream = started.events()
    await until(lambda: stream._is_open)
    by_hand.add_history("departed", "2020-01-01T00:00:00Z")
    await started.emit("departed", {"n": 1})
    assert await read(stream, 1) == [1]


class Departed(BaseModel):
    n: int


DEPARTED = Event("departed", Departed)


async def test_a_declared_event_gives_its_type_and_leaves_out_what_is_none(
    started: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    typed, plain = started.events(DEPARTED), started.events()
    await started.emit("departed", {"n": "no number"})
    await started.emit(DEPARTED, Departed(n=2))
    assert (await anext(typed)).payload == Departed(n=2)
    assert await read(plain, 2) == ["no number", 2]
    assert "is left out of a stream" in caplog.text
    assert "no number" not in caplog.text


async def test_a_name_in_full_says_more_about_the_payload_than_a_pattern(started: Bus) -> None:
    stream = started.events(["*", DEPARTED])
    await started.emit("departed", {"n": 1})
    assert (await anext(stream)).payload == Departed(n=1)


async def test_a_message_restored_from_another_server_s_future_is_no_news(
    started: Bus, connection: db.Connection
) -> None:
    await started.emit("departed", {"n": 0})
    connection.execute("UPDATE buslog.messages SET xid = '4000000000'")
    stream = started.events()
    await started.emit("departed", {"n": 1})
    assert await read(stream, 1) == [1]
    await nothing_more(stream)


async def test_a_payload_that_cannot_be_decoded_does_not_end_the_stream(
    started: Bus, dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    stream = started.events()
    await until(lambda: stream._is_open)
    with psycopg.connect(dsn) as own:
        (spoilt,) = own.execute("SELECT buslog.emit('departed', '{}')").fetchone() or ()
        own.execute(
            "UPDATE buslog.messages SET payload = ('{\"a\":' || repeat('[', 5000) || repeat(']', 5000) || '}')::jsonb"
            " WHERE id = %s",
            [spoilt],
        )
    await started.emit("departed", {"n": 2})
    assert await read(stream, 1) == [2]
    assert f"message {spoilt} is left out" in caplog.text


async def test_leaving_the_loop_ends_the_stream_and_with_the_last_one_the_reading(started: Bus) -> None:
    follower = started._started().follower
    asyncio.get_running_loop().call_later(0.1, lambda: started.emit("departed", {"n": 1}))
    async for _ in started.events():
        assert len(follower._streams) == 1
        break
    assert (len(follower._streams), len(follower._held)) == (0, 0)
    await until(lambda: follower._reader is None)


async def test_who_waits_for_a_stream_is_not_collected_with_it(started: Bus) -> None:
    seen: list[Any] = []

    async def follows() -> None:
        async for record in started.events():
            seen.append(record.payload["n"])  # noqa: PERF401  (one by one is the point)

    task = asyncio.ensure_future(follows())
    task_id = id(task)
    del task
    await asyncio.sleep(0.2)
    gc.collect()
    await started.emit("departed", {"n": 1})
    await until(lambda: seen == [1])
    (task,) = [one for one in asyncio.all_tasks() if id(one) == task_id]
    task.cancel()


async def test_a_closed_stream_ends_at_once_and_a_stop_lets_what_was_said_be_read(bus: Bus) -> None:
    async with bus:
        closed, open_ = bus.events(), bus.events()
        await bus.emit("departed", {"n": 1})
        await until(lambda: closed._waiting)
        closed.close()
        assert [record async for record in closed] == []
        bus.emit("departed", {"n": 2})
    assert [record.payload["n"] async for record in open_] == [1, 2]


async def test_clear_ends_the_streams_of_its_names_and_leaves_the_others(started: Bus) -> None:
    gone, other = started.events(["departed", "sailed"]), started.events("*")
    await started.emit("departed", {"n": 1})
    await until(lambda: gone._waiting)
    started.clear("departed")
    await started.emit("departed", {"n": 2})
    assert [record.payload["n"] async for record in gone] == [1]
    assert await read(other, 2) == [1, 2]
    started.clear()
    assert [record async for record in other] == []


async def test_a_stream_that_is_read_too_slowly_says_so(started: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "MOST_WAITING", 3)
    stream = started.events()
    for n in range(6):
        await started.emit("departed", {"n": n})
    await until(lambda: stream._has_ended)
    assert await read(stream, 4) == [0, 1, 2, 3]
    with pytest.raises(StreamEnded, match="read as fast"):
        await anext(stream)


async def test_a_stream_goes_on_where_it_was_when_its_connections_are_cut(
    started: Bus, connection: db.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    stream = started.events()
    await started.emit("departed", {"n": 1})
    assert await read(stream, 1) == [1]
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    connection.execute("""SELECT buslog.emit('departed', '{"n": 2}')""")
    assert await read(stream, 1) == [2]


async def test_what_the_database_refuses_is_raised_by_the_stream_and_the_bus_goes_on(
    started: Bus, connection: db.Connection
) -> None:
    connection.execute("ALTER TABLE buslog.messages RENAME COLUMN xid TO gone")
    for refused in (anext(started.events()), started.once("departed")):
        async with asyncio.timeout(30):
            with pytest.raises(Misconfigured):
                await refused
    await started.emit("departed")
    connection.execute("ALTER TABLE buslog.messages RENAME COLUMN gone TO xid")
    stream = started.events()
    await started.emit("departed", {"n": 1})
    assert await read(stream, 1) == [1]


async def test_a_stream_is_asked_for_in_a_started_bus_s_loop_with_good_names(bus: Bus) -> None:
    with pytest.raises(BusNotStarted):
        bus.events()
    async with bus:
        with pytest.raises(InvalidSubscription):
            bus.events("")
        with pytest.raises(TypeError, match="event loop"):
            await asyncio.to_thread(bus.events)


# ── once ────────────────────────────────────────────────────────────────────────


async def test_once_waits_from_its_call_on_and_resolves_to_the_first_that_fulfils_its_predicate(started: Bus) -> None:
    waiting = started.once(["departed", "arrived"], lambda record: record.payload["n"] > 1)
    for n in range(4):
        started.emit("arrived", {"n": n})
    assert (await waiting).payload == {"n": 2}
    assert len(started._started().follower._streams) == 0


async def test_once_gives_up_after_its_time_out_and_can_be_cancelled(started: Bus) -> None:
    with pytest.raises(TimeoutError):
        await started.once("departed", timeout=0.1)
    waiting = started.once("departed")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert len(started._started().follower._streams) == 0


async def test_what_a_predicate_raises_is_raised_by_once(started: Bus) -> None:
    waiting = started.once("departed", lambda record: record.payload["missing"])
    started.emit("departed")
    with pytest.raises(KeyError):
        await waiting


@pytest.mark.parametrize("how", ["clear", "stop"])
async def test_once_that_is_cut_short_says_so(bus: Bus, how: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    await bus.start()
    waiting = bus.once("departed")
    await asyncio.sleep(0.1)
    if how == "clear":
        bus.clear()
    await bus.stop()
    with pytest.raises(StreamEnded, match="cleared, or its bus has stopped"):
        await waiting


async def test_following_reads_what_is_new_and_no_more_of_the_log(connection: db.Connection) -> None:
    connection.execute("SELECT buslog.emit('departed', '{}') FROM generate_series(1, 5000)")
    connection.execute("UPDATE buslog.messages SET xid = (xid::text::bigint - random() * 500)::bigint::text::xid8")
    connection.execute("ANALYZE buslog.messages")
    (seen,) = connection.execute("SELECT pg_current_snapshot()::text").fetchone() or ()
    connection.execute("""SELECT buslog.emit('departed', '{"n": 1}')""")
    for mode in ("force_generic_plan", "force_custom_plan"):
        connection.execute(f"SET plan_cache_mode = {mode}")
        text = db.query("follow") % {"seen": "$1", "patterns": "$2"}
        connection.execute(f"PREPARE follow_{mode} AS {text}")
        rows = connection.execute(
            f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) EXECUTE follow_{mode} ('{seen}', '{{%}}')"
        ).fetchall()
        plan = "\n".join(row[0] for row in rows)
        assert "rows=1 " in plan or "rows=1.00 " in plan, plan
        assert "Rows Removed" not in plan, plan
