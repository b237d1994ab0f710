"""What every operation stands on: who acts, and one transaction that holds the operation and its audit row."""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from buslog import db


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, and through which door: `dashboard` or `cli`."""

    name: str
    source: str

    @classmethod
    def local(cls, source: str) -> Actor:
        """The visible identity of somebody at this machine: the user of the operating system."""
        try:
            return cls(f"local:{getpass.getuser()}", source)
        except (OSError, KeyError):
            return cls("local", source)


class Desk:
    """Operations of one kind on one database. A connection is opened for each: people act rarely."""

    def __init__(self, dsn: str, actor: Actor) -> None:
        self._dsn = dsn
        self._actor = actor

    @contextmanager
    def _transaction(self) -> Iterator[db.Connection]:
        with db.connect(self._dsn) as connection, db.translated(self._dsn), connection.transaction():
            yield connection

    def _audit(
        self, connection: db.Connection, verb: str, outcome: Mapping[str, Any], *, message_id: UUID | None = None,
        subscription: str | None = None, reason: str = "",
    ) -> None:  # fmt: skip
        values = (self._actor.name, verb, message_id, subscription, reason or None, json.dumps(outcome))
        connection.execute(db.query("audit"), values)
