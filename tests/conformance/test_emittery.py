"""What Emittery's users know, line by line: docs/emittery.md has the same lines, in the same order, and the reasons
where buslog keeps one otherwise. One real bus on a real database.
"""

from __future__ import annotations

import asyncio
import logging
import re
from pathlib import Path
from typing import Any

import pytest

from buslog import Bus, Message, RetryPolicy, StreamEnded, SubscriberAdded, SubscriberRemoved, SubscribersFailed, db
from buslog.config import Settings
from buslog.errors import InvalidMessage, InvalidSubscription
from tests.worker.conftest import until

ONCE = RetryPolicy(max_attempts=1)


def test_every_line_is_in_the_docs_and_has_its_tests() -> None:
    page = (Path(__file__).parents[2] / "docs" / "emittery.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| (\d+) \|.*\| (?:kept|kept otherwise|departed) \|", page, re.MULTILINE)
    tested = re.findall(
        r"^async def test_(\d\d)_|^def test_(\d\d)_", Path(__file__).read_text(encoding="utf-8"), re.MULTILINE
    )
    assert [int(line) for line in documented] == list(range(1, 18))
    assert {int(a or b) for a, b in tested} == set(range(1, 18))


async def test_01_a_subscriber_receives_one_object_of_its_own(bus: Bus) -> None:
    seen: list[Any] = []

    async def spoils(*received: Message) -> None:
        received[0].payload["n"] = "spoilt"
        seen.append(received)

    async def reads(*received: Message) -> None:
        await asyncio.sleep(0.05)
        seen.append(received)

    bus.on("departed", spoils, mode="sync")
    bus.on("departed", reads, mode="sync")
    async with bus:
        await bus.emit("departed", {"n": 1})
    assert [(len(received), received[0].payload) for received in seen] == [(1, {"n": "spoilt"}), (1, {"n": 1})]


@pytest.mark.parametrize("name", ["", "  ", "x" * 201, "a\nb", None, 42])
async def test_02_a_bad_name_is_refused_at_subscribe_and_at_emit(bus: Bus, name: Any) -> None:
    with pytest.raises((InvalidSubscription, TypeError)):
        bus.on(name, print)
    async with bus:
        with pytest.raises(InvalidMessage):
            bus.emit(name)


def test_02_a_subscriber_that_cannot_be_called_is_a_type_error(bus: Bus) -> None:
    with pytest.raises(TypeError):
        bus.on("departed", "not a function")  # type: ignore[call-overload]


async def test_03_the_same_function_twice_on_one_name_is_called_once_per_emit(bus: Bus) -> None:
    calls: list[int] = []

    async def subscriber(message: Message) -> None:
        calls.append(message.payload["n"])

    bus.on("departed", subscriber, mode="sync")
    bus.on("departed", subscriber, mode="sync")
    async with bus:
        await bus.emit("departed", {"n": 1})
        await bus.emit("departed", {"n": 2})
    assert calls == [1, 2]


async def test_04_when_one_of_several_names_is_refused_none_of_the_new_ones_stays(bus: Bus) -> None:
    bus.on("sailed", print)
    with pytest.raises(InvalidSubscription):
        bus.on(["departed", ""], print)
    assert [s.names for s in bus._registry] == [("sailed",)]


async def test_04_also_when_it_is_the_database_that_refuses_one(bus: Bus, test_settings: Settings) -> None:
    other = Bus(settings=test_settings)
    other.command("resync", id="resync")(print)
    bus.on("sailed", print)
    async with other, bus:
        bus.on(["departed", "resync"], print)  # here nothing is known of that command
        await until(lambda: bus.subscriber_count("departed") == 0)
        assert (await bus.emit("departed")).routed == 0
        assert (await bus.emit("sailed")).routed == 1
    assert [s.names for s in bus._registry] == [("sailed",)]


async def test_05_on_returns_an_off_that_may_be_called_twice_and_is_a_context_manager(bus: Bus) -> None:
    calls: list[int] = []

    async def subscriber(message: Message) -> None:
        calls.append(message.payload["n"])

    async with bus:
        with bus.on("departed", subscriber, mode="sync") as off:
            await bus.emit("departed", {"n": 1})
        off()
        await bus.emit("departed", {"n": 2})
        bus.off("departed", subscriber)
        bus.off("never", print)
    assert calls == [1]


async def test_06_subscribers_never_run_inside_emit_itself(bus: Bus) -> None:
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


async def test_07_they_start_in_registration_order_those_of_any_name_last_and_run_concurrently(
    test_settings: Settings,
) -> None:
    order: list[str] = []

    def named(name: str) -> Any:
        async def subscriber(message: Message) -> None:
            order.append(f"{name} starts")
            await asyncio.sleep(0.1)
            order.append(f"{name} ends")

        return subscriber

    first = Bus(settings=test_settings)  # an earlier version of the program registered them in another order
    for name in ("any", "b", "a"):
        first.on("*" if name == "any" else "departed", named(name), id=name)
    async with first:
        pass
    bus = Bus(settings=test_settings)
    for name in ("any", "a", "b"):
        bus.on("*" if name == "any" else "departed", named(name), id=name)
    async with bus:
        await bus.emit("departed")
        await until(lambda: len(order) == 6)
    assert order[:3] == ["a starts", "b starts", "any starts"]
    assert {entry.split()[1] for entry in order[3:]} == {"ends"}


async def test_07_patterns_reach_the_events_of_their_shape_whoever_emits_them_and_no_command(
    bus: Bus, connection: db.Connection
) -> None:
    seen: list[str] = []
    bus.on("*", lambda message: seen.append(f"any {message.name}"), id="any", mode="sync")
    bus.on("shipment*", lambda message: seen.append(f"shipment {message.name}"), id="shipment", mode="sync")
    bus.command("shipmentResync", id="resync")(lambda _: None)
    async with bus:
        await bus.emit("shipmentDeparted")
        await bus.emit("invoiceSent")
        assert (await bus.emit("shipmentResync")).routed == 1
        connection.execute("SELECT buslog.emit('shipmentArrived', '{}')")
        await until(lambda: len(seen) == 5)
    assert sorted(seen) == [
        "any invoiceSent", "any shipmentArrived", "any shipmentDeparted",
        "shipment shipmentArrived", "shipment shipmentDeparted",
    ]  # fmt: skip


async def test_08_a_subscriber_added_after_the_emit_is_not_called_for_it(bus: Bus) -> None:
    calls: list[str] = []

    async def late(message: Message) -> None:
        calls.append(f"late {message.payload['n']}")

    async def adds(message: Message) -> None:
        calls.append(f"adds {message.payload['n']}")
        bus.on("departed", late, mode="sync")

    bus.on("departed", adds, mode="sync")
    async with bus:
        await bus.emit("departed", {"n": 1})
        assert calls == ["adds 1"]
        await bus.emit("departed", {"n": 2})
        await until(lambda: len(calls) == 3)
    assert sorted(calls) == ["adds 1", "adds 2", "late 2"]


async def test_08_a_subscriber_removed_before_its_start_is_not_called_and_its_delivery_is_kept(
    bus: Bus, connection: db.Connection
) -> None:
    calls: list[str] = []
    off = bus.on("departed", lambda _: calls.append("called"), id="removed")
    async with bus:
        emission = bus.emit("departed")
        off()
        await emission
        await asyncio.sleep(0.3)
    assert calls == []
    assert connection.execute("SELECT subscription, state::text FROM buslog.log").fetchall() == [("removed", "pending")]


@pytest.mark.parametrize("broken", [1, 2])
async def test_09_all_run_even_if_one_raises_and_the_errors_come_together_also_a_lone_one(
    bus: Bus, broken: int
) -> None:
    calls: list[str] = []

    def raises(n: int) -> Any:
        async def subscriber(message: Message) -> None:
            raise ValueError(f"broken {n}")

        return subscriber

    for n in range(broken):
        bus.on("departed", raises(n), id=f"broken{n}", mode="sync", retry=ONCE)
    bus.on("departed", lambda _: calls.append("called"), id="good", mode="sync")
    async with bus:
        with pytest.raises(ExceptionGroup) as caught:
            await bus.emit("departed")
    assert isinstance(caught.value, SubscribersFailed)
    assert sorted(str(error) for error in caught.value.exceptions) == [f"broken {n}" for n in range(broken)]
    assert calls == ["called"]


async def test_10_serial_subscribers_wait_for_each_other_and_an_error_holds_the_rest(
    bus: Bus, connection: db.Connection
) -> None:
    calls: list[str] = []

    async def first(message: Message) -> None:
        await asyncio.sleep(0.05)
        calls.append("first")

    async def second(message: Message) -> None:
        calls.append("second")
        raise ValueError("no")

    for place, subscriber in enumerate([first, second, first]):
        bus.on("departed", subscriber, mode="serial", retry=ONCE, id=f"s{place}")
    async with bus:
        await bus.emit("departed")
        states = "SELECT state::text FROM buslog.log ORDER BY subscription"
        await until(lambda: connection.execute(states).fetchall()[1] == ("failed",))
    assert calls == ["first", "second"]
    assert connection.execute(states).fetchall() == [("succeeded",), ("failed",), ("blocked",)]


async def test_11_serial_orders_within_one_emit_and_two_may_overtake_each_other(bus: Bus) -> None:
    hold = asyncio.Event()
    order: list[str] = []

    async def first(message: Message) -> None:
        if message.payload["n"] == 1:
            await hold.wait()
        order.append(f"first {message.payload['n']}")

    async def second(message: Message) -> None:
        order.append(f"second {message.payload['n']}")
        hold.set()

    bus.on("departed", first, mode="serial")
    bus.on("departed", second, mode="serial")
    async with bus:
        bus.emit("departed", {"n": 1})
        bus.emit("departed", {"n": 2})
        await until(lambda: len(order) == 4)
    assert order == ["first 2", "second 2", "first 1", "second 1"]


async def test_12_once_resolves_to_the_message_and_takes_several_names_a_predicate_an_off_and_a_time_out(
    bus: Bus,
) -> None:
    async with bus:
        waiting = bus.once(["departed", "arrived"], lambda record: record.payload["n"] > 1)
        for n in range(4):
            bus.emit("arrived", {"n": n})
        record = await waiting
        assert (record.name, record.payload) == ("arrived", {"n": 2})
        with pytest.raises(TimeoutError):
            await bus.once("departed", timeout=0.05)
        taken_off = bus.once("departed")
        taken_off.cancel()
        await bus.emit("departed")
        with pytest.raises(asyncio.CancelledError):
            await taken_off


async def test_13_a_stream_buffers_until_it_is_read_and_leaving_the_loop_ends_it(bus: Bus) -> None:
    async with bus:
        anything = bus.events()
        for n in range(3):
            await bus.emit(f"event{n}", {"n": n})
        seen: list[int] = []
        async for record in anything:
            seen.append(record.payload["n"])
            if len(seen) == 3:
                break
        assert seen == [0, 1, 2]
        del anything
        streams = bus._started().follower._streams
        asyncio.get_running_loop().call_later(0.1, lambda: bus.emit("departed", {"n": 3}))
        async for record in bus.events("departed"):
            assert (record.payload, len(streams)) == ({"n": 3}, 1)
            break
        assert len(streams) == 0


async def test_14_subscriber_count_knows_names_any_name_and_all_and_clear_ends_streams(bus: Bus) -> None:
    bus.on("departed", print, id="departed")
    bus.on("arrived", print, id="arrived")
    bus.on("*", print, id="any")
    assert (bus.subscriber_count("departed"), bus.subscriber_count("other"), bus.subscriber_count()) == (2, 1, 3)
    async with bus:
        stream, waiting = bus.events(), bus.once("departed")
        await bus.emit("sailed", {"n": 1})
        await until(lambda: stream._waiting)
        bus.clear()
        assert bus.subscriber_count() == 0
        assert [record.payload["n"] async for record in stream] == [1]
        with pytest.raises(StreamEnded):
            await waiting
        assert (await bus.emit("departed")).routed == 0


async def test_15_that_a_subscriber_was_added_or_removed_can_be_heard_and_not_emitted(bus: Bus) -> None:
    heard: list[Any] = []
    bus.watch(heard.append)
    async with bus:
        with bus.on("departed", print, id="print"):
            await bus.emit("departed")
        for change in (SubscriberAdded, heard[0]):
            with pytest.raises(InvalidMessage):
                bus.emit(change)  # type: ignore[arg-type]
    assert heard == [SubscriberAdded(("departed",), print, "print"), SubscriberRemoved(("departed",), print, "print")]


async def test_16_hooks_run_before_the_first_and_after_the_last_subscription_and_a_failing_one_undoes_it(
    bus: Bus,
) -> None:
    order: list[str] = []

    def fails() -> None:
        raise ConnectionError("no carrier")

    bus.hook("departed", lambda: order.append("init"), lambda: order.append("deinit"))
    bus.hook("arrived", fails)
    async with bus:
        one, two = bus.on("departed", print, id="one"), bus.on("departed", print, id="two")
        one()
        assert order == ["init"]
        two()
        assert order == ["init", "deinit"]
        with pytest.raises(ConnectionError):
            bus.on("arrived", print)
        assert (bus.subscriber_count("arrived"), (await bus.emit("arrived")).routed) == (0, 0)


async def test_17_debug_logs_each_subscribe_unsubscribe_and_emit_of_one_bus_to_a_logger_of_ones_own(
    bus: Bus, test_settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    told = Bus(settings=test_settings, debug=logging.getLogger("mine"))
    async with told, bus:
        for one in (told, bus):
            with one.on("departed", print, id="print"):
                await one.emit("departed", {"secret": "not told"})
    lines = [record.message for record in caplog.records if record.name == "mine"]
    assert lines == ["subscribe print: departed", "emit: departed", "unsubscribe print: departed"]
    assert not [record for record in caplog.records if record.name == "buslog.debug"]


async def test_17_debug_alone_tells_the_logger_buslog_debug(
    test_settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with Bus(settings=test_settings, debug=True) as bus:
        await bus.emit("departed")
    assert ("buslog.debug", "emit: departed") in [(record.name, record.message) for record in caplog.records]
