"""`buslog up`: the whole system on a bare folder, and nothing of it left afterwards."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ports import free_port

from .conftest import ROOT, wait_until

APP = """
from buslog import Bus, Message

bus = Bus()

@bus.on("ordered", id="ship")
async def ship(message: Message) -> str:
    return "shipped"
"""

TRAFFIC = """
import asyncio
from buslog import Bus

async def main() -> None:
    async with Bus(host=False) as bus:
        await bus.emit("ordered", {"shipmentId": "S-1"})

asyncio.run(main())
"""


class Up:
    """`buslog up` in a folder of its own, with an embedded database; what it says goes to a file."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self._said = folder / "said"
        (folder / "upshop.py").write_text(APP)
        (folder / "uptraffic.py").write_text(TRAFFIC)
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("BUSLOG_")}
        path = os.pathsep.join(part for part in (str(ROOT / "src"), kept.get("PYTHONPATH", "")) if part)
        return {**kept, "PYTHONPATH": path, "BUSLOG_PORT": str(self.port), "BUSLOG_POLL": "0.2", "BUSLOG_GRACE": "5"}

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        with self._said.open("wb") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "buslog", "up", *arguments], cwd=self.folder, env=self.environment,
                stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True,
            )  # fmt: skip
        self._processes.append(process)
        return process

    def run(self, *arguments: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "buslog", *arguments], cwd=self.folder, env=self.environment,
            capture_output=True, timeout=60, check=True, text=True,
        ).stdout  # fmt: skip

    def said(self) -> str:
        return self._said.read_text()

    def answers(self) -> bool:
        return f"buslog is up: http://127.0.0.1:{self.port}" in self.said()

    def left(self) -> list[str]:
        """The processes that work in the folder, PostgreSQL's among them, but for `up` itself."""
        ours = {str(process.pid) for process in self._processes}
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and entry.name not in ours:
                try:
                    if (entry / "cwd").readlink().is_relative_to(self.folder):
                        found.append(f"{entry.name} {(entry / 'cmdline').read_text()}")
                except OSError:
                    continue
        return found

    def worker_pid(self) -> int:
        return next(int(line.split()[0]) for line in self.left() if "\0worker\0" in line)

    def end(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(timeout=60)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    started = Up(tmp_path.resolve())
    yield started
    started.end()


def test_up_brings_everything_up_starts_again_what_dies_and_ctrl_c_leaves_nothing_running(up: Up) -> None:
    process = up.start("upshop:bus", "--also", "uptraffic")
    wait_until(up.answers)
    with urllib.request.urlopen(f"http://127.0.0.1:{up.port}/") as page:
        assert page.status == 200
    wait_until(lambda: "uptraffic has ended." in up.said())
    wait_until(lambda: ",ship,async,succeeded," in up.run("export", "--key", "S-1"))

    first = up.worker_pid()
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: "the worker ended by signal 9; it starts again in 1 s." in up.said())
    wait_until(lambda: up.said().count("The worker runs") == 2)
    assert up.worker_pid() != first
    up.run("emit", "ordered", '{"shipmentId": "S-2"}')
    wait_until(lambda: ",ship,async,succeeded," in up.run("export", "--key", "S-2"))

    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 0, up.said()
    assert up.left() == []
    assert re.search(r"Stopping the dashboard\n(.*\n)*Stopping the worker", up.said())
    assert "Traceback" not in up.said()

    # A second time takes the data up where it was.
    process = up.start()
    wait_until(up.answers)
    assert up.run("export").count("ordered") == 2
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0, up.said()
    assert up.left() == []


def test_when_up_is_killed_with_9_its_children_and_the_database_stop_too(up: Up) -> None:
    process = up.start("upshop:bus")
    wait_until(up.answers)
    wait_until(lambda: "The worker runs" in up.said())
    assert len(up.left()) >= 3
    process.kill()
    process.wait()
    wait_until(lambda: up.left() == [])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["upshop:nothing"], "names a Bus in upshop (was nothing, which is not there)"),
        (["--host", "192.0.2.1"], "dashboard address: can be listened on"),
        (["--port", "0"], "Invalid value for '--port'"),
    ],
)
def test_what_cannot_work_ends_with_2_before_anything_is_started(up: Up, arguments: list[str], told: str) -> None:
    assert up.start(*arguments).wait(timeout=60) == 2
    assert told in up.said()
    assert not (up.folder / ".buslog").exists()


def test_a_port_that_another_program_listens_on_ends_with_2(up: Up) -> None:
    with socket.create_server(("127.0.0.1", up.port)):
        assert up.start().wait(timeout=60) == 2
    assert f"127.0.0.1:{up.port}, where another program listens" in up.said()
    assert not (up.folder / ".buslog").exists()


def test_up_for_programs_says_where_it_is_and_logs_one_json_object_a_line_with_all_its_children(up: Up) -> None:
    process = up.start("upshop:bus", "--json")
    wait_until(lambda: json.dumps({"url": f"http://127.0.0.1:{up.port}"}) in up.said())
    with urllib.request.urlopen(f"http://127.0.0.1:{up.port}/") as page:
        assert page.status == 200
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0, up.said()
    lines = [json.loads(line) for line in up.said().splitlines()]
    told = [line["message"] for line in lines if "message" in line]
    assert {"Stopping the dashboard", "Stopping the worker", "The worker runs; Ctrl-C stops it."} <= set(told)
