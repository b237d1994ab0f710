from __future__ import annotations

import random
import signal
from collections import Counter

from buslog import db

from .conftest import Workers, wait_until

FINAL = "SELECT count(*) FROM buslog.log WHERE state NOT IN ('succeeded', 'failed', 'cancelled')"


def unfinished(connection: db.Connection) -> int:
    row = connection.execute(FINAL).fetchone()
    assert row is not None
    return int(row[0])


def test_with_one_of_two_workers_killed_in_mid_subscriber_every_delivery_ends_and_none_is_lost(
    workers: Workers, connection: db.Connection
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201  (to run it again)
    chance = random.Random(seed)
    victim, _ = workers.start(), workers.start()
    wait_until(lambda: connection.execute("SELECT count(*) FROM buslog.workers").fetchone() == (2,))
    for number in range(200):
        seconds = chance.uniform(0.01, 0.3)
        connection.execute(
            "SELECT buslog.emit('departed', jsonb_build_object('shipmentId', %s::text, 'seconds', %s::float8))",
            [f"S-{number}", seconds],
        )

    def is_in_mid_subscriber() -> bool:
        """The victim holds what it has begun and not ended."""
        begun = Counter((note[0], note[4]) for note in workers.notes())
        return begun["end", victim.pid] > 5 and begun["start", victim.pid] > begun["end", victim.pid]

    wait_until(is_in_mid_subscriber)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    in_flight = {
        note[1] for note in workers.notes() if note[4] == victim.pid and note[0] == "start"
    } - {note[1] for note in workers.notes() if note[4] == victim.pid and note[0] == "end"}  # fmt: skip
    assert in_flight, "the kill came too early or too late to prove anything"
    wait_until(lambda: unfinished(connection) == 0)

    ended: dict[str, int] = dict(
        connection.execute("SELECT (subscription, state)::text, count(*) FROM buslog.log GROUP BY 1").fetchall()
    )
    told = ended.pop("(plain,succeeded)")
    assert ended == {"(slow,succeeded)": 200, "(emits,succeeded)": 200}
    assert 200 <= told <= 220, "what a subscriber said before the kill, its second run may say again: at least once"
    assert connection.execute("SELECT count(*) FROM buslog.deliveries").fetchone() == (0,)
    ran_to_the_end = Counter(note[1] for note in workers.notes() if note[0] == "end")
    assert len(ran_to_the_end) == 200, "none is lost"
    again = sum(count - 1 for count in ran_to_the_end.values())
    lost = connection.execute(
        "SELECT count(*) FROM buslog.attempts WHERE error_type = 'WorkerLost'"
    ).fetchone()  # fmt: skip
    assert lost is not None
    assert len(in_flight) <= lost[0] <= 40, "the rescue charged what was leased to the victim, and no more"
    assert again <= 20, "what ran twice was in flight at the kill"


def test_sigterm_lets_subscribers_finish_and_leaves_nothing_leased(workers: Workers, connection: db.Connection) -> None:
    worker = workers.start()
    wait_until(lambda: connection.execute("SELECT count(*) FROM buslog.workers").fetchone() == (1,))
    connection.execute(
        'SELECT buslog.emit(\'departed\', \'{"seconds": 1, "shipmentId": "S-42"}\') FROM generate_series(1, 40)'
    )
    wait_until(workers.notes)
    worker.send_signal(signal.SIGTERM)
    output, _ = worker.communicate(timeout=60)
    assert worker.returncode == 0, output
    begun = Counter(note[0] for note in workers.notes())
    assert begun["start"] == begun["end"]
    rows = connection.execute("SELECT state, attempts FROM buslog.log WHERE subscription = 'slow'").fetchall()
    assert set(rows) <= {("succeeded", 1), ("pending", 0)}
    assert connection.execute("SELECT count(*) FROM buslog.workers").fetchone() == (0,)


def test_an_emit_by_sql_reaches_all_its_subscribers_and_the_thread_shows_what_they_said(
    workers: Workers, connection: db.Connection
) -> None:
    workers.start()
    wait_until(lambda: connection.execute("SELECT count(*) FROM buslog.workers").fetchone() == (1,))
    (root,) = connection.execute("SELECT buslog.emit('departed', '{\"shipmentId\": \"S-42\"}')").fetchone() or ()
    wait_until(lambda: connection.execute("SELECT count(*) FROM buslog.log WHERE name = 'told'").fetchone() == (1,))
    wait_until(lambda: unfinished(connection) == 0)
    rows = connection.execute(
        "SELECT name, subscription, state, correlation_id, causation_id FROM buslog.log"
        " ORDER BY message_id, subscription"
    ).fetchall()
    assert rows == [
        ("departed", "emits", "succeeded", root, None),
        ("departed", "slow", "succeeded", root, None),
        ("told", "plain", "succeeded", root, root),
    ]
