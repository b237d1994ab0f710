"""The one Filter: lists, counts, charts, exports and links all follow it. The URL is its textual form. No I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TypeVar
from urllib.parse import parse_qs, urlencode
from uuid import UUID

from buslog.errors import InvalidFilter, InvalidMessage, did_you_mean
from buslog.message import State
from buslog.payload import CONTROL, NAME_LENGTH, encode

T = TypeVar("T")

FINGERPRINT = re.compile(r"[0-9a-f]{16}")

MAX_NAMES = 50
MAX_FIND = 1_000
MAX_PAYLOAD = 2_000  # characters
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)  # a message id cannot carry an earlier time
LATEST = datetime(2200, 1, 1, tzinfo=UTC)

PARAMETERS = (
    "find", "name", "key", "subscription", "state", "error", "error_text", "group", "raised", "ended", "correlation",
    "payload", "range", "from", "to",
)  # fmt: skip


class Range(StrEnum):
    """How far back from now. `ALL` has no bound."""

    HOUR = "1h"
    SIX_HOURS = "6h"
    DAY = "24h"
    WEEK = "7d"
    MONTH = "30d"
    ALL = "all"

    @property
    def length(self) -> timedelta | None:
        return _LENGTHS.get(self)


_LENGTHS = {
    Range.HOUR: timedelta(hours=1),
    Range.SIX_HOURS: timedelta(hours=6),
    Range.DAY: timedelta(days=1),
    Range.WEEK: timedelta(days=7),
    Range.MONTH: timedelta(days=30),
}


@dataclass(frozen=True, slots=True)
class Filter:
    """What to look at. Empty parts do not filter: `Filter()` is everything.

    find: messages whose id, key or ref is any of these; refs without regard to case. names: any of these. key,
    subscription, error_type: exactly this. states: any of these. error_text: the error contains it, without regard to
    case. group: of failed deliveries, those of this failure group, by its fingerprint. correlation: of this thread.
    payload: JSON text of an object that the payload contains.
    raised: deliveries of which at least one attempt raised. ended_since: deliveries that ended then or later.
    range: counted back from now; or since (included) and until (excluded), with a time zone.
    Raises `InvalidFilter` for values that no message can have.
    """

    find: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    key: str | None = None
    subscription: str | None = None
    states: tuple[State, ...] = ()
    error_type: str | None = None
    group: str | None = None
    error_text: str | None = None
    correlation: UUID | None = None
    payload: str | None = None
    raised: bool = False
    ended_since: datetime | None = None
    range: Range = Range.ALL
    since: datetime | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        if len(self.names) > MAX_NAMES:
            raise _invalid("name", "is given a few times", f"{len(self.names)} names", f"{MAX_NAMES} names")
        if len(self.find) > MAX_FIND:
            raise _invalid(
                "find", "is at most a thousand values", f"{len(self.find):,} values", f"{MAX_FIND:,} values",
                "Look for them in parts.",
            )  # fmt: skip
        for field, values in (
            ("find", self.find),
            ("name", self.names),
            ("key", (self.key,)),
            ("subscription", (self.subscription,)),
            ("error", (self.error_type,)),
            ("error_text", (self.error_text,)),
        ):
            for value in values:
                _check_text(field, value)
        if self.group is not None and not FINGERPRINT.fullmatch(self.group):
            raise _invalid("group", "is a failure group's fingerprint", self.group[:40], "16 of 0-9 and a-f")
        _check_payload(self.payload)
        _check_time("from", self.since)
        _check_time("to", self.until)
        _check_time("ended", self.ended_since)
        if (self.since or self.until) and self.range is not Range.ALL:
            raise _invalid("range", "is not given together with from or to", self.range, mend="Leave one of them out.")
        if self.since and self.until and self.since >= self.until:
            raise _invalid("from", "is before to", self.since.isoformat(), self.until.isoformat(), "Swap the two.")

    # ── the text form ───────────────────────────────────────────────────────────

    @classmethod
    def from_params(cls, params: Mapping[str, str | list[str]], *, default: Range = Range.DAY) -> Filter:
        """The filter of a URL's parameters or a command's options.

        name, state and find may be repeated; find takes many values at once, see `pasted`.
        range: 1h, 6h, 24h, 7d, 30d, all. from and to: ISO 8601, in UTC unless they
        say otherwise. Without any time `default` holds. Raises `InvalidFilter`.
        """
        given = {field: _texts(values) for field, values in params.items()}
        given = {field: values for field, values in given.items() if values}
        for field, values in given.items():
            if field not in PARAMETERS:
                raise _invalid(field[:40], "is the name of a filter", mend=did_you_mean(field[:40], PARAMETERS))
            if len(values) > 1 and field not in {"name", "state", "find"}:
                raise _invalid(field, "is given once", f"{len(values)} values", "1")
        one = {field: values[0] for field, values in given.items()}
        since, until = _parse_time("from", one.get("from")), _parse_time("to", one.get("to"))
        return cls(
            find=_unique(value for text in given.get("find", ()) for value in pasted(text)),
            names=_unique(given.get("name", ())),
            key=one.get("key"),
            subscription=one.get("subscription"),
            states=_unique(_parse_state(text) for text in given.get("state", ())),
            error_type=one.get("error"),
            group=one.get("group"),
            error_text=one.get("error_text"),
            correlation=_parse_id("correlation", one.get("correlation")),
            payload=one.get("payload"),
            raised=_parse_yes("raised", one.get("raised")),
            ended_since=_parse_time("ended", one.get("ended")),
            range=_parse_range(one["range"]) if "range" in one else (Range.ALL if since or until else default),
            since=since,
            until=until,
        )

    def to_params(self, *, default: Range = Range.DAY) -> dict[str, str | list[str]]:
        """The parameters that `from_params` reads back as this filter. What is at its default is left out."""
        given: dict[str, str | list[str] | None] = {
            "find": joined(self.find),
            "name": list(self.names),
            "key": self.key,
            "subscription": self.subscription,
            "state": [str(state) for state in self.states],
            "error": self.error_type,
            "error_text": self.error_text,
            "group": self.group,
            "raised": "yes" if self.raised else None,
            "ended": _time_text(self.ended_since) if self.ended_since else None,
            "correlation": str(self.correlation) if self.correlation else None,
            "payload": self.payload,
            "from": _time_text(self.since) if self.since else None,
            "to": _time_text(self.until) if self.until else None,
        }
        params = {field: values for field, values in given.items() if values}
        if self.range is not default and not (self.since or self.until):
            params["range"] = str(self.range)
        return params

    @classmethod
    def from_text(cls, text: str) -> Filter:
        """The filter of `to_text`. Raises `InvalidFilter`."""
        return cls.from_params(parse_qs(text), default=Range.ALL)

    def to_text(self) -> str:
        """All of it in one line, as it stands in an address: state=failed&range=24h. Everything is ''."""
        return urlencode(self.to_params(default=Range.ALL), doseq=True)

    # ── time ────────────────────────────────────────────────────────────────────

    def bounds(self, now: datetime) -> tuple[datetime | None, datetime | None]:
        """Since (included) and until (excluded) as moments; None is no bound."""
        length = self.range.length
        return (now - length, None) if length else (self.since, self.until)

    def between(self, since: datetime | None, until: datetime | None) -> Filter:
        """The same filter over another time."""
        return replace(self, range=Range.ALL, since=since, until=until)

    def over(self, range_: Range) -> Filter:
        """The same filter over another range back from now."""
        return replace(self, range=range_, since=None, until=None)

    @property
    def is_narrow(self) -> bool:
        """Whether anything but the time is filtered."""
        return self != Filter(range=self.range, since=self.since, until=self.until)

    @property
    def is_of_few(self) -> bool:
        """Whether an index leads to its few messages, whatever the time."""
        return bool(self.find or self.key or self.correlation)

    @property
    def asks_of_deliveries(self) -> bool:
        """Whether it finds some deliveries of a message and not others."""
        return bool(
            self.subscription or self.states or self.error_type or self.error_text or self.group or self.raised
            or self.ended_since
        )  # fmt: skip


_PASTED = re.compile(r'"((?:[^"]|"")*)"|([^\s,;]+)')


def pasted(text: str) -> list[str]:
    """The values of a text that was pasted: a column, a row, a list, separated by commas, semicolons, blanks or lines.
    One that has them inside stands in double quotes, with those of its own doubled.
    """
    return [value for quoted, bare in _PASTED.findall(text) if (value := quoted.replace('""', '"') or bare)]


def joined(values: Iterable[str]) -> str:
    """The text that `pasted` takes apart again."""
    return " ".join(
        f'"{value.replace(chr(34), chr(34) * 2)}"' if _PASTED.fullmatch(value) is None or value[0] == '"' else value
        for value in values
    )


def _invalid(
    field: str, rule: str, was: str = "", limit: str = "", mend: str = "Correct it, or leave it out."
) -> InvalidFilter:
    return InvalidFilter(field=field, rule=rule, was=was, limit=limit, mend=mend)


def _texts(values: str | list[str]) -> list[str]:
    return [text for text in ([values] if isinstance(values, str) else values) if text]


def _unique(values: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(values))


def _check_text(field: str, value: str | None) -> None:
    if value is None:
        return
    if not value or len(value) > NAME_LENGTH:
        raise _invalid(
            field, f"has 1 to {NAME_LENGTH} characters", f"{len(value)} characters", f"{NAME_LENGTH} characters"
        )
    if CONTROL.search(value):
        raise _invalid(field, "is printable text", "text with control characters")


def _check_payload(text: str | None) -> None:
    if text is None:
        return
    example = 'Write it as {"shipmentId": "S-42"}.'
    if len(text) > MAX_PAYLOAD:
        raise _invalid(
            "payload", "is a short text", f"{len(text):,} characters", f"{MAX_PAYLOAD:,} characters", example
        )
    try:
        wanted = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise _invalid("payload", "is JSON", "a text that is not", mend=example) from None
    if not isinstance(wanted, dict) or not wanted:
        raise _invalid("payload", "is a JSON object with a field", "something else", mend=example)
    try:
        encode(wanted)
    except InvalidMessage as error:
        raise error.recast(InvalidFilter) from None


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _check_time(field: str, moment: datetime | None) -> None:
    if moment is None:
        return
    if moment.tzinfo is None:
        raise _invalid(field, "has a time zone", moment.isoformat())
    if not EARLIEST <= moment <= LATEST:
        raise _invalid(field, "lies between 1970 and 2200", moment.isoformat(), "1970 to 2200")


def _parse_time(field: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text[:NAME_LENGTH].strip())
        # A plus sign in a URL that was typed by hand arrives as a blank: it is not guessed at.
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _invalid(
            field, "is a date or time in ISO 8601", text, "1970 to 2200", "Write it as 2026-01-31 or 2026-01-31T14:05Z."
        ) from None


def _parse_id(field: str, text: str | None) -> UUID | None:
    try:
        return UUID(text) if text is not None else None
    except ValueError:
        raise _invalid(field, "is an id", text or "", mend="Take it from a message's page.") from None


def _parse_yes(field: str, text: str | None) -> bool:
    if text not in {None, "yes"}:
        raise _invalid(field, "is yes, or left out", text or "", "yes")
    return text == "yes"


def _parse_state(text: str) -> State:
    try:
        return State(text)
    except ValueError:
        raise _invalid("state", "is a state", text, mend=did_you_mean(text[:40], list(State))) from None


def _parse_range(text: str) -> Range:
    try:
        return Range(text)
    except ValueError:
        raise _invalid("range", "is a range", text, ", ".join(Range)) from None


def _time_text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
