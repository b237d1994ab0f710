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
        """The actor has logged in, with the role that the login claims. An older login changes nothing. The audit has a
        `log in` for each login, which is named by `claimed_at`: not for each session that its cookie opens.
        """
        values = {"person": self._actor.name, "name": name, "claimed": claimed.value, "claimed_at": claimed_at}
        with self._transaction("log in") as connection:
            connection.execute(db.query("arrive"), values)
            self._log_in(connection, "login", claimed, claimed_at)

    def arrive_here(self, since: datetime) -> None:
        """Somebody at this machine looks at a dashboard that was started at `since`: once for it in the audit."""
        with self._transaction("log in") as connection:
            self._log_in(connection, "this machine", Role.ADMIN, since)

    def leave(self) -> None:
        """The actor logs out. Their cookie is the dashboard's to take away."""
        with self._transaction("log out") as connection:
            self._audit(connection, "log out", {})

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

    def _log_in(self, connection: db.Connection, how: str, role: Role, login: datetime) -> None:
        values = {"actor": self._actor.name, "how": how, "role": role.value, "login": login.isoformat()}
        connection.execute(db.query("log_in"), values)
