"""Dramatiq on Redis: one process with its default of eight threads."""

from __future__ import annotations

import threading
import time

import common
import dramatiq
from common import NAME, payload
from dramatiq.brokers.redis import RedisBroker


def make_actor(options: dict, subscriber=None):
    broker = RedisBroker(url=f"unix://{options['redis']}")
    dramatiq.set_broker(broker)
    return broker, dramatiq.actor(subscriber or react, actor_name=NAME, queue_name="bench")


def react(sent: dict) -> None:
    """The no-op subscriber."""


def fill(options: dict) -> None:
    _, actor = make_actor(options)
    for number in range(options["count"]):
        actor.send(payload(number))


def drain(options: dict) -> None:
    clock, turn = common.Drain(options["count"]), threading.Lock()

    def react(sent: dict) -> None:
        with turn:
            last = clock.tick()
        if last:
            common.answer(rate=clock.rate())
            common.leave()

    broker, _ = make_actor(options, react)
    dramatiq.Worker(broker, worker_threads=8).start()
    time.sleep(3600)


if __name__ == "__main__":
    common.run({f.__name__: f for f in (fill, drain)})
