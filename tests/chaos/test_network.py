"""Faults 9 and 10: a network that is cut, and answers that are lost on the way."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from buslog import Bus, Message
from buslog.config import Settings
from buslog.errors import OutcomeUnknown
from buslog.execution import Claimed
from buslog.message import Emitted

from .client import Client
from .conftest import Judge, on_each_version
from .fleet import BUSY, LEASE, LONG, Fleet, wait_until
from .ledger import read_runs
from .proxy import Proxy

# Seconds until a cut is an error: the 10 of tcp_user_timeout or the keepalives, up to 5 of an attempt to connect anew,
# and as many again for busy cores. Left to the kernel it is a quarter of an hour.
NOTICED = 2 * (10.0 + 5.0)
RECONNECTED = 20.0


@pytest.fixture
def proxy(fleet: Fleet) -> Iterator[Proxy]:
    passing = Proxy(fleet.dsn)
    yield passing
    passing.close()


# ── 9: the network is cut ───────────────────────────────────────────────────────


class Cable:
    """How a worker is reached: `before` its command, `dsn` for it; cut and mended at will. is_noticed: its kernel can
    tell that it is cut.
    """

    def __init__(
        self, dsn: str, cut: Callable[[], object], mend: Callable[[], object], *, before: Sequence[str] = (),
        is_noticed: bool = False,
    ) -> None:  # fmt: skip
        self.dsn, self.cut, self.mend, self.before, self.is_noticed = dsn, cut, mend, before, is_noticed


@contextmanager
def own_network(fleet: Fleet) -> Iterator[Cable]:
    """A network namespace with a pair of veth; as root. Cut: the packets vanish, nobody is told."""
    name = f"chaos{uuid.uuid4().hex[:8]}"
    outside, inside = f"o{name[5:]}", f"i{name[5:]}"
    net = f"198.18.{int(name[5:7], 16)}"  # its own, where several run at once
    ip("netns", "add", name)
    try:
        ip("link", "add", outside, "type", "veth", "peer", "name", inside, "netns", name)
        ip("addr", "add", f"{net}.1/30", "dev", outside)
        ip("link", "set", outside, "up")
        ip("-n", name, "addr", "add", f"{net}.2/30", "dev", inside)
        ip("-n", name, "link", "set", inside, "up")
        proxy = Proxy(fleet.dsn, f"{net}.1")
        try:
            yield Cable(
                proxy.dsn,
                lambda: ip("link", "set", outside, "down"),
                lambda: ip("link", "set", outside, "up"),
                before=["ip", "netns", "exec", name],
                is_noticed=True,
            )
        finally:
            proxy.close()
    finally:
        ip("netns", "del", name)


@contextmanager
def stalling_proxy(fleet: Fleet) -> Iterator[Cable]:
    """Without root: nothing passes, though the kernel still acknowledges every packet."""
    proxy = Proxy(fleet.dsn)
    try:
        yield Cable(proxy.dsn, proxy.stall, proxy.flow)
    finally:
        proxy.close()


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def may_make_networks() -> bool:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    probe = f"probe{uuid.uuid4().hex[:8]}"
    made = subprocess.run(["ip", "netns", "add", probe], check=False, capture_output=True).returncode == 0
    return made and subprocess.run(["ip", "netns", "del", probe], check=False, capture_output=True).returncode == 0


@pytest.fixture(params=[own_network, stalling_proxy], ids=["network namespaces", "a stalling proxy"])
def cable(request: pytest.FixtureRequest, fleet: Fleet) -> Iterator[Cable]:
    """Both ways to cut a network, where both can be had: without root the proxy stands for it alone."""
    if request.param is own_network and not may_make_networks():
        pytest.skip("network namespaces need root")
    with request.param(fleet) as laid:
        yield laid


def test_a_worker_whose_network_is_cut_notices_in_time_is_replaced_and_comes_back(
    fleet: Fleet, client: Client, judge: Judge, cable: Cable
) -> None:
    cut_off = fleet.start(dsn=cable.dsn, before=cable.before)
    client.say(8, seconds=1.0)
    wait_until(lambda: len(read_runs(fleet.runs_file)) >= 8)
    in_flight = fleet.running()
    cable.cut()
    cut_at = time.monotonic()
    other = fleet.start()
    fleet.drain()
    assert time.monotonic() - cut_at < 8 * LEASE + BUSY, "rescued as soon as the lease had run out"
    if cable.is_noticed:
        for what in ("claim: database", "settle: database", "lease not renewed", "listen: database"):
            left = cut_at + NOTICED - time.monotonic()
            wait_until(lambda: what in fleet.log(cut_off), left, lambda: f"nothing of '{what}'")  # noqa: B023
    cable.mend()
    mended_at = time.monotonic()
    fleet.retire(other)
    client.say(3)
    fleet.drain()
    assert time.monotonic() - mended_at < RECONNECTED + BUSY, "the other worker's leaving is in it"
    judge.kept(reruns_at_most=in_flight)
    fleet.retire(cut_off)


# ── 10: the outcome of a commit is unknown ──────────────────────────────────────


@on_each_version
@pytest.mark.parametrize("lost", ["request", "reply"])
def test_an_emit_whose_outcome_is_unknown_is_safe_to_repeat_with_its_dedupe_key(
    fleet: Fleet, said_file: Path, proxy: Proxy, judge: Judge, lost: str
) -> None:
    fleet.start()
    with Client(proxy.dsn, said_file) as client:
        for _ in range(50 if LONG else 5):
            token = uuid.uuid4().hex
            proxy.lose(lost, token)
            first = client.call(client.emit("work", {}, token=token, dedupe_key=token))
            assert isinstance(first, OutcomeUnknown)
            again = client.call(client.emit("work", {}, token=token, dedupe_key=token))
            assert isinstance(again, Emitted)
            assert again.duplicate is (lost == "reply"), "the lost reply was of a commit; the lost request never came"
    fleet.drain()
    verdict = judge.kept()
    assert verdict.states == {"succeeded": 50 if LONG else 5}


def test_without_a_dedupe_key_the_repeat_of_a_lost_reply_is_a_second_message(
    fleet: Fleet, said_file: Path, proxy: Proxy, judge: Judge
) -> None:
    fleet.start()
    with Client(proxy.dsn, said_file) as client:
        token = uuid.uuid4().hex
        proxy.lose("reply", token)
        client.call(client.emit("work", {}, token=token))
        client.call(client.emit("work", {}, token=token))
    fleet.drain()
    broken = judge.look().broken()
    assert set(broken) == {"lost", "unexpected"}, "the checker sees it: this is why there are dedupe keys"


def test_workers_and_clients_that_lose_replies_all_the_time_lose_no_delivery(
    fleet: Fleet, said_file: Path, proxy: Proxy, judge: Judge, chance: random.Random
) -> None:
    for _ in range(2):
        fleet.start(dsn=proxy.dsn, BUSLOG_LEASE="15")  # of which nothing is shown here
    with Client(proxy.dsn, said_file) as client:
        proxy.lose_replies(chance)
        client.flow(30, seconds=0.02)
        client.flow(3, name="chain")
        time.sleep(120 if LONG else 3)
        client.ebb()
        proxy.lose_replies(None)
        fleet.drain()
    assert proxy.lost > 3, "too few losses to show anything"
    judge.kept(reruns_at_most=0)


async def test_what_was_born_leased_by_an_emit_whose_reply_was_lost_runs_in_its_own_process(
    fleet: Fleet, proxy: Proxy
) -> None:
    ran = []
    bus = Bus(settings=Settings(dsn=proxy.dsn, poll=0.1, lease=2.0))
    bus.on("saidHere", lambda message: ran.append(message.id), id="here")
    async with bus:
        proxy.lose("reply", "a-mark-of-its-own")
        with pytest.raises(OutcomeUnknown):
            await bus.emit("saidHere", {"mark": "a-mark-of-its-own"})
        await bus.emit("saidHere", {"mark": "the next"})
        await asyncio.to_thread(wait_until, lambda: len(ran) == 2)


async def test_what_is_settled_while_a_worker_asks_what_it_holds_does_not_run_again(fleet: Fleet) -> None:
    ran = []
    may_end, ended = asyncio.Event(), asyncio.Event()
    bus = Bus(settings=Settings(dsn=fleet.dsn, poll=0.1, lease=2.0))

    @bus.on("saidHere", id="here")
    async def here(message: Message) -> None:
        ran.append(message.attempt)
        await may_end.wait()

    async with bus:
        store, worker = bus._started_store, bus._worker
        assert worker is not None
        ask = store.held

        async def ask_slowly(number: int) -> list[Claimed]:
            """The answer is on its way while the delivery ends."""
            answer = await ask(number)
            if answer:
                may_end.set()
                while worker._in_flight.fences:
                    await asyncio.sleep(0.01)
                ended.set()
            return answer

        store.held = ask_slowly  # type: ignore[method-assign, assignment]
        await bus.emit("saidHere")
        while not ran:
            await asyncio.sleep(0.01)
        worker.reconcile_soon()
        await asyncio.wait_for(ended.wait(), 30)
        await asyncio.sleep(0.2)
    assert ran == [1]
