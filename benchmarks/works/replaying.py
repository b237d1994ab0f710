"""replay_…: 10,000 failed deliveries of the generated log sent again, against the bus's own drain and the queues'
dashboards.
"""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Mapping
from datetime import datetime

from benchmarks.browser import free_port
from benchmarks.generated_log import NAMES
from benchmarks.harness import Bench, RunFailed, Subject, Work
from benchmarks.works.browsing import reader
from buslog import db

RETRY_ALL = {"bullboard": ("PUT", "/ui/api/queues/bench/retry/failed"), "rqdashboard": ("POST", "/requeue/bench")}


def measure(bench: Bench, subject: Subject) -> Mapping[str, float]:
    dsn, count, ours = bench.log.copied(), bench.scale.replayed, reader(subject)
    wait(dsn, count)
    own = float(bench.run(ours, "drain", {"dsn": dsn, "count": count})["rate"])
    since, until = oldest_failed(dsn, count)
    with bench.running(ours, "work", {"dsn": dsn}):
        answer = bench.run(ours, "replay", {"dsn": dsn, "since": since.isoformat(), "until": until.isoformat()})
    if answer["sent"] != count:
        raise RunFailed(f"{answer['sent']} of {count} succeeded")
    return {
        "replay_accepted": answer["accepted"],
        "replay_10k": answer["settled"],
        "replay_rate": count / (answer["settled"] - answer["accepted"]) / own,
    }


def measure_peer(bench: Bench, subject: Subject) -> Mapping[str, float]:
    """Its button pressed, with a worker that waits."""
    options = {**bench.where(subject), "port": free_port(), "count": bench.scale.replayed}
    bench.run(subject, "fail", options)
    method, path = RETRY_ALL[subject.name]
    with bench.running(subject, "serve", options), bench.running(subject, "work", options) as worker:
        began = time.monotonic_ns()
        request = urllib.request.Request(f"http://127.0.0.1:{options['port']}{path}", method=method)
        try:
            urllib.request.urlopen(request, timeout=600).close()  # noqa: S310  (ours, on this machine)
        except OSError as error:
            raise RunFailed(f"{subject.name} refused: {error}") from None
        accepted = time.monotonic_ns() - began
        ended = worker.answer()["ended"] - began
    return {"replay_accepted": accepted / 1e9, "replay_10k": ended / 1e9}


def wait(dsn: str, count: int) -> None:
    """So many deliveries of the log's names that wait for a worker."""
    with db.connect(dsn) as connection:
        connection.execute(
            """WITH said AS MATERIALIZED (
                   SELECT buslog.new_id(clock_timestamp()) AS id, n FROM generate_series(1, %(count)s) AS n),
               stored AS (
                   INSERT INTO buslog.messages
                       (id, kind, routed, emitted_at, correlation_id, name, key, source, payload)
                   SELECT id, 'event', 1, buslog.id_time(id), id, 'name' || n %% %(names)s, 'S-' || n, 'bus',
                          jsonb_build_object('shipmentId', 'S-' || n, 'event', repeat('x', 280))
                   FROM said)
               INSERT INTO buslog.deliveries (message_id, subscription_id, state, ready_seq)
               SELECT said.id, s.id, 'pending', nextval('buslog.ready_seq')
               FROM said JOIN buslog.subscriptions s ON s.subscription = 'subscriber' || n %% %(names)s""",
            {"count": count, "names": NAMES},
        )
        connection.execute("VACUUM (ANALYZE) buslog.deliveries")
        connection.execute("CHECKPOINT")


def oldest_failed(dsn: str, count: int) -> tuple[datetime, datetime]:
    """A time that holds so many failed ones."""
    with db.connect(dsn) as connection:
        rows = connection.execute(
            """SELECT buslog.id_time(message_id) FROM buslog.ended_deliveries WHERE state = 'failed' AND latest
               ORDER BY message_id LIMIT %s""",
            (count + 1,),
        ).fetchall()
    return rows[0][0], rows[-1][0]


WORKS = (
    Work({"replay_accepted": "s", "replay_10k": "s", "replay_rate": "×"}, ("buslog",), measure),
    Work({"replay_accepted": "s", "replay_10k": "s"}, tuple(RETRY_ALL), measure_peer),
)
