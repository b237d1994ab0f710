"""Edit and re-emit: a message that was wrong is said again with another payload, as a new message linked to it."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from buslog import db
from buslog.desk import Desk
from buslog.errors import InvalidMessage, NotFound, OperationRefused
from buslog.operations import schema_check, unmasked
from buslog.payload import encode

VERB = "emit edited"


class Reemission(Desk):
    """Edited copies of messages of one database."""

    def emit_edited(self, message_id: UUID, payload: str, *, reason: str = "") -> UUID:
        """Emit a message's name and key with another payload; returns the new message's id. The old one is its cause
        and stays as it was. All who subscribe to the name now get it, also those that had succeeded with the old one.

        `payload`: JSON text, stored with its numbers as they were typed. Raises `InvalidMessage` naming what cannot be
        read, or what breaks a schema that a subscriber declares; `NotFound`; and `OperationRefused` when nothing was
        changed: that would be a replay.
        """
        document = read(unmasked(payload))
        with self._transaction(VERB, message_id=message_id, reason=reason) as connection:
            row = connection.execute(db.query("reemit_original"), {"id": message_id, "payload": payload}).fetchone()
            if row is None:
                raise NotFound(field="message", rule="exists", was=str(message_id), mend="Look for it in the Log.")
            # A copy of a command is a command: it takes the role that the command demands.
            demanded = connection.execute(db.query("command_demands"), (row[0],)).fetchone()
            self._demand_what_commands_do(connection, VERB, demanded)
            name, key, is_given_by_hand, is_changed, schemas = row
            if not is_changed:
                raise OperationRefused(
                    field="payload", rule="differs from the old one", was="the same",
                    mend="Change it, or replay the delivery that failed.",
                )  # fmt: skip
            for schema in schemas:
                schema_check(json.loads(schema))(document)
            values = {"name": name, "payload": payload, "key": key if is_given_by_hand else None, "id": message_id,
                      "source": self._actor.source, "actor": self._actor.name}  # fmt: skip
            emitted = connection.execute(db.query("reemit"), values).fetchone()
            assert emitted is not None
            new: UUID = emitted[0]
            self._audit(connection, VERB, {"emitted": str(new)}, message_id=message_id, reason=reason)
            return new


def read(text: str) -> dict[str, Any]:
    """The JSON object of a text. Raises `InvalidMessage` naming line and column, or the path; never the text."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidMessage(
            field="payload", rule="is JSON", was=f"{error.msg} at line {error.lineno}, column {error.colno}",
            mend="Look for a missing comma, quote or bracket just before that place.",
        ) from None  # fmt: skip
    except (ValueError, RecursionError):
        raise InvalidMessage(
            field="payload", rule="is JSON that can be read", mend="Shorten its numbers, or flatten it."
        ) from None
    encode(document)
    assert isinstance(document, dict)
    return document
