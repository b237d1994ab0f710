"""What of a message's values a reader may see. Every read that gives some goes through here: no page can forget it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar, cast
from uuid import UUID

from buslog import db
from buslog.config import settings
from buslog.insights.keys import Waiting
from buslog.insights.model import (
    AttemptDetail,
    CommandRun,
    DeliveryDetail,
    FailureGroup,
    FailureSample,
    LogRow,
    MessageDetail,
)
from buslog.insights.story import DeliveryRun, Raised, Story
from buslog.masking import MASKED, Mask, Veil

KEPT = 5.0  # seconds the setting is kept: a change counts for everybody after so long
MOST_READ = 64_000  # bytes of a payload that is read for a list; the errors of a longer one are hidden whole

Row = TypeVar(
    "Row", LogRow, DeliveryDetail, AttemptDetail, CommandRun, FailureGroup, FailureSample, DeliveryRun, Raised, Waiting
)
_OPEN = Veil(Mask(), ())


def mask_of(stored: Sequence[str]) -> Mask:
    """The mask of a database's setting, and of this process's own: what it names is never shown, stored or not."""
    return Mask(tuple(dict.fromkeys([*stored, *(settings().mask_fields or ())])))


class Curtain:
    """The mask of a database, and the messages it is lifted from. `lifted` gives another of the same mask."""

    def __init__(self) -> None:
        self._mask = Mask()
        self._read_at = float("-inf")
        self._open: frozenset[UUID] = frozenset()

    def lifted(self, messages: Iterable[UUID]) -> Curtain:
        other = Curtain()
        other._mask, other._read_at, other._open = self._mask, self._read_at, frozenset(messages)
        return other

    @property
    def is_open(self) -> bool:
        """Whether it is known that nothing is masked."""
        return not self._mask and time.monotonic() - self._read_at <= KEPT

    def mask(self, connection: db.Connection) -> Mask:
        """The fields that are masked."""
        if time.monotonic() - self._read_at > KEPT:
            row = connection.execute(db.query("mask_fields"), prepare=True).fetchone()
            self._mask, self._read_at = mask_of(row[0] if row else ()), time.monotonic()
        return self._mask

    def message(self, connection: db.Connection, message: MessageDetail, shown: int) -> MessageDetail:
        """Its payload without what is masked, cut at so many characters."""
        mask = self.mask(connection)
        if not mask or message.id in self._open:
            return message
        payload = self._payloads(connection, [message.id], most=2**30).get(message.id)
        if payload is None:
            return message
        pretty = mask.of(payload).json(payload, indent=True) or ""
        return replace(
            message, payload=pretty[:shown], payload_is_cut=len(pretty) > shown, is_masked=MASKED in pretty
        )  # fmt: skip

    def rows(self, connection: db.Connection, rows: list[Row], message_of: Callable[[Row], UUID]) -> list[Row]:
        """Rows that carry errors or results, without what is masked in their messages."""
        mask = self.mask(connection)
        if not mask:
            return rows
        told = {message_of(row) for row in rows if _texts(row)} - self._open
        payloads = self._payloads(connection, sorted(told), most=MOST_READ)
        veils = {message: mask.of(payloads.get(message)) for message in told}
        return [_veiled(row, veils.get(message_of(row), _OPEN)) for row in rows]

    def groups(self, connection: db.Connection, groups: list[FailureGroup]) -> list[FailureGroup]:
        """A sample without the masked values of its message; whole, it is hidden where nobody knows whose it is."""
        if not self.mask(connection):
            return groups
        known = [group for group in groups if group.sample_message is not None]
        veiled = iter(self.rows(connection, known, lambda group: cast("UUID", group.sample_message)))
        return [
            replace(group, sample=MASKED if group.sample else "") if group.sample_message is None else next(veiled)
            for group in groups
        ]

    def payload(self, connection: db.Connection, message: UUID, text: str) -> str:
        """A message's payload, JSON, without what is masked."""
        mask = self.mask(connection)
        return text if not mask or message in self._open else mask.of(text).json(text, indent=True) or ""

    def stories(self, connection: db.Connection, stories: Mapping[UUID, Story]) -> Mapping[UUID, Story]:
        """What became of messages, without what is masked in their errors."""
        if not self.mask(connection):
            return stories
        runs = self.rows(connection, [run for story in stories.values() for run in story.runs], _message_of)
        raised = self.rows(connection, [one for story in stories.values() for one in story.raised], _message_of)
        found = {message: Story(done=story.done) for message, story in stories.items()}
        for run in runs:
            found[run.message_id].runs.append(run)
        for one in raised:
            found[one.message_id].raised.append(one)
        return found

    def _payloads(self, connection: db.Connection, messages: list[UUID], *, most: int) -> Mapping[UUID, str | None]:
        if not messages:
            return {}
        values = {"ids": messages, "most": most}
        return {row[0]: row[1] for row in connection.execute(db.query("payloads_of"), values)}


_FIELDS: tuple[tuple[str, bool], ...] = (
    ("error", False),
    ("last_error", False),
    ("sample", False),
    ("traceback", False),
    ("result", True),
)


def _message_of(row: DeliveryRun | Raised) -> UUID:
    return row.message_id


def _texts(row: Any) -> dict[str, bool]:
    """The fields of a row that carry something of the message, and whether it is JSON."""
    return {name: is_json for name, is_json in _FIELDS if getattr(row, name, None)}


def _veiled(row: Row, veil: Veil) -> Row:
    changed: dict[str, Any] = {}
    for name, is_json in _texts(row).items():
        text = getattr(row, name)
        changed[name] = veil.json(text, indent=True) if is_json else veil.text(text)
    return replace(row, **changed) if changed else row
