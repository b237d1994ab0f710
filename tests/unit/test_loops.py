from __future__ import annotations

import asyncio
import contextlib

from buslog.loops import LOOK_EVERY, Alarms, Gate, alarms, end_all, surviving


async def test_an_end_is_heard_by_who_swallows_the_first_cancellation() -> None:
    swallowed = 0

    async def hard_of_hearing() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                swallowed += 1
                if swallowed == 3:
                    raise

    task = asyncio.create_task(hard_of_hearing())
    await asyncio.sleep(0)
    assert await asyncio.wait_for(end_all([task]), 10) == set()
    assert task.cancelled()


async def test_who_never_hears_is_given_up() -> None:
    async def deaf() -> None:
        while not_yet:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60)

    not_yet = True
    task = asyncio.create_task(deaf())
    await asyncio.sleep(0)
    assert await end_all([task], patience=0.5) == {task}
    not_yet = False
    await end_all([task])


async def test_a_loop_that_an_unforeseen_error_ends_is_run_again() -> None:
    runs = 0

    async def loop() -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise RuntimeError("unforeseen")

    await asyncio.wait_for(surviving(loop), 10)
    assert runs == 2


async def test_many_pass_the_gate_together_and_one_passes_it_alone() -> None:
    gate = Gate()
    inside = most = 0
    alone: list[int] = []

    async def together() -> None:
        nonlocal inside, most
        async with gate.shared():
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.01)
            inside -= 1

    async def one() -> None:
        async with gate.exclusive():
            alone.append(inside)
            await asyncio.sleep(0.01)
            alone.append(inside)

    await asyncio.gather(*(together() if n % 4 else one() for n in range(1, 17)))
    assert most > 1
    assert set(alone) == {0}


async def test_an_alarm_rings_once_in_its_time_and_one_that_is_cleared_does_not() -> None:
    rung: list[str] = []
    ours = Alarms()

    async def rings(what: str) -> None:
        async with asyncio.timeout(30):
            while what not in rung:
                await asyncio.sleep(LOOK_EVERY / 4)

    began = asyncio.get_running_loop().time()
    ours.set(3600, lambda: rung.append("in an hour"))
    ours.set(4 * LOOK_EVERY, lambda: rung.append("later"))
    ours.set(0.0, lambda: rung.append("now"))
    never = ours.set(0.0, lambda: rung.append("never"))
    ours.clear(never)
    ours.clear(never)
    await rings("later")
    assert asyncio.get_running_loop().time() - began >= 4 * LOOK_EVERY
    assert rung == ["now", "later"]
    ours.set(0.0, lambda: rung.append("anew"))
    await rings("anew")
    await asyncio.sleep(3 * LOOK_EVERY)
    assert rung == ["now", "later", "anew"]


async def test_an_event_loop_has_its_own_alarms() -> None:
    assert alarms() is alarms()
    assert alarms() is not await asyncio.to_thread(lambda: asyncio.run(_alarms_of_another()))


async def _alarms_of_another() -> Alarms:
    return alarms()
