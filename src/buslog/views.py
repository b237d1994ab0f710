"""Saved views: filters under a name, for oneself or for the team; and filters that are too long for an address."""

from __future__ import annotations

from uuid import UUID

from buslog import db
from buslog.desk import Desk
from buslog.errors import NotFound, OperationRefused
from buslog.filter import Filter
from buslog.payload import CONTROL

LONGEST_NAME = 100


class Views(Desk):
    """The saved views of one database. Whoever saved one renames and deletes it."""

    def save(self, name: str, filter_: Filter, *, is_shared: bool = False) -> UUID:
        """Keep a filter under a name; one's own of that name is replaced. Relative times stay relative.

        Raises `OperationRefused` for a name that is empty, too long, or not printable.
        """
        name = _checked(name)
        with self._transaction("save view") as connection:
            values = (name, filter_.to_text(), self._actor.name, is_shared)
            row = connection.execute(db.query("save_view"), values).fetchone()
            assert row is not None
            view_id: UUID = row[0]
            outcome = {"view": str(view_id), "name": name, "filter": filter_.to_text()[:1000], "shared": is_shared}
            self._audit(connection, "save view", outcome)
            return view_id

    def rename(self, view_id: UUID, name: str) -> None:
        """Raises `NotFound`, and `OperationRefused` for somebody else's, or a name that is taken or unfit."""
        name = _checked(name)
        with self._transaction("rename view") as connection:
            before = self._own(connection, view_id)
            taken = connection.execute(db.query("views"), {"who": self._actor.name}).fetchall()
            if any(row[0] != view_id and (row[1], row[3]) == (name, self._actor.name) for row in taken):
                raise OperationRefused(
                    field="name", rule="is not another view's of yours", was=name, mend="Choose another name."
                )
            connection.execute(db.query("rename_view"), (name, view_id))
            self._audit(connection, "rename view", {"view": str(view_id), "from": before, "name": name})

    def delete(self, view_id: UUID) -> None:
        """Links to it lead nowhere from now on. Raises `NotFound`, and `OperationRefused` for somebody else's."""
        with self._transaction("delete view") as connection:
            name = self._own(connection, view_id)
            connection.execute(db.query("delete_view"), (view_id,))
            self._audit(connection, "delete view", {"view": str(view_id), "name": name})

    def keep(self, filter_: Filter) -> UUID:
        """Keep a filter that is too long for an address, without a name. It is part of looking: there is no audit row,
        and it is forgotten a quarter after its last use.
        """
        with self._transaction("look") as connection:
            row = connection.execute(db.query("keep_view"), (filter_.to_text(), self._actor.name)).fetchone()
            assert row is not None
            view_id: UUID = row[0]
            return view_id

    def _own(self, connection: db.Connection, view_id: UUID) -> str:
        """The name of a view of the actor's own."""
        row = connection.execute(db.query("view"), {"id": view_id}).fetchone()
        if row is None or row[1] is None:
            raise NotFound(field="view", rule="exists", was=str(view_id), mend="Look at the list of views.")
        if row[3] != self._actor.name:
            raise OperationRefused(
                field="view", rule="is your own", was=f"saved by {row[3]}", mend="Save it under a name of your own."
            )
        return str(row[1])


def _checked(name: str) -> str:
    name = name.strip()
    if not 1 <= len(name) <= LONGEST_NAME or CONTROL.search(name):
        raise OperationRefused(
            field="name", rule=f"has 1 to {LONGEST_NAME} printable characters", was=f"{len(name)} characters",
            limit=f"{LONGEST_NAME} characters", mend="Choose another name.",
        )  # fmt: skip
    return name
