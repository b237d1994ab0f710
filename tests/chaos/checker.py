"""The checker: after a fault and a full drain, what was said and what ran against what the database holds."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from uuid import UUID

from buslog import db

from .app import MAX_ATTEMPTS, SUBSCRIBERS
from .ledger import Ran, Said, read_runs, read_said

FINAL = {"succeeded", "failed", "cancelled"}
Generation = tuple[UUID, str, int]


@dataclass
class Verdict:
    """What broke a promise, a sentence each; and `reruns`: attempts that began and were not needed."""

    lost: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    overrun: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    reruns: int = 0
    said: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)

    def broken(self) -> dict[str, list[str]]:
        """By promise: the first few sentences."""
        kinds = (f.name for f in fields(self) if f.name not in {"reruns", "said", "states"})
        return {kind: found[:5] for kind in kinds if (found := getattr(self, kind))}

    def __str__(self) -> str:
        return f"said {dict(self.said)}, ended {dict(self.states)}, {self.reruns} reruns"


@dataclass(frozen=True)
class Found:
    """What the database holds."""

    messages: list[tuple[UUID, str, str]]  # id, name, token
    latest: list[tuple[UUID, str, str, int]]  # message, subscription, state, attempts: the public log
    ended: list[tuple[UUID, str, int, str, int, bool, str, dict[str, int] | None]]
    attempts: list[tuple[UUID, str, int, int, str]]

    @classmethod
    def read(cls, dsn: str) -> Found:
        with db.connect(dsn) as connection, connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            return cls(
                messages=_rows(connection, "SELECT id, name, payload ->> 'token' FROM buslog.messages"),
                latest=_rows(connection, """SELECT message_id, subscription, state, attempts FROM buslog.log
                                            WHERE subscription IS NOT NULL"""),
                ended=_rows(connection, """
                    SELECT e.message_id, s.subscription, e.generation, e.state::text, e.attempts, e.latest, e.worker,
                           e.result
                    FROM buslog.ended_deliveries e JOIN buslog.subscriptions s ON s.id = e.subscription_id"""),
                attempts=_rows(connection, """
                    SELECT a.message_id, s.subscription, a.generation, a.attempt, a.error_type
                    FROM buslog.attempts a JOIN buslog.subscriptions s ON s.id = a.subscription_id"""),
            )  # fmt: skip


def check(dsn: str, said_file: Path, runs_file: Path, subscribers: Mapping[str, set[str]] = SUBSCRIBERS) -> Verdict:
    """Raises nothing for a broken promise: `kept` does."""
    found, said, runs = Found.read(dsn), read_said(said_file), read_runs(runs_file)
    verdict = Verdict(said=Counter(line.what for line in said))
    _check_emits(found, said, verdict)
    _check_fan_out(found, subscribers, verdict)
    _check_states(found, verdict)
    _check_runs(found, runs, verdict)
    return verdict


def kept(verdict: Verdict, *, reruns_at_most: int = 0) -> None:
    """Fails unless every promise was kept. reruns_at_most: how many deliveries were in flight at the fault."""
    assert verdict.broken() == {}, str(verdict)
    assert verdict.reruns <= reruns_at_most, str(verdict)
    assert verdict.said["invoked"] == sum(verdict.said.values()) - verdict.said["invoked"], "an emit never came back"


def history(dsn: str) -> set[tuple[Any, ...]]:
    """Everything that must never change once it is written."""
    with db.connect(dsn) as connection:
        ended = _rows(connection, """SELECT message_id, subscription_id, generation, attempts, state::text, started_at,
                                            finished_at, worker, error_type, error, result::text
                                     FROM buslog.ended_deliveries""")  # fmt: skip
        attempts = _rows(connection, "SELECT * FROM buslog.attempts")
        return {*ended, *attempts}


def _check_emits(found: Found, said: list[Said], verdict: Verdict) -> None:
    stored = defaultdict(list)
    for message, _, token in found.messages:
        stored[token].append(message)
    invoked = {line.token for line in said if line.what == "invoked"}
    confirmed = {line.token: line for line in said if line.what == "ok"}
    in_doubt = {line.token for line in said if line.what in {"ok", "unknown"}}
    refused = {line.token for line in said if line.what == "refused"} - in_doubt
    for token, line in confirmed.items():
        if stored[token] != [line.message]:
            verdict.lost.append(f"emit {token} was confirmed as {line.message}; there is {stored[token] or 'nothing'}")
    for token, messages in stored.items():
        if token not in invoked:
            verdict.unexpected += [f"message {message}: nobody said {token}" for message in messages]
        if token in refused:
            verdict.unexpected += [f"message {message}: its emit was refused" for message in messages]
        if len(messages) > 1:
            verdict.unexpected.append(f"{token} was said once and is stored {len(messages)} times")


def _check_fan_out(found: Found, subscribers: Mapping[str, set[str]], verdict: Verdict) -> None:
    delivered = defaultdict(set)
    for message, subscription, _, _ in found.latest:
        delivered[message].add(subscription)
    for message, name, _ in found.messages:
        if missing := subscribers[name] - delivered[message]:
            verdict.lost.append(f"message {message} lacks {missing}")
        if surplus := delivered[message] - subscribers[name]:
            verdict.unexpected.append(f"message {message} reached {surplus}")


def _check_states(found: Found, verdict: Verdict) -> None:
    verdict.states = Counter(state for _, _, state, _ in found.latest)
    rows = Counter((message, subscription) for message, subscription, _, _ in found.latest)
    latest = Counter((row[0], row[1]) for row in found.ended if row[5])
    generations = defaultdict(set)
    for message, subscription, generation, *_ in found.ended:
        generations[message, subscription].add(generation)
    for message, subscription, state, _ in found.latest:
        delivery = (message, subscription)
        if state not in FINAL:
            verdict.unfinished.append(f"{message} × {subscription} is {state}")
        elif rows[delivery] != 1 or latest[delivery] != 1:
            verdict.doubled.append(f"{message} × {subscription} has {latest[delivery]} final states")
        elif generations[delivery] != set(range(1, max(generations[delivery]) + 1)):
            verdict.gaps.append(f"{message} × {subscription} has generations {sorted(generations[delivery])}")


def _check_runs(found: Found, runs: list[Ran], verdict: Verdict) -> None:
    started = Counter(run.delivery for run in runs if run.what == "start")
    completed = {(*run.delivery, run.attempt, run.pid) for run in runs if run.what == "end"}
    ended_runs = {end[:3] for end in completed}
    raised = Counter((m, s, g) for m, s, g, _, error in found.attempts if error != "WorkerLost")
    recorded = {(m, s, g, attempt) for m, s, g, attempt, _ in found.attempts}
    known = {(message, subscription) for message, subscription, _, _ in found.latest}
    needed: Counter[Generation] = Counter(raised)
    for message, subscription, generation, state, attempts, _, worker, result in found.ended:
        delivery = (message, subscription, generation)
        place = f"{message} × {subscription}, generation {generation}"
        if attempts > MAX_ATTEMPTS:
            verdict.overrun.append(f"{place} was charged {attempts} attempts")
        if state != "succeeded":
            continue
        needed[delivery] += 1
        pid = int(worker.rsplit(":", 1)[1])
        if delivery not in ended_runs:
            verdict.lost.append(f"{place} succeeded and never ran to its end")
        elif result != {"attempt": attempts, "pid": pid} or (*delivery, attempts, pid) not in completed:
            verdict.stale.append(f"{place}: attempt {attempts} of {worker} ended with {result}")
        elif (*delivery, attempts) in recorded:
            verdict.stale.append(f"{place}: attempt {attempts} was lost or raised, and succeeded")
    for delivery, starts in started.items():
        if delivery[:2] not in known:
            verdict.unexpected.append(f"{delivery[0]} × {delivery[1]} ran and is not in the log")
        if starts > MAX_ATTEMPTS:
            verdict.overrun.append(f"{delivery[0]} × {delivery[1]} began {starts} times, limit {MAX_ATTEMPTS}")
        verdict.reruns += max(0, starts - needed[delivery])


def _rows(connection: db.Connection, query: Any) -> list[Any]:
    return connection.execute(query).fetchall()
