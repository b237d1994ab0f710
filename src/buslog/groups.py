"""Failure groups, and what people do about them: acknowledge, assign, note, resolve, reopen. Each with an actor, and
with its audit row in its own transaction. A resolved group that fails again is opened by the fold.
"""

from __future__ import annotations

from buslog import db
from buslog.desk import Desk
from buslog.errors import NotFound, OperationRefused
from buslog.filter import FINGERPRINT
from buslog.folding import FAILURES_BATCH
from buslog.insights import GroupStatus
from buslog.payload import CONTROL, NAME_LENGTH

NOTE_LENGTH = 2_000


class Groups(Desk):
    """The operations on failure groups, named by their fingerprint. Each returns whether it changed anything, and
    raises `NotFound` for a cause of which nothing has failed.
    """

    def acknowledge(self, group: str, *, reason: str = "") -> bool:
        """It has been seen, and somebody is on it. Raises `OperationRefused` for a resolved one."""
        return self._move(group, "acknowledge", GroupStatus.ACKNOWLEDGED, reason)

    def resolve(self, group: str, *, reason: str = "") -> bool:
        """Its cause is mended. What has failed stays until it is replayed or cancelled; when it fails again, the group
        opens by itself.
        """
        return self._move(group, "resolve", GroupStatus.RESOLVED, reason)

    def reopen(self, group: str, *, reason: str = "") -> bool:
        """Nobody is on it after all, or it is not mended."""
        return self._move(group, "reopen", GroupStatus.OPEN, reason)

    def assign(self, group: str, owner: str, *, reason: str = "") -> bool:
        """To a person's name; to nobody, where it is empty. Raises `OperationRefused` for what is no such name."""
        owner = owner.strip()
        if len(owner) > NAME_LENGTH or CONTROL.search(owner):
            raise OperationRefused(
                field="owner", rule="is a person's name, printable", was=f"{len(owner)} characters",
                limit=f"{NAME_LENGTH} characters", mend="Give a shorter name.",
            )  # fmt: skip
        with self._transaction("assign") as connection:
            was = self._held(connection, group)[1]
            if was == (owner or None):
                return False
            connection.execute(db.query("group_owner"), {"group": group, "to": owner or None})
            self._audit(connection, "assign", {"group": group, "from": was, "to": owner or None}, reason=reason)
            return True

    def note(self, group: str, text: str) -> bool:
        """What is known about it, in place of the note before; empty takes it away. Raises `OperationRefused` for a
        text that cannot be kept.
        """
        text = text.strip()
        if len(text) > NOTE_LENGTH or CONTROL.search(text.replace("\n", " ")):
            raise OperationRefused(
                field="note", rule="is printable text", was=f"{len(text)} characters",
                limit=f"{NOTE_LENGTH} characters", mend="Write a shorter note.",
            )  # fmt: skip
        with self._transaction("note") as connection:
            was = self._held(connection, group)[2]
            if was == (text or None):
                return False
            connection.execute(db.query("group_note"), {"group": group, "to": text or None})
            self._audit(connection, "note", {"group": group, "from": was, "to": text or None})
            return True

    # ── one transaction: look, change, audit ────────────────────────────────────

    def _move(self, group: str, verb: str, status: GroupStatus, reason: str) -> bool:
        with self._transaction(verb) as connection:
            was = self._held(connection, group)[0]
            if was is status:
                return False
            if (was, status) == (GroupStatus.RESOLVED, GroupStatus.ACKNOWLEDGED):
                raise OperationRefused(
                    field="group", rule="is open", was=was, mend="Reopen it first, if it is not mended after all."
                )
            connection.execute(db.query("group_status"), {"group": group, "to": status})
            self._audit(connection, verb, {"group": group, "from": was}, reason=reason)
            return True

    def _held(self, connection: db.Connection, group: str) -> tuple[GroupStatus, str | None, str | None]:
        """Status, owner and note, locked. What has just failed is entered first."""
        connection.execute(db.query("fold_failures"), (FAILURES_BATCH,))
        known = FINGERPRINT.fullmatch(group) and connection.execute(db.query("group_held"), (group,)).fetchone()
        if not known:
            raise NotFound(
                field="group", rule="exists", was=group[:40], mend="Look for it among the Failures: `buslog failures`."
            )
        return GroupStatus(known[0]), known[1], known[2]
