"""What people do: replay, run now, cancel, pause, resume, run a command. Each with an actor, and with its audit row in
its own transaction.

Dashboard and CLI act through this room alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from buslog import db
from buslog.desk import Desk
from buslog.emission import MAX_COMMIT, MAX_COMMIT_SIZE
from buslog.errors import InvalidMessage, NotFound, OperationRefused, UnknownCommand, did_you_mean
from buslog.masking import MASKED
from buslog.message import DeliveryRef
from buslog.payload import check_key, check_name, encode

TOKEN_WINDOW = 86_400.0  # seconds in which a form's token is good for one run
# As a schema calls them.
_JSON_TYPES = {dict: "object", list: "array", str: "string", int: "integer", float: "number", bool: "boolean",
               type(None): "null"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """One run of a command that somebody asks for. Without a key of its own it has the payload's."""

    payload: Mapping[str, Any]
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """Runs that were put on the bus together. `batch`: the id of the first message, which is the correlation id of all.

    is_duplicate: the form had been sent already; nothing was put on the bus now, and `batch` is what was then.
    """

    batch: UUID
    is_duplicate: bool


class Operations(Desk):
    """The operations on messages, deliveries and subscriptions."""

    def replay(self, deliveries: Sequence[DeliveryRef], *, reason: str = "") -> list[DeliveryRef]:
        """Send ended deliveries again, each as its next generation. Returns those that were sent.

        One that is open already, by another's click, is not sent twice and is not returned. Raises `NotFound` for a
        delivery that does not exist, and `OperationRefused` when none of them has ended, or one of them has succeeded
        and no reason is given.
        """
        return self._move("replay", deliveries, reason, rule="has ended: failed, cancelled or succeeded")

    def run_now(self, deliveries: Sequence[DeliveryRef], *, reason: str = "") -> list[DeliveryRef]:
        """Make retrying or scheduled deliveries due at once; charges no extra attempt. Raises like `replay`."""
        return self._move("run_now", deliveries, reason, rule="is retrying or scheduled")

    def cancel(self, deliveries: Sequence[DeliveryRef], *, reason: str = "") -> list[DeliveryRef]:
        """End deliveries that are open or failed as cancelled. A coroutine under way is stopped; a plain function runs
        on, and its outcome is refused. Raises like `replay`; what wants a
        reason is one that has failed.
        """
        return self._move("cancel", deliveries, reason, rule="is open or failed")

    def pause(self, subscription: str, *, reason: str = "") -> bool:
        """Nobody claims a subscription's deliveries until it is resumed; what runs goes on, what is emitted waits.

        False when it was paused already. Raises `NotFound` with "did you mean".
        """
        return self._hold(subscription, paused=True, reason=reason)

    def resume(self, subscription: str, *, reason: str = "") -> bool:
        """A paused subscription's deliveries go on. False when it was not paused. Raises like `pause`."""
        return self._hold(subscription, paused=False, reason=reason)

    def run_command(self, name: str, payload: Mapping[str, Any], *, key: str | None = None, reason: str = "") -> UUID:
        """Put a command on the bus by hand; returns the message's id.

        Raises `UnknownCommand` with "did you mean", `InvalidMessage` naming the field that breaks the schema, and
        `RoleTooLow` also where the command demands a role.
        """
        return self.run_many(name, [Asked(payload, key)], reason=reason).batch

    def run_many(self, name: str, asked: Sequence[Asked], *, reason: str = "", token: str | None = None) -> Started:
        """Put runs of one command on the bus by hand: all of them or none, at most 10,000 and 8 MB of payloads.

        All are of one correlation id, the first one's message id. token: of the form that asks; a form that is sent
        several times runs once within a day. Raises like `run_command`, naming the row where there are several.
        """
        with self._transaction("run") as connection:
            self._demand_of_command(connection, "run", name)
            subscription, schema = self._command(connection, name)
            payloads = _checked(asked, schema)
            keys = [None if one.key is None else check_key(one.key) for one in asked]
            batch, is_duplicate = self._put(connection, name, payloads[:1], keys[:1], token=token)
            if not is_duplicate:
                if len(asked) > 1:
                    self._put(connection, name, payloads[1:], keys[1:], batch=batch)
                self._audit(
                    connection, "run", {"name": name, "count": len(asked)}, message_id=batch,
                    subscription=subscription, reason=reason,
                )  # fmt: skip
            return Started(batch, is_duplicate)

    def emit(self, name: str, payload: Mapping[str, Any], *, key: str | None = None) -> UUID:
        """Emit a message by hand; returns its id. Raises `InvalidMessage`."""
        with self._transaction("emit") as connection:
            message_id = self._emit(connection, "emit", name, payload, key)
            self._audit(connection, "emit", {"name": name}, message_id=message_id)
            return message_id

    # ── one transaction: look, move, audit ──────────────────────────────────────

    def _put(
        self, connection: db.Connection, name: str, payloads: Sequence[str], keys: Sequence[str | None],
        *, batch: UUID | None = None, token: str | None = None,
    ) -> tuple[UUID, bool]:  # fmt: skip
        """The id of the first message, and whether it was there already."""
        values = {
            "name": name, "payloads": payloads, "keys": keys, "batch": batch, "source": self._actor.source,
            "actor": self._actor.name, "window": TOKEN_WINDOW,
            "tokens": None if token is None else [check_key(f"form:{token}", "token")],
        }  # fmt: skip
        row = connection.execute(db.query("run_many"), values).fetchone()
        assert row is not None
        return row[0], row[1]

    def _demand_of_command(self, connection: db.Connection, verb: str, name: str) -> None:
        """Raises `RoleTooLow`. The name of a command makes a command, whichever way it is emitted."""
        demanded = connection.execute(db.query("command_demands"), (check_name(name),)).fetchone()
        self._demand_what_commands_do(connection, verb, demanded)

    def _emit(
        self, connection: db.Connection, verb: str, name: str, payload: Mapping[str, Any], key: str | None
    ) -> UUID:
        self._demand_of_command(connection, verb, name)
        values = (check_name(name), unmasked(encode(payload)), check_key(key) if key else None)
        row = connection.execute(db.query("emit_one"), (*values, self._actor.source, self._actor.name)).fetchone()
        assert row is not None
        message_id: UUID = row[0]
        return message_id

    def _move(self, verb: str, deliveries: Sequence[DeliveryRef], reason: str, *, rule: str) -> list[DeliveryRef]:
        said = verb.replace("_", " ")
        with self._transaction(said, **_only(deliveries)) as connection:
            demanded = connection.execute(db.query("demanded_role"), ([ref.subscription for ref in deliveries],))
            self._demand_what_commands_do(connection, said, demanded.fetchone())
            rows = connection.execute(
                db.query("delivery_states"),
                ([ref.message_id for ref in deliveries], [ref.subscription for ref in deliveries]),
            ).fetchall()
            known = {DeliveryRef(row[0], row[1]): (row[2], row[3]) for row in rows}
            for ref in deliveries:
                if ref not in known:
                    raise NotFound(
                        field="delivery", rule="exists", was=f"{ref.message_id} × {ref.subscription}",
                        mend="Look for the message in the Log.",
                    )  # fmt: skip
            if verb == "replay" and any(row[4] for row in rows):
                raise OperationRefused(
                    field="message", rule="has its payload still", was="erased",
                    mend="There is nothing left that could be sent again.",
                )  # fmt: skip
            if verb == "replay" and not reason.strip() and any(state == "succeeded" for _, state in known.values()):
                raise OperationRefused(
                    field="reason", rule="is given for a replay of what has succeeded", mend="Say why it is sent again."
                )
            if verb == "cancel" and not reason.strip() and any(state == "failed" for _, state in known.values()):
                raise OperationRefused(
                    field="reason", rule="is given for a cancel of what has failed",
                    mend="Say why nobody is going to mend it.",
                )  # fmt: skip
            names = {number: ref.subscription for ref, (number, _) in known.items()}
            moved = connection.execute(
                db.query(verb),
                ([ref.message_id for ref in deliveries], [known[ref][0] for ref in deliveries]),
            ).fetchall()
            done = [DeliveryRef(row[0], names[row[1]]) for row in moved]
            if verb == "cancel":
                connection.execute(db.query("notify_cancelled"))
            if not done:
                states = sorted({state for _, state in known.values()})
                raise OperationRefused(
                    field="delivery", rule=rule, was=" and ".join(states) or "nothing",
                    mend="Reload: it may have moved on since you looked.",
                )  # fmt: skip
            for ref in done:
                self._audit(
                    connection, said, {"from": known[ref][1]}, message_id=ref.message_id,
                    subscription=ref.subscription, reason=reason,
                )  # fmt: skip
            return done

    def _hold(self, subscription: str, *, paused: bool, reason: str) -> bool:
        verb = "pause" if paused else "resume"
        with self._transaction(verb, subscription=subscription) as connection:
            known = [row[0] for row in connection.execute(db.query("subscription_names")).fetchall()]
            if subscription not in known:
                raise NotFound(
                    field="subscription", rule="exists", was=subscription, mend=did_you_mean(subscription, known)
                )
            values = {"subscription": subscription, "paused": paused}
            if connection.execute(db.query("pause"), values).fetchone() is None:
                return False
            self._audit(connection, verb, {}, subscription=subscription, reason=reason)
            return True

    def _command(self, connection: db.Connection, name: str) -> tuple[str, dict[str, Any] | None]:
        """The subscription that carries a command out, and the schema of its payload."""
        rows = connection.execute(db.query("commands")).fetchall()
        commands = {row[0]: (row[1], row[2]) for row in rows}
        if name not in commands:
            raise UnknownCommand(
                field="command", rule="is registered", was=name, mend=did_you_mean(name, list(commands))
            )
        return commands[name]


def _only(deliveries: Sequence[DeliveryRef]) -> dict[str, Any]:
    """What a denied attempt was about, for the audit: the delivery, when it is one."""
    if len(deliveries) != 1:
        return {}
    return {"message_id": deliveries[0].message_id, "subscription": deliveries[0].subscription}


def _checked(asked: Sequence[Asked], schema: Mapping[str, Any] | None) -> list[str]:
    """The payloads as JSON text. Raises `InvalidMessage`, naming the row where there are several."""
    if not 0 < len(asked) <= MAX_COMMIT:
        raise InvalidMessage(
            field="rows", rule="are at least one, and fit into one commit", was=f"{len(asked):,} rows",
            limit=f"{MAX_COMMIT:,} rows", mend="Split them into several runs.",
        )  # fmt: skip
    check_schema = schema_check(schema)
    payloads = []
    for place, one in enumerate(asked, start=1):
        try:
            check_schema(one.payload)
            payloads.append(unmasked(encode(one.payload)))
        except InvalidMessage as error:
            if len(asked) == 1:
                raise
            raise error.recast(InvalidMessage, field=f"row {place}: {error.field}") from None
    size = sum(map(len, payloads))
    if len(asked) > 1 and size > MAX_COMMIT_SIZE:
        raise InvalidMessage(
            field="payloads", rule="fit into one commit", was=f"{size:,} characters",
            limit=f"{MAX_COMMIT_SIZE:,} characters", mend="Split them into several runs.",
        )  # fmt: skip
    return payloads


def schema_validator(schema: Mapping[str, Any]) -> Any:
    """What tells, by `iter_errors(payload)`, what breaks a JSON Schema (2020-12)."""
    import jsonschema  # noqa: PLC0415  (slow to import; only a command run by hand needs it)

    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())


def schema_check(schema: Mapping[str, Any] | None) -> Callable[[Mapping[str, Any]], None]:
    """Raises `InvalidMessage` naming the first field of a payload that breaks a JSON Schema."""
    if schema is None:
        return lambda _: None
    from jsonschema.exceptions import best_match  # noqa: PLC0415

    validator = schema_validator(schema)

    def check(payload: Mapping[str, Any]) -> None:
        error = best_match(validator.iter_errors(payload))
        if error is not None:
            where = ".".join(["payload", *(str(part) for part in error.absolute_path)])
            was, limit, mend = (
                _JSON_TYPES.get(type(error.instance), ""),
                str(error.validator_value),
                "Correct that field.",
            )
            if error.validator == "required":
                absent = ", ".join(name for name in error.validator_value if name not in error.instance)
                was, limit, mend = f"without {absent}", ", ".join(error.validator_value), f"Give it {absent}."
            raise InvalidMessage(
                field=where,
                rule=f"keeps the command's schema ({error.validator})",
                was=was,
                limit=limit[:80],
                mend=mend,
            )

    return check


def unmasked(payload: str) -> str:
    """A payload as it is. Raises `InvalidMessage` for one that was read behind the mask."""
    if MASKED in payload:
        raise InvalidMessage(
            field="payload", rule="has no masked value", was="one that was shown as •••",
            mend="Type what belongs there: nobody wants ••• to be sent.",
        )  # fmt: skip
    return payload
