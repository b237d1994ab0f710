"""What every operation stands on: who acts, whether their role may, and one transaction that holds the operation and
its audit row.
"""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from buslog import db
from buslog.errors import OutcomeUnknown, RoleTooLow
from buslog.rights import Role, least_role


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

    @property
    def is_local(self) -> bool:
        """Whether it is somebody at this machine, or whoever holds the DSN: they may do everything. Nobody who logs in
        can have such a name.
        """
        return is_local(self.name)


def is_local(name: str) -> bool:
    """Whether this is the name of somebody at this machine."""
    return name == "local" or name.startswith("local:")


class Desk:
    """Operations of one kind on one database. A connection is opened for each: people act rarely."""

    def __init__(self, dsn: str, actor: Actor) -> None:
        self._dsn = dsn
        self._actor = actor

    @contextmanager
    def _transaction(self, verb: str, **on: Any) -> Iterator[db.Connection]:
        """One transaction for an operation, begun by asking whether the actor's role may do it.

        verb: of `rights.RIGHTS`. on: what it is done to, as `_audit` takes it. Raises `RoleTooLow`, and puts the
        attempt into the audit: in a transaction of its own, since the operation's is rolled back. Raises
        `OutcomeUnknown` where the connection broke during the commit.
        """
        least = least_role(verb)
        with db.connect(self._dsn) as connection, db.translated(self._dsn):
            try:
                with self._committed(connection, verb):
                    self._demand(connection, verb, least)
                    yield connection
            except RoleTooLow as refusal:
                outcome = {"denied": refusal.was, "needs": refusal.limit}
                self._audit(connection, verb, outcome, **on)
                raise

    @contextmanager
    def _committed(self, connection: db.Connection, verb: str) -> Iterator[None]:
        """A transaction, committed at the end of the block. Raises `OutcomeUnknown`."""
        with ExitStack() as transaction:
            transaction.enter_context(connection.transaction())
            yield
            try:
                with db.translated(self._dsn, committing=verb != "look"):
                    transaction.close()
                    db.check_alive(connection)
            except OutcomeUnknown as error:
                mend = "It may have been done: look in the Audit, or at what it was done to, before you do it again."
                raise error.recast(OutcomeUnknown, field=verb, mend=mend) from None

    def _demand(self, connection: db.Connection, verb: str, least: Role) -> None:
        """Raises `RoleTooLow` unless the actor has this role, in the database and at this moment."""
        if self._actor.is_local or least is Role.VIEWER:
            return
        row = connection.execute(db.query("held_role"), (self._actor.name,)).fetchone()
        role = Role(row[0]) if row and row[0] else Role.VIEWER
        if not role.covers(least):
            raise RoleTooLow(
                field="role", rule=f"may {verb}", was=role, limit=least,
                mend="Ask an admin for the role: the page Your permissions says who may do what.",
            )  # fmt: skip

    def _demand_what_commands_do(self, connection: db.Connection, verb: str, demanded: tuple[Any, ...] | None) -> None:
        """The same for the role that a command asks for: the row of a query for it."""
        if demanded and demanded[0]:
            self._demand(connection, verb, least_role(verb, Role(demanded[0])))

    def _audit(
        self, connection: db.Connection, verb: str, outcome: Mapping[str, Any], *, message_id: UUID | None = None,
        subscription: str | None = None, reason: str = "",
    ) -> None:  # fmt: skip
        values = (self._actor.name, verb, message_id, subscription, reason or None, json.dumps(outcome))
        connection.execute(db.query("audit"), values)
