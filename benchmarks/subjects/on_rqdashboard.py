"""rq-dashboard on Redis. `work` is RQ's SimpleWorker, which forks no process for each: the faster one for a no-op."""

from __future__ import annotations

import sys
import time

import common
from common import payload
from redis import Redis
from rq import Queue, SimpleWorker
from rq.job import Job
from rq.results import Result

QUEUE = "bench"
ERROR = "CarrierTimeout: no answer within 5 s"
STEP = 1_000
MODULE = "on_rqdashboard"  # where the worker finds the subscriber


def connect(options: dict) -> Redis:
    return Redis(unix_socket_path=options["redis"])


def react(sent: dict) -> None:
    """The no-op subscriber."""


def fail(options: dict) -> None:
    connection = connect(options)
    queue = Queue(QUEUE, connection=connection)
    connection.sadd(Queue.redis_queues_keys, queue.key)
    for start in range(0, options["count"], STEP):
        with connection.pipeline() as pipeline:
            for number in range(start, min(start + STEP, options["count"])):
                job = Job.create(
                    f"{MODULE}.react", (payload(number),), connection=connection, origin=QUEUE, status="failed"
                )
                job.save(pipeline=pipeline)
                queue.failed_job_registry.add(job, -1, pipeline=pipeline)
                Result.create_failure(job, -1, ERROR, pipeline=pipeline)
            pipeline.execute()
    common.answer()


def serve(options: dict) -> None:
    command = [sys.executable, "-m", "rq_dashboard", "--bind", "127.0.0.1", "--port", str(options["port"]),
               "--redis-url", f"unix://{options['redis']}"]  # fmt: skip
    common.become_server(command, options["port"])


class Counting(SimpleWorker):
    """Answers when `count` of them have been carried out."""

    left = 0

    def execute_job(self, job, queue) -> None:
        super().execute_job(job, queue)
        self.left -= 1
        if not self.left:
            common.answer(ended=time.monotonic_ns())
            common.leave()


def work(options: dict) -> None:
    worker = Counting([QUEUE], connection=connect(options))
    worker.left = options["count"]
    common.say_ready()
    worker.work(logging_level="ERROR")
    sys.exit("the worker has ended by itself")


if __name__ == "__main__":
    common.run({"fail": fail, "serve": serve, "work": work})
