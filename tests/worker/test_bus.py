from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
from pydantic import BaseModel

from buslog import Bus, Emitted, Event, Message, SubscribersFailed, db
from buslog.config import Settings
from buslog.errors import BusNotStarted, InvalidMessage, Misconfigured, StillPending

from .conftest import QUICK, log_rows, states, until


async def test_every_subscriber_gets_the_message_with_a_payload_of_its_own(bus: Bus) -> None:
    seen: list[Any] = []

    async def first(message: Message) -> None:
        message.payload["shipmentId"] = "changed"
        seen.append(message)

    async def second(message: Message) -> None:
        await asyncio.sleep(0.05)
        seen.append(message)

    bus.on("departed", first)
    bus.on("departed", second)
    async with bus:
        emitted = await bus.emit("departed", {"shipmentId": "S-42"})
        await until(lambda: len(seen) == 2)
    assert emitted.routed == 2
    assert seen[1].payload == {"shipmentId": "S-42"}
    assert {(m.id, m.key, m.name, m.attempt) for m in seen} == {(emitted.id, "S-42", "departed", 1)}


async def test_subscribers_never_run_inside_emit_itself(bus: Bus) -> None:
    order: list[str] = []

    async def subscriber(message: Message) -> None:
        order.append(message.payload["n"])

    bus.on("departed", subscriber)
    async with bus:
        bus.emit("departed", {"n": "first"})
        order.append("after1")
        bus.emit("departed", {"n": "second"})
        order.append("after2")
        await until(lambda: len(order) == 4)
    assert order == ["after1", "after2", "first", "second"]


async def test_an_emit_that_is_not_awaited_is_sent_before_the_bus_stops(bus: Bus, connection: db.Connection) -> None:
    async with bus:
        for n in range(50):
            bus.emit("departed", {"n": n})
    assert len(log_rows(connection, "state", "departed")) == 50


async def test_a_publisher_waits_for_sync_subscribers_and_not_for_async_ones(bus: Bus) -> None:
    done: list[str] = []
    hold = asyncio.Event()

    async def slow(message: Message) -> None:
        await hold.wait()
        done.append("async")

    async def status(message: Message) -> None:
        await asyncio.sleep(0.05)
        done.append("sync")

    bus.on("departed", slow)
    bus.on("departed", status, mode="sync")
    async with bus:
        await bus.emit("departed")
        assert done == ["sync"]
        hold.set()


async def test_what_sync_subscribers_raise_comes_together_with_the_message_s_id_and_is_retried(
    bus: Bus, connection: db.Connection
) -> None:
    calls: list[str] = []

    async def bad(message: Message) -> None:
        calls.append("bad")
        if message.attempt == 1:
            raise ValueError("no")

    async def worse(message: Message) -> None:
        if message.attempt == 1:
            raise KeyError("worse")

    async def good(message: Message) -> None:
        calls.append("good")

    bus.on("departed", bad, mode="sync", id="bad", retry=QUICK)
    bus.on("departed", worse, mode="sync", id="worse", retry=QUICK)
    bus.on("departed", good, mode="sync", id="good")
    async with bus:
        with pytest.raises(SubscribersFailed) as caught:
            await bus.emit("departed")
        assert {type(e) for e in caught.value.exceptions} == {ValueError, KeyError}
        assert "good" in calls
        (stored,) = set(log_rows(connection, "message_id", "departed"))
        assert caught.value.message_id == stored[0]
        await until(lambda: set(states(connection).values()) == {"succeeded"})


async def test_serial_subscribers_run_one_after_the_other_in_order(bus: Bus, connection: db.Connection) -> None:
    running = 0
    order: list[int] = []

    def subscriber(place: int) -> Any:
        async def serial(message: Message) -> None:
            nonlocal running
            running += 1
            assert running == 1
            await asyncio.sleep(0.02)
            order.append(place)
            running -= 1

        return serial

    for place in (2, 0, 1):
        bus.on("departed", subscriber(place), mode="serial", order=place, id=f"s{place}")
    async with bus:
        await bus.emit("departed")
        await until(lambda: len(order) == 3)
        await until(lambda: set(states(connection).values()) == {"succeeded"})
    assert order == [0, 1, 2]


async def test_an_error_in_a_serial_subscriber_holds_the_rest_until_it_succeeds(bus: Bus) -> None:
    order: list[str] = []

    async def first(message: Message) -> None:
        order.append(f"first{message.attempt}")
        if message.attempt < 3:
            raise ValueError("not yet")

    async def second(message: Message) -> None:
        order.append("second")

    bus.on("departed", first, mode="serial", retry=QUICK)
    bus.on("departed", second, mode="serial")
    async with bus:
        await bus.emit("departed")
        await until(lambda: "second" in order)
    assert order == ["first1", "first2", "first3", "second"]


async def test_a_message_emitted_while_a_subscriber_runs_is_caused_by_the_one_it_handles(
    bus: Bus, connection: db.Connection
) -> None:
    async def departed(message: Message) -> None:
        await bus.emit("mailAsked", {"shipmentId": message.key})

    def mail_asked(message: Message) -> None:  # a plain function, in a thread
        bus.emit("mailSent").result(5)

    bus.on("departed", departed)
    bus.on("mailAsked", mail_asked)
    async with bus:
        root = await bus.emit("departed", {"shipmentId": "S-42"})
        await until(lambda: log_rows(connection, "1", "mailSent"))
    rows = connection.execute(
        "SELECT name, correlation_id, causation_id FROM buslog.log ORDER BY message_id"
    ).fetchall()
    asked = connection.execute("SELECT message_id FROM buslog.log WHERE name = 'mailAsked'").fetchone()
    assert asked is not None
    assert rows == [("departed", root.id, None), ("mailAsked", root.id, root.id), ("mailSent", root.id, asked[0])]


async def test_sync_emits_nested_deeper_than_the_worker_has_places_do_not_deadlock(test_settings: Settings) -> None:
    bus = Bus(settings=test_settings.model_copy(update={"concurrency": 1}))
    depth: list[int] = []

    async def down(message: Message) -> None:
        depth.append(message.payload["n"])
        if message.payload["n"] < 5:
            await bus.emit("step", {"n": message.payload["n"] + 1})

    bus.on("step", down, mode="sync")
    async with bus:
        await asyncio.wait_for(bus.emit("step", {"n": 0}), 10)
    assert depth == [0, 1, 2, 3, 4, 5]


async def test_a_plain_function_runs_in_a_thread_and_does_not_block_the_bus(bus: Bus) -> None:
    held = threading.Event()
    free: list[str] = []

    def blocking(message: Message) -> None:
        held.wait(10)

    async def quick(message: Message) -> None:
        free.append("ran")

    bus.on("departed", blocking)
    bus.on("departed", quick)
    async with bus:
        await bus.emit("departed")
        await until(lambda: free)
        held.set()


def emit_from_here(bus: Bus, n: int) -> Emitted:
    return bus.emit("departed", {"n": n}).result(10)


async def test_emits_from_plain_threads_reach_the_log(bus: Bus, connection: db.Connection) -> None:
    async with bus:
        results = await asyncio.gather(*(asyncio.to_thread(emit_from_here, bus, n) for n in range(20)))
    assert {r.id for r in results} == {row[0] for row in log_rows(connection, "message_id", "departed")}


async def test_an_emit_before_the_start_or_after_the_stop_is_refused(bus: Bus) -> None:
    with pytest.raises(BusNotStarted):
        bus.emit("departed")
    async with bus:
        pass
    with pytest.raises(BusNotStarted):
        bus.emit("departed")


@pytest.mark.parametrize(("name", "payload"), [("", {}), ("x" * 201, {}), ("a", {"a": float("nan")}), ("a", [1])])
async def test_bad_input_is_refused_at_the_call(bus: Bus, connection: db.Connection, name: str, payload: Any) -> None:
    async with bus:
        with pytest.raises(InvalidMessage):
            bus.emit(name, payload)
    assert connection.execute("SELECT count(*) FROM buslog.messages").fetchone() == (0,)


async def test_a_message_that_only_sql_refuses_does_not_sink_those_of_its_commit(
    bus: Bus, connection: db.Connection
) -> None:
    async with bus:
        emits = [bus.emit("a", {"n": 1}), bus.emit("a", {"shipmentId": "k" * 300}), bus.emit("a", {"n": 2})]
        results = await asyncio.gather(*emits, return_exceptions=True)
    assert [isinstance(r, InvalidMessage) for r in results] == [False, True, False]
    assert len(log_rows(connection, "1", "a")) == 2


async def test_an_emit_repeated_with_its_dedupe_key_says_duplicate(bus: Bus, connection: db.Connection) -> None:
    async def subscriber(message: Message) -> None: ...

    bus.on("departed", subscriber, mode="sync")
    async with bus:
        first = await bus.emit("departed", dedupe_key="once")
        second = await bus.emit("departed", dedupe_key="once")
    assert (first.duplicate, second.duplicate, second.id) == (False, True, first.id)
    assert log_rows(connection, "state", "departed") == [("succeeded",)]


class Resync(BaseModel):
    shipmentId: str  # noqa: N815


async def test_a_command_checks_its_payload_at_emit_and_answers_with_its_result(
    bus: Bus, connection: db.Connection
) -> None:
    async def resync(message: Message[Resync]) -> dict[str, Any]:
        return {"resynced": message.payload.shipmentId}

    bus.command("resyncTracking", payload=Resync, id="resync")(resync)
    async with bus:
        with pytest.raises(InvalidMessage, match="shipmentId"):
            bus.emit("resyncTracking", {"shipmentId": 3})
        await bus.emit("resyncTracking", Resync(shipmentId="S-42"))
        await until(lambda: states(connection) == {"resync": "succeeded"})
    row = connection.execute("SELECT result FROM buslog.ended_deliveries").fetchone()
    assert row == ({"resynced": "S-42"},)
    assert log_rows(connection, "kind, key", "resyncTracking") == [("command", "S-42")]


DEPARTED = Event("departed", Resync)


async def test_a_declared_event_is_checked_at_emit_and_received_in_its_type(
    bus: Bus, connection: db.Connection
) -> None:
    seen: list[Resync] = []

    async def subscriber(message: Message[Resync]) -> None:
        seen.append(message.payload)

    bus.on(DEPARTED, subscriber, mode="sync")
    with pytest.raises(InvalidMessage, match="shipmentId"):
        bus.emit_within(connection, DEPARTED, {"shipmentId": 3})  # type: ignore[misc]
    async with bus:
        for bad in (None, {}, {"shipmentId": 3}):
            with pytest.raises(InvalidMessage, match="shipmentId"):
                bus.emit(DEPARTED, bad)  # type: ignore[misc]
        await bus.emit(DEPARTED, Resync(shipmentId="S-42"))
        await bus.emit("departed", {"shipmentId": "S-43"})  # a plain name goes on working
    assert seen == [Resync(shipmentId="S-42"), Resync(shipmentId="S-43")]


async def test_a_bus_is_started_once(bus: Bus) -> None:
    async with bus:
        with pytest.raises(Misconfigured, match="started once"):
            await bus.start()


async def test_a_subscriber_added_while_the_bus_runs_gets_the_emits_after_it_and_none_before(bus: Bus) -> None:
    seen: list[str] = []

    async def late(message: Message) -> None:
        seen.append(message.payload["n"])

    async with bus:
        before = bus.emit("departed", {"n": "before"})
        bus.on("departed", late)
        bus.emit("departed", {"n": "after"})
        await before
        await until(lambda: seen)
        await asyncio.sleep(0.2)
    assert seen == ["after"]


async def test_a_subscriber_taken_off_gets_no_emit_after_that(bus: Bus, connection: db.Connection) -> None:
    seen: list[str] = []

    async def subscriber(message: Message) -> None:
        seen.append(message.payload["n"])

    off = bus.on("departed", subscriber)
    async with bus:
        await bus.emit("departed", {"n": "before"})
        await until(lambda: seen)
        off()
        off()
        emitted = await bus.emit("departed", {"n": "after"})
        await asyncio.sleep(0.2)
    assert (seen, emitted.routed) == (["before"], 0)


async def test_a_bus_that_does_not_host_leaves_its_messages_to_others(
    bus: Bus, emitter: Bus, connection: db.Connection
) -> None:
    async def subscriber(message: Message) -> None: ...

    bus.on("departed", subscriber)
    async with bus, emitter:
        assert (await emitter.emit("departed")).routed == 1
        await until(lambda: log_rows(connection, "state", "departed") == [("succeeded",)])


async def test_a_sync_subscriber_in_another_process_is_awaited_there(bus: Bus, emitter: Bus) -> None:
    done: list[int] = []

    async def status(message: Message) -> None:
        await asyncio.sleep(0.1)
        done.append(message.attempt)
        if message.payload:
            raise ValueError("no such status")

    bus.on("departed", status, mode="sync", retry=QUICK)
    async with bus, emitter:
        await emitter.emit("departed")
        assert done == [1]
        with pytest.raises(SubscribersFailed) as caught:
            await emitter.emit("departed", {"status": "?"})
        assert "no such status" in str(caught.value.exceptions[0])


async def test_a_stopping_bus_waits_for_the_commit_and_not_for_another_process_s_subscribers(
    bus: Bus, emitter: Bus, connection: db.Connection
) -> None:
    bus.on("departed", lambda _: None, mode="sync", id="status")
    async with bus:
        pass  # registered, and gone again
    began = time.monotonic()
    async with emitter:
        emission = emitter.emit("departed")
    assert time.monotonic() - began < 15, "its subscribers have BUSLOG_SYNC_WAIT"
    assert log_rows(connection, "state", "departed") == [("pending",)]
    with pytest.raises(SubscribersFailed, match="1 sync subscriber") as caught:
        await emission
    assert isinstance(caught.value.exceptions[0], StillPending)


async def test_a_bus_refuses_a_database_without_schema_and_says_what_to_do(empty_dsn: str) -> None:
    with pytest.raises(Misconfigured, match="buslog migrate"):
        await Bus(settings=Settings(dsn=empty_dsn)).start()
