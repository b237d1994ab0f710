"""worker_memory: megabytes that a worker grows by between its 100,000th and its 1,000,000th delivery."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.harness import Bench, Subject, Work
from buslog import db


def measure(bench: Bench, subject: Subject) -> Mapping[str, float]:
    where = bench.where(subject)
    first, last = bench.scale.remembered
    with db.connect(where["dsn"]) as connection:
        connection.execute(
            """WITH said AS (SELECT buslog.new_id(clock_timestamp()) AS id FROM generate_series(1, %s)),
               stored AS (
                   INSERT INTO buslog.messages (id, kind, routed, emitted_at, correlation_id, name, source, payload)
                   SELECT id, 'event', 1, clock_timestamp(), id, 'shipmentDeparted', 'bus', '{"shipmentId": "S-1"}'
                   FROM said)
               INSERT INTO buslog.deliveries (message_id, subscription_id, state, ready_seq)
               SELECT id, 1, 'pending', nextval('buslog.ready_seq') FROM said""",
            (last,),
        )
    found = bench.run(subject, "memory", {**where, "first": first, "last": last})
    return {"worker_memory": found["last"] - found["first"]}


WORKS = (Work({"worker_memory": "MB"}, ("buslog",), measure),)
