"""What of a Filter makes the text of a statement, and what is bound in it.

A shape is a Filter with stand-ins for its values: what is composed from one cannot hold what somebody asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from buslog.errors import InvalidFilter
from buslog.filter import EARLIEST, LATEST, Filter
from buslog.insights.search import ids_among

PAYLOADS_OF = timedelta(days=31)  # how much of the log is searched for payloads at once: each is read

ESCAPE = "/"
_TEXTS = ("one", "another")
_ID = UUID(int=0)


def shape_of(filter_: Filter, now: datetime) -> Filter:
    """The stand-in of all filters that ask the same with other values. States stay as they are."""
    since, until = filter_.bounds(now)
    find = _TEXTS[: len(filter_.find)]
    return Filter(
        find=(*find[:-1], str(_ID)) if ids_among(filter_.find) else find,
        names=_TEXTS[: len(filter_.names)],
        key=filter_.key and _TEXTS[0],
        subscription=filter_.subscription and _TEXTS[0],
        states=filter_.states,
        error_type=filter_.error_type and _TEXTS[0],
        group=filter_.group and "0" * 16,
        error_text=filter_.error_text and _TEXTS[0],
        correlation=filter_.correlation and _ID,
        payload=filter_.payload and '{"one": 1}',
        raised=filter_.raised,
        ended_since=filter_.ended_since and EARLIEST,
        since=since and EARLIEST,
        until=until and LATEST,
    )


def values_of(filter_: Filter, now: datetime) -> dict[str, Any]:
    """What is bound in the statements of its shape, by name. Raises `InvalidFilter` where they would take too long."""
    check_cost(filter_, now)
    since, until = filter_.bounds(now)
    return {
        "find": _one_or_all(filter_.find),
        "find_ids": ids_among(filter_.find),
        "names": _one_or_all(filter_.names),
        "key": filter_.key,
        "subscription": filter_.subscription,
        "error_type": filter_.error_type,
        "error_text": escaped(filter_.error_text),
        "group": filter_.group,
        "correlation": filter_.correlation,
        "payload": filter_.payload,
        "ended_since": filter_.ended_since,
        "since": since,
        "until": until,
    }


def check_cost(filter_: Filter, now: datetime) -> None:
    """Raises `InvalidFilter` where too many payloads would have to be read."""
    since, until = filter_.bounds(now)
    if not filter_.payload or filter_.is_of_few:
        return
    if since and (until or now) - since <= PAYLOADS_OF + timedelta(days=1):
        return
    raise InvalidFilter(
        field="payload", rule="is looked for in a month of the log at most", was="a longer time", limit="31 days",
        mend="Narrow the time range, or look for an id, a key or a ref as well.",
    )  # fmt: skip


def escaped(text: str | None) -> str | None:
    """A text of which every character stands for itself in LIKE … ESCAPE."""
    if text is None:
        return None
    for special in (ESCAPE, "%", "_"):
        text = text.replace(special, ESCAPE + special)
    return text


def _one_or_all(values: Sequence[str]) -> str | list[str] | None:
    return values[0] if len(values) == 1 else list(values)
