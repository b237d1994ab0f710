"""Celery on Redis: results are not kept; one process that prefetches a hundred, with the pool that was faster here."""

from __future__ import annotations

import common
from celery import Celery, signals
from common import BATCH, NAME, payload


def make_app(options: dict, subscriber=None):
    app = Celery("bench", broker=f"redis+socket://{options['redis']}")
    app.conf.update(
        task_ignore_result=True,
        worker_prefetch_multiplier=BATCH,
        worker_redirect_stdouts=False,
        broker_connection_retry_on_startup=True,
    )
    return app, app.task(name=NAME)(subscriber or react)


def react(sent: dict) -> None:
    """The no-op subscriber."""


def fill(options: dict) -> None:
    _, task = make_app(options)
    for number in range(options["count"]):
        task.delay(payload(number))


def work(app) -> None:
    app.worker_main(["worker", "--pool=solo", "--concurrency=1",
                     "--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=ERROR"])  # fmt: skip


def drain(options: dict) -> None:
    clock = common.Drain(options["count"])

    def react(sent: dict) -> None:
        if clock.tick():
            common.answer(rate=clock.rate())
            common.leave()

    work(make_app(options, react)[0])


def receive(options: dict) -> None:
    latencies = common.Latencies(options["count"])

    def react(sent: dict) -> None:
        latencies.take(sent["sent"])

    signals.worker_ready.connect(lambda **_: common.say_ready(), weak=False)
    work(make_app(options, react)[0])


async def send(options: dict) -> None:
    _, task = make_app(options)

    async def one(number: int) -> None:
        task.delay(payload(number))

    await common.at_random(options["count"], options["gap"], one)
    common.answer()


if __name__ == "__main__":
    common.run({f.__name__: f for f in (fill, drain, receive, send)})
