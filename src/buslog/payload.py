"""Payloads on their way in: what JSON text is fit for the log. SQL checks the same again (04_emit.sql)."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from buslog.errors import InvalidMessage

MAX_BYTES = 1_000_000
MAX_DEPTH = 64
MAX_DIGITS = 4_000
MAX_RESULT_BYTES = 64_000
NAME_LENGTH = 200
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
# Made once: making one takes longer. One that holds itself is found by its depth.
_JSON = json.JSONEncoder(allow_nan=False, ensure_ascii=False, check_circular=False, separators=(",", ":"))
MAX_DELAY = 10 * 365.25 * 86_400  # seconds


def encode(payload: Mapping[str, Any]) -> str:
    """The JSON text of a payload. Raises `InvalidMessage` naming the path of what cannot be stored."""
    if not isinstance(payload, Mapping):
        raise InvalidMessage(
            field="payload", rule="is a JSON object", was=type(payload).__name__, mend='Wrap the value: {"value": …}.'
        )
    try:
        text = _JSON.encode(payload)
        size = len(text.encode())
    except (ValueError, TypeError, RecursionError):
        _point_at_fault(payload)
        raise InvalidMessage(field="payload", rule="is JSON", mend="Use text, numbers, lists and objects.") from None
    # The texts are cheap to look at; the tree is walked only when one of them raises a suspicion.
    if "\\u0000" in text or text.count("{") + text.count("[") > MAX_DEPTH or size > MAX_DIGITS:
        _point_at_fault(payload)
    if size > MAX_BYTES:
        raise InvalidMessage(
            field="payload", rule="is at most 1 MB as JSON text", was=f"{size} bytes", limit=f"{MAX_BYTES} bytes",
            mend="Store the document elsewhere and emit its address.",
        )  # fmt: skip
    return text


def check_name(name: object) -> str:
    """Raises `InvalidMessage` unless it is 1 to 200 printable characters."""
    if not isinstance(name, str):
        raise InvalidMessage(field="name", rule="is text", was=type(name).__name__, mend="Give the name as text.")
    if not name.strip() or len(name) > NAME_LENGTH:
        raise InvalidMessage(
            field="name", rule=f"has 1 to {NAME_LENGTH} characters", was=f"{len(name)} characters",
            limit=f"{NAME_LENGTH} characters", mend="Choose a shorter name that is not empty.",
        )  # fmt: skip
    if CONTROL.search(name):
        raise InvalidMessage(
            field="name", rule="is printable text", was="a name with control characters",
            mend="Remove the control characters.",
        )  # fmt: skip
    return name


def check_key(key: object, field: str = "key") -> str:
    """Raises `InvalidMessage` unless a given key is 1 to 200 printable characters."""
    if not isinstance(key, str):
        raise InvalidMessage(field=field, rule="is text", was=type(key).__name__, mend="Give the key as text.")
    if not key or len(key) > NAME_LENGTH or CONTROL.search(key):
        raise InvalidMessage(
            field=field, rule=f"has 1 to {NAME_LENGTH} printable characters", was=f"{len(key)} characters",
            limit=f"{NAME_LENGTH} characters", mend="Give a shorter key, or none.",
        )  # fmt: skip
    return key


def checked_delay(after: float | timedelta | None, field: str = "after") -> float | None:
    """Seconds from now, or None. Raises `InvalidMessage`."""
    seconds = after.total_seconds() if isinstance(after, timedelta) else after
    if seconds is not None and not 0 <= seconds <= MAX_DELAY:
        raise InvalidMessage(
            field=field, rule="is a time ahead", was=f"{seconds} seconds", limit=f"0 to {MAX_DELAY:.0f} seconds",
            mend="Give seconds from now.",
        )  # fmt: skip
    return None if seconds is None else float(seconds)


def checked_moment(at: datetime | None, after: float | timedelta | None) -> datetime | None:
    """A moment with an offset, or None. One that has passed means at once. Raises `InvalidMessage`."""
    if at is not None and after is not None:
        raise InvalidMessage(field="at", rule="is given alone", was="at and after", mend="Give one of the two.")
    if at is not None and at.tzinfo is None:
        raise InvalidMessage(
            field="at", rule="has an offset", was=at.isoformat(), mend="Say whose time it is: tzinfo=…"
        )
    if at is not None and at > datetime.now(UTC) + timedelta(seconds=MAX_DELAY):
        raise InvalidMessage(field="at", rule="is within ten years", was=at.isoformat(), mend="Give an earlier moment.")
    return at


def _point_at_fault(payload: Any) -> None:
    """Walks the tree and raises `InvalidMessage` at the first value that JSON, or PostgreSQL, cannot hold."""
    stack: list[tuple[str, int, Any]] = [("payload", 0, payload)]
    while stack:
        path, depth, value = stack.pop()
        fault = _fault_of(value)
        if fault is None and depth > MAX_DEPTH:
            fault = ("is nested at most 64 deep", "more than 64 levels", "64 levels", "Flatten the payload.")
        if fault is not None:
            rule, was, limit, mend = fault
            raise InvalidMessage(field=path[:200], rule=rule, was=was, limit=limit, mend=mend)
        stack.extend((where, depth + 1, inner) for where, inner in _children(path, value))


def _children(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            name = ascii(key)[1:-1] if isinstance(key, str) else repr(key)
            if not isinstance(key, str | int | float | bool | None):
                raise InvalidMessage(
                    field=f"{path}.{name}", rule="has a name that is text", was=type(key).__name__, mend="Use text."
                )
            if isinstance(key, str) and _fault_of(key):
                yield f"{path}.{name} (its name)", key
            yield f"{path}.{name}", inner
    elif isinstance(value, list | tuple):
        yield from ((f"{path}[{index}]", inner) for index, inner in enumerate(value))


def _fault_of(value: Any) -> tuple[str, str, str, str] | None:
    """Rule, what it was, limit, mend; None for a value that can be stored."""
    if isinstance(value, str):
        if "\x00" in value:
            return "has no NUL character", "text with \\u0000", "", "Remove the NUL character."
        if any("\ud800" <= character <= "\udfff" for character in value):
            return "is well-formed Unicode", "text with a lone surrogate", "", "Encode the text as UTF-8 first."
    elif isinstance(value, bool) or value is None:
        return None
    elif isinstance(value, int):
        # 10**n has more than 3.32 n bits: no digits need to be made to count them.
        if value.bit_length() > math.ceil(MAX_DIGITS * math.log2(10)):
            return "has at most 4000 digits", "a longer number", "4000 digits", "Send the number as text."
    elif isinstance(value, float):
        if not math.isfinite(value):
            return "is a finite number", repr(value), "", "Send null, or text."
    elif not isinstance(value, Mapping | list | tuple):
        return "is a JSON value", type(value).__name__, "", "Convert it to text, a number, a list or an object."
    return None
