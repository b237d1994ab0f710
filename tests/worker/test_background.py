"""The same bus in programs without an event loop: threads, a WSGI server, a fork, the end of the program."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest

from buslog import Bus, Message, db
from buslog.config import Settings
from buslog.errors import BusNotStarted, Misconfigured
from examples import wsgi

from .conftest import log_rows

ROOT = Path(__file__).parents[2]


def until(condition: Callable[[], Any], seconds: float = 30.0) -> None:
    give_up_at = time.monotonic() + seconds
    while not (last := condition()):
        assert time.monotonic() < give_up_at, f"still {last!r} after {seconds} s"
        time.sleep(0.01)


def loop_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "buslog-loop"]


@pytest.fixture(autouse=True)
def _no_loop_stays() -> Iterator[None]:
    yield
    assert loop_threads() == []


def test_a_script_emits_and_hosts_its_subscribers_inside_with(bus: Bus, connection: db.Connection) -> None:
    seen: list[str] = []

    def plain(message: Message) -> None:
        seen.append(f"plain {threading.current_thread().name.startswith('buslog-subscriber')}")

    async def coroutine(message: Message) -> None:
        seen.append(f"coroutine {message.key}")

    bus.on("departed", plain, mode="sync")
    bus.on("departed", coroutine, mode="sync")
    with bus:
        assert bus.emit("departed", {"shipmentId": "S-42"}).result(10).routed == 2
        assert sorted(seen) == ["coroutine S-42", "plain True"]
    assert {row[0] for row in log_rows(connection, "state", "departed")} == {"succeeded"}
    with pytest.raises(BusNotStarted):
        bus.emit("departed")


def test_what_a_script_emitted_and_did_not_wait_for_is_sent_before_the_bus_stops(
    bus: Bus, connection: db.Connection
) -> None:
    with bus:
        for n in range(50):
            bus.emit("departed", {"n": n})
    rows = connection.execute("SELECT payload->'n' FROM buslog.messages ORDER BY id").fetchall()
    assert [n for (n,) in rows] == list(range(50))


def test_a_subscriber_added_in_a_thread_gets_the_emits_after_it_and_none_before(bus: Bus) -> None:
    seen: list[str] = []

    def late(message: Message) -> None:
        seen.append(message.payload["n"])

    with bus:
        bus.emit("departed", {"n": "before"})
        off = bus.on("departed", late)
        bus.emit("departed", {"n": "between"})
        until(lambda: seen)
        off()
        assert bus.emit("departed", {"n": "after"}).result(10).routed == 0
        time.sleep(0.2)
    assert seen == ["between"]


async def test_with_is_refused_where_there_is_an_event_loop(bus: Bus) -> None:
    with pytest.raises(TypeError, match="async with"), bus:
        pass


def test_a_start_that_fails_says_why_and_leaves_no_thread(empty_dsn: str) -> None:
    bus = Bus(settings=Settings(dsn=empty_dsn))
    with pytest.raises(Misconfigured, match="buslog migrate"):
        bus.start_in_thread()
    assert loop_threads() == []


def test_first_requests_at_once_start_the_bus_once(bus: Bus, connection: db.Connection) -> None:
    def first_request(_: int) -> None:
        bus.start_in_thread()
        bus.emit("departed").result(10)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(first_request, range(8)))
    assert loop_threads() == ["buslog-loop"]
    bus.stop_in_thread()
    assert connection.execute("SELECT count(*) FROM buslog.messages").fetchone() == (8,)


def test_a_bus_can_be_started_again_after_its_stop(bus: Bus) -> None:
    for _ in range(2):
        with bus:
            bus.emit("departed").result(10)


def test_a_subscriber_in_the_bus_s_own_loop_cannot_stop_it_from_there(bus: Bus) -> None:
    caught: list[type[Exception]] = []

    async def stops(message: Message) -> None:
        try:
            bus.stop_in_thread()
        except TypeError as error:
            caught.append(type(error))

    bus.on("departed", stops, mode="sync")
    with bus:
        bus.emit("departed").result(10)
        assert caught == [TypeError]
        bus.emit("departed").result(10)


def test_any_event_loop_may_await_an_emit_and_only_the_bus_s_own_may_follow(bus: Bus) -> None:
    async def program() -> int:
        with pytest.raises(TypeError, match="event loop"):
            bus.events()
        return (await bus.emit("departed")).routed

    with bus:
        assert asyncio.run(program()) == 0


def test_an_emit_in_a_thread_that_nobody_asks_for_and_that_fails_is_a_warning(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    with bus:
        bus.emit("departed", {"shipmentId": "k" * 300})  # a key that is too long: the database says so
    assert "departed, whose emit nobody awaited: key" in caplog.text
    assert "kkk" not in caplog.text


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None: ...


def test_the_wsgi_example_commits_before_it_answers_and_hosts_its_subscriber(
    dsn: str, connection: db.Connection, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(wsgi.bus, "_settings", Settings(dsn=dsn, poll=0.1))
    with make_server("127.0.0.1", 0, wsgi.app, handler_class=Quiet) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            address = f"http://127.0.0.1:{server.server_port}/departed"
            with urllib.request.urlopen(address, data=b"S-42", timeout=30) as answer:
                told = answer.read().decode().strip()
            assert connection.execute("SELECT id::text, key FROM buslog.messages").fetchall() == [(told, "S-42")]
            until(lambda: log_rows(connection, "state", "shipmentDeparted") == [("succeeded",)])
        finally:
            server.shutdown()
            serving.join()
            wsgi.bus.stop_in_thread()
    assert "Dear customer, S-42 is on its way" in capsys.readouterr().out


def run_program(dsn: str, program: str, **environment: str) -> str:
    """Runs Python code in a process of its own; returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore:This process:DeprecationWarning", "-c", program],
        env={**os.environ, "BUSLOG_DSN": dsn, **environment}, cwd=ROOT, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


FORK = """
import os
from buslog import Bus
from buslog.errors import BusNotStarted

bus = Bus()
bus.on("*", print, id="plain")
bus.start_in_thread()
bus.emit("saidByParent", {"n": 1}).result(10)
child = os.fork()
if child == 0:
    try:
        bus.emit("saidByChild", {"n": 0})
    except BusNotStarted as error:
        print(error, flush=True)
    bus.start_in_thread()
    bus.emit("saidByChild", {"n": 1}).result(10)
    bus.stop_in_thread()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
bus.emit("saidByParent", {"n": 2}).result(10)
bus.stop_in_thread()
"""


def test_a_forked_process_is_told_to_start_the_bus_anew_and_leaves_its_parent_s_alone(
    dsn: str, connection: db.Connection
) -> None:
    assert "a forked process starts it anew" in run_program(dsn, FORK)
    rows = connection.execute("SELECT name, payload->'n' FROM buslog.messages ORDER BY id").fetchall()
    assert rows == [("saidByParent", 1), ("saidByChild", 1), ("saidByParent", 2)]


FORK_EMBEDDED = """
import os, pathlib
from buslog import Bus

bus = Bus()
bus.start_in_thread()
started, parent_gone = os.pipe(), os.pipe()
if os.fork() != 0:
    os.read(started[0], 1)
    os._exit(0)
os.close(parent_gone[1])
bus.start_in_thread()
os.write(started[1], b"!")
os.read(parent_gone[0], 1)
bus.stop_in_thread()
print(list(pathlib.Path(os.environ["BUSLOG_HOME"]).rglob("postmaster.pid")))
"""


def test_a_forked_process_whose_parent_died_stops_the_embedded_server_when_it_is_the_last(tmp_path: Path) -> None:
    assert run_program("", FORK_EMBEDDED, BUSLOG_HOME=str(tmp_path / ".buslog")) == "[]\n"


END = """
from buslog import Bus

bus = Bus()

@bus.on("departed", id="plain")
def plain(message):
    print("reacted", flush=True)

bus.start_in_thread()
for n in range(200):
    bus.emit("departed", {"n": n})
"""


def test_a_program_that_ends_without_a_stop_sends_what_it_emitted_and_leaves_no_worker_behind(
    dsn: str, connection: db.Connection
) -> None:
    reacted = run_program(dsn, END).count("reacted")
    states = [row[0] for row in log_rows(connection, "state", "departed")]
    assert (len(states), states.count("succeeded")) == (200, reacted)
    assert set(states) <= {"succeeded", "pending"}
    assert connection.execute("SELECT count(*) FROM buslog.workers").fetchone() == (0,)
