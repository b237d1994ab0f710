"""Figures of subscriptions: how many, how often in vain, how long."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from buslog import db
from buslog.errors import InvalidFilter
from buslog.filter import Filter
from buslog.insights import rollup
from buslog.insights.model import Subscriber
from buslog.message import ENDED_STATES, Mode
from buslog.retry import RetryPolicy


def subscribers(connection: Connection, filter_: Filter, now: datetime) -> list[Subscriber]:
    if replace(filter_, subscription=None).is_narrow:
        raise InvalidFilter(
            field="filter", rule="asks for a time and a subscription", was="one that asks for more",
            mend="Leave out all else.",
        )  # fmt: skip
    ended = rollup.by_subscription(connection, filter_, now)
    lasted = rollup.lasted(connection, filter_, now)
    since, until = filter_.bounds(now)
    seconds = ((until or now) - since).total_seconds() if since else 0.0
    found = []
    for number, name, mode, policy, *is_now in connection.exec_driver_sql(
        db.query("subscribers"), {"subscription": filter_.subscription}
    ):
        is_active, backlog, oldest, live_workers, paused_at, circuit_opened_at = is_now
        succeeded, failed, cancelled = (ended.get(number, {}).get(state, 0) for state in ENDED_STATES)
        took = lasted.get(number, Counter())
        p50, p95, p99 = (rollup.quantile(took, share) for share in (0.5, 0.95, 0.99))
        found.append(
            Subscriber(
                name, Mode(mode), RetryPolicy.from_json(json.loads(policy)), is_active, succeeded, failed, cancelled,
                (succeeded + failed + cancelled) / seconds if seconds > 0 else None, p50, p95, p99,
                backlog, oldest, live_workers, paused_at, circuit_opened_at,
            )
        )  # fmt: skip
    return found
