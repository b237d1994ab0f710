"""What becomes of an emit when its caller, its commit or its bus gives up: somebody always hears of it."""

from __future__ import annotations

import asyncio
import gc
import logging
from contextvars import ContextVar
from typing import Any

import pytest

from buslog import Bus, Message, db
from buslog.config import Settings
from buslog.errors import BuslogError, BusNotStarted, InvalidMessage, OutcomeUnknown
from buslog.message import Emitted

from .conftest import until

SHORT = Settings(poll=0.1, lease=2.0, grace=0.2)
LONG_KEY: dict[str, Any] = {"shipmentId": "x" * 201}  # only the database knows the key


async def test_a_stop_answers_every_emit_of_a_commit_that_one_of_them_has_sunk(
    dsn18: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("buslog.running.MARGIN", 0.2)
    bus = Bus(host=False, settings=SHORT.model_copy(update={"dsn": dsn18}))
    await bus.start()
    running: Any = bus._running
    emit_many = running.store.emit_many

    async def sunk_and_then_away(said: Any, **_: Any) -> Any:
        if len(said) > 1:
            return await emit_many(said)
        return await asyncio.sleep(60)

    running.store.emit_many = sunk_and_then_away
    emissions = [bus.emit("departed", payload) for payload in ({}, LONG_KEY, {})]
    await asyncio.sleep(0.1)
    await asyncio.wait_for(bus.stop(), 10)
    heard = await asyncio.wait_for(asyncio.gather(*emissions, return_exceptions=True), 15)
    assert [type(one) for one in heard] == [OutcomeUnknown] * 3


async def test_an_error_after_the_answer_does_not_undo_it_nor_keep_the_others(dsn18: str) -> None:
    async with Bus(host=False, settings=Settings(dsn=dsn18)) as bus:
        running: Any = bus._running
        resolve, calls = running.resolution.resolve, 0

        def odd(*arguments: Any) -> None:
            nonlocal calls
            calls += 1
            if calls == 2:
                raise RuntimeError("nobody foresaw this")
            resolve(*arguments)

        running.resolution.resolve = odd

        def say() -> list[Any]:
            return [bus.emit("departed") for _ in range(3)]

        in_thread = await asyncio.to_thread(say)
        here = asyncio.gather(*in_thread, return_exceptions=True)
        heard = await asyncio.wait_for(here, 15)
        assert isinstance(heard[0], Emitted)
        assert all(isinstance(one, Emitted | OutcomeUnknown) for one in heard)
        assert isinstance(await asyncio.wait_for(bus.emit("departed"), 15), Emitted)


async def test_an_error_that_comes_after_its_caller_gave_up_is_in_the_log(
    dsn18: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with Bus(host=False, settings=Settings(dsn=dsn18)) as bus:
        running: Any = bus._running
        answer = asyncio.Event()

        async def away(*_: Any, **__: Any) -> Any:
            await answer.wait()
            raise OutcomeUnknown(field="emit", rule="is confirmed by the database")

        running.store.emit_many = away
        with pytest.raises(TimeoutError), caplog.at_level(logging.WARNING, "buslog"):
            async with asyncio.timeout(0.05):
                await bus.emit("departed")
        from_thread = await asyncio.to_thread(bus.emit, "arrived")
        with pytest.raises(TimeoutError):
            await asyncio.to_thread(from_thread.result, 0.05)
        del from_thread
        answer.set()

        def is_told(name: str) -> bool:
            gc.collect()
            return f"{name}, whose emit nobody awaited" in caplog.text

        await until(lambda: is_told("departed") and is_told("arrived"))


async def test_an_error_that_was_heard_is_not_in_the_log(dsn18: str, caplog: pytest.LogCaptureFixture) -> None:
    async with Bus(host=False, settings=Settings(dsn=dsn18)) as bus:
        for _ in range(2):
            with pytest.raises(InvalidMessage):
                await bus.emit("departed", LONG_KEY)
            with pytest.raises(InvalidMessage):
                await asyncio.to_thread(lambda: bus.emit("departed", LONG_KEY).result(15))
        gc.collect()
    assert "nobody awaited" not in caplog.text


async def test_an_emit_of_the_bus_s_loop_is_not_awaited_in_another(dsn18: str) -> None:
    async with Bus(host=False, settings=Settings(dsn=dsn18)) as bus:
        emission = bus.emit("departed")

        async def elsewhere() -> object:
            return await asyncio.wait_for(emission, 15)

        with pytest.raises(TypeError, match="event loop"):
            await asyncio.to_thread(lambda: asyncio.run(elsewhere()))
        assert isinstance(await emission, Emitted)


caller: ContextVar[str] = ContextVar("caller", default="nobody")


async def test_a_subscriber_does_not_see_the_context_of_whoever_happened_to_emit(dsn18: str) -> None:
    bus = Bus(settings=SHORT.model_copy(update={"dsn": dsn18}))
    seen: list[str] = []

    @bus.on("departed", mode="sync")
    async def departed(message: Message) -> None:
        seen.append(caller.get())

    async def request(name: str) -> None:
        caller.set(name)
        await bus.emit("departed")

    async with bus:
        await asyncio.gather(*(request(name) for name in "abc"))
    assert seen == ["nobody"] * 3


async def test_many_that_are_refused_do_not_sink_the_others_of_their_commit(dsn18: str) -> None:
    async with Bus(host=False, settings=Settings(dsn=dsn18)) as bus:
        first, many, last = bus.emit("departed"), bus.emit_many("departed", [{}, LONG_KEY]), bus.emit("departed")
        assert isinstance(await first, Emitted)
        with pytest.raises(BuslogError, match="key"):
            await many
        assert isinstance(await last, Emitted)


async def test_an_emit_on_a_bus_whose_event_loop_is_closed_is_refused(dsn18: str) -> None:
    async with Bus(host=False, settings=Settings(dsn=dsn18)) as bus:
        running: Any = bus._running
        loop, closed = running.loop, asyncio.new_event_loop()
        closed.close()
        running.loop = closed
        with pytest.raises(BusNotStarted):
            await asyncio.to_thread(bus.emit, "departed")
        running.loop = loop


async def test_more_than_one_commit_may_hold_is_refused_and_nothing_of_it_is_stored(
    bus: Bus, connection: db.Connection
) -> None:
    async with bus:
        with pytest.raises(InvalidMessage, match="fit into one commit"):
            bus.emit_many("departed", ({} for _ in range(10_001)))
        with pytest.raises(InvalidMessage, match="fit into one commit"):
            bus.emit_many("departed", ({"text": "x" * 900_000} for _ in range(9)))
        assert await bus.emit_many("departed", []) == []
        emitted = await bus.emit_many("departed", ({"n": n} for n in range(300)))
    stored = connection.execute("SELECT (payload ->> 'n')::integer FROM buslog.messages ORDER BY id").fetchall()
    assert [row[0] for row in stored] == list(range(300))
    assert len({one.id for one in emitted}) == 300
