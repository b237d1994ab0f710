"""People and their roles: who has logged in, and what role somebody is given by hand."""

from __future__ import annotations

from datetime import datetime

from buslog import db
from buslog.desk import Desk, is_local
from buslog.errors import OperationRefused
from buslog.payload import check_name
from buslog.rights import Role


class People(Desk):
    """The people of one database."""

    def arrive(self, *, name: str, claimed: Role, claimed_at: datetime) -> None:
        """The actor has logged in, with the role that the login claims. An older login changes nothing."""
        values = {"person": self._actor.name, "name": name, "claimed": claimed.value, "claimed_at": claimed_at}
        with self._transaction("look") as connection:
            connection.execute(db.query("arrive"), values)

    def set_role(self, person: str, role: Role | None, *, reason: str = "") -> None:
        """Give somebody a role, which wins over what their login claims; None: their login decides again.

        They need not have been here yet. Raises `InvalidMessage` for what cannot be a name, and `OperationRefused` for
        somebody at this machine, whose role is not kept.
        """
        person = check_name(person.strip())
        if is_local(person):
            raise OperationRefused(
                field="person", rule="is somebody who logs in", was=person,
                mend="Who is at this machine may do everything, as whoever holds the DSN.",
            )  # fmt: skip
        with self._transaction("set role") as connection:
            before = connection.execute(db.query("given_role"), (person,)).fetchone()
            connection.execute(db.query("set_role"), {"person": person, "role": role and role.value})
            outcome = {"person": person, "from": before and before[0], "to": role and role.value}
            self._audit(connection, "set role", outcome, reason=reason)
