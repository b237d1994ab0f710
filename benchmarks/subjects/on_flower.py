"""Flower beside Celery on Redis. What it shows are events, which it must have heard itself: `fail` sends them to it."""

from __future__ import annotations

import json
import sys
import time
import urllib.request
import uuid

import common
from common import NAME, payload
from on_celery import make_app

LIMIT = 300.0  # seconds until it has heard them all
PAUSE_AFTER = 1_000


def serve(options: dict) -> None:
    command = [
        sys.executable, "-m", "celery", f"--broker=redis+socket://{options['redis']}", "flower",
        "--address=127.0.0.1", f"--port={options['port']}", f"--max_tasks={options['count']}",
    ]  # fmt: skip
    common.become_server(command, options["port"], FLOWER_UNAUTHENTICATED_API="true")


def fail(options: dict) -> None:
    app, _ = make_app(options)
    ids = [str(uuid.uuid4()) for _ in range(options["count"])]
    with app.events.default_dispatcher() as dispatcher:
        for number, one in enumerate(ids):
            dispatcher.send("task-received", uuid=one, name=NAME, args=str(payload(number)), kwargs="{}", retries=0)
            dispatcher.send("task-failed", uuid=one, exception="CarrierTimeout('no answer within 5 s')", traceback="")
            if number % PAUSE_AFTER == PAUSE_AFTER - 1:
                wait_until_heard(options["port"], one)
    wait_until_heard(options["port"], ids[-1])
    common.answer()


def wait_until_heard(port: int, one: str) -> None:
    give_up_at = time.monotonic() + LIMIT
    while time.monotonic() < give_up_at:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/task/info/{one}") as said:
                if json.load(said).get("state") == "FAILURE":
                    return
        except OSError:
            pass
        time.sleep(0.05)
    raise TimeoutError("Flower has not heard of what failed")


if __name__ == "__main__":
    common.run({"serve": serve, "fail": fail})
