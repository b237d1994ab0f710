"""Sessions of a Streamlit app without a browser: its websocket's protocol, refreshing as the page asks for it.

look      `sessions` open the Overview, and stay until SIGTERM              → latencies in ms, of the refreshes
"""

from __future__ import annotations

import asyncio
import os
import signal
import time

import common
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import connect

APART = 0.1  # seconds between two that come


class Session:
    """One reader: loads the page, then asks for its fragment at every tick of the timer that the page set."""

    def __init__(self, address: str) -> None:
        self.origin = address
        self.loaded = asyncio.Event()
        self.latencies: list[float] = []  # of the load, then of the refreshes
        self.began = 0.0
        self.page = ""
        self.timer: asyncio.Task | None = None

    async def run(self) -> None:
        address = self.origin.replace("http:", "ws:") + "/_stcore/stream"
        async with connect(address, origin=self.origin, subprotocols=["streamlit"], max_size=None) as self.socket:
            await self.ask()
            async for data in self.socket:
                self.take(ForwardMsg.FromString(data))

    async def ask(self, fragment: str = "") -> None:
        message = BackMsg()
        message.rerun_script.page_script_hash = self.page
        message.rerun_script.fragment_id = fragment
        message.rerun_script.is_auto_rerun = bool(fragment)
        self.began = time.monotonic()
        await self.socket.send(message.SerializeToString())

    def take(self, message: ForwardMsg) -> None:
        kind = message.WhichOneof("type")
        if kind == "new_session":
            self.page = message.new_session.page_script_hash
        elif kind == "auto_rerun" and self.timer is None:
            timer = message.auto_rerun
            self.timer = asyncio.create_task(self.tick(timer.interval, timer.fragment_id))
        elif kind == "script_finished" and self.began:
            self.latencies.append((time.monotonic() - self.began) * 1000)
            self.began = 0.0
            self.loaded.set()

    async def tick(self, every: float, fragment: str) -> None:
        while True:
            await asyncio.sleep(every)
            await self.ask(fragment)


async def look(options: dict) -> None:
    sessions = [Session(options["address"]) for _ in range(options["sessions"])]
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    tasks = []
    for session in sessions:
        tasks.append(asyncio.create_task(session.run()))
        await asyncio.sleep(APART)
    await asyncio.gather(*(session.loaded.wait() for session in sessions))
    common.say_ready()
    await over.wait()
    broken = [task for task in tasks if task.done()]
    if broken or not all(session.timer for session in sessions):
        raise RuntimeError(f"{len(broken)} of {len(sessions)} sessions were lost, or do not refresh")
    refreshes = [one for session in sessions for one in session.latencies[1:]]
    common.answer(latencies=refreshes or [session.latencies[0] for session in sessions])
    os._exit(0)


if __name__ == "__main__":
    common.run({"look": look})
