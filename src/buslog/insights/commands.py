"""Commands that are registered, and their runs: the last ones, those for a key, those that were started together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from buslog import db
from buslog.insights.model import Command, CommandRun, LastRuns
from buslog.message import State
from buslog.rights import Role


def cards(connection: db.Connection) -> list[Command]:
    found = []
    for name, subscription, description, schema, is_hosted, role, *last in _rows(connection, "command_cards"):
        runs, failed, at, state, who = last
        lately = LastRuns(runs, failed, at, State(state), who) if runs else None
        found.append(
            Command(
                name,
                subscription,
                description,
                json.loads(schema) if schema else None,
                is_hosted,
                role and Role(role),
                lately,
            )
        )
    return found


def runs(connection: db.Connection, name: str, places: int) -> list[CommandRun]:
    return _runs(connection, "command_runs", command=name, places=places)


def runs_for(
    connection: db.Connection, name: str, keys: Sequence[str], since: datetime, places: int
) -> list[CommandRun]:
    return _runs(connection, "command_recent", command=name, keys=list(keys), since=since, places=places)


def batch_states(connection: db.Connection, name: str, batch: UUID) -> dict[State, int]:
    return {State(state): number for state, number in _rows(connection, "batch_states", command=name, batch=batch)}


def batch_runs(connection: db.Connection, name: str, batch: UUID, places: int) -> list[CommandRun]:
    return _runs(connection, "batch_runs", command=name, batch=batch, places=places)


def _runs(connection: db.Connection, statement: str, **values: Any) -> list[CommandRun]:
    found = []
    for message_id, key, emitted_at, actor, source, state, *rest in _rows(connection, statement, **values):
        attempts, error_type, error, result, finished_at = rest
        found.append(
            CommandRun(
                message_id,
                key,
                emitted_at,
                actor,
                source,
                State(state),
                attempts,
                error_type,
                error,
                result,
                finished_at,
            )
        )
    return found


def _rows(connection: db.Connection, statement: str, **values: Any) -> list[Any]:
    return list(connection.execute(db.query(statement), values or None))
