"""Which values of a payload are hidden, and hiding them: in it, and in the texts and results where they come again.

Pure: no I/O. Who may see what is decided by whoever calls it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

MASKED = "•••"
ANY = "*"
SHORT = 4  # characters: a shorter value is found in a text only as a word of its own
FIELD = re.compile(r"(\*|[^.\s*,]+)(\.(\*|[^.\s*,]+))*")

# Where one is in each pattern: the parts that are still to come. An empty one: it is fulfilled, here and below.
_Places = frozenset[tuple[str, ...]]


class _Number(str):
    """The digits of a JSON number as they were written: read and written again, none is lost."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Mask:
    """The fields that are masked: dotted paths such as `customer.email`.

    `*` stands for any number of names, also none: `*.email` is the field email wherever it lies. Lists are passed
    through; capitals and small letters are the same. A field that holds an object or a list is masked whole.
    """

    fields: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.fields)

    def of(self, payload: str | None) -> Veil:
        """What has to be hidden in all that belongs to a message. payload: its JSON text; None: not known, then every
        text is hidden whole.
        """
        if payload is None:
            return Veil(self, None)
        if not self or not self._may_touch(payload):
            return Veil(self, ())
        return Veil(self, tuple(dict.fromkeys(_forms(self._hidden(_read(payload), self._start)))))

    def touches(self, value: Any) -> bool:
        """Whether a JSON value, such as one that is searched for, has a masked field."""
        return bool(self) and self._touches(value, self._start)

    def without(self, value: Any) -> Any:
        """A copy without the masked fields: to fill a form with. The rest as it is."""
        return self._without(value, self._start) if self else value

    def row(self, cells: Sequence[str | None], *, error: int, payload: int) -> Sequence[str | None]:
        """A row of an export whose error and payload stand in these places."""
        if not self or cells[payload] is None:
            return cells
        veil, changed = self.of(cells[payload]), list(cells)
        changed[error], changed[payload] = veil.text(cells[error]), veil.json(cells[payload])
        return changed

    def line(self, text: str, *, error: str, payload: str) -> str:
        """The same of a row that is a JSON object on one line: the names of its fields for their places."""
        if not self:
            return text
        row = _read(text)
        veil = self.of(_written(row[payload], ""))
        row[error] = veil.text(row[error])
        row[payload] = _read(veil.json(_written(row[payload], "")) or "null")
        return _written(row, "")

    # ── walking ─────────────────────────────────────────────────────────────────

    @property
    def _start(self) -> _Places:
        return _closed(tuple(field.casefold().split(".")) for field in self.fields)

    def _may_touch(self, payload: str) -> bool:
        """Whether the last name of a field is in the text at all: most payloads are not read for nothing."""
        lower = payload.casefold()
        for field in self.fields:
            last = field.casefold().rpartition(".")[2]
            if last == ANY or last in lower or "\\" in lower:
                return True
        return False

    def _hidden(self, value: Any, places: _Places) -> Iterator[str]:
        """The values under masked fields that are texts or numbers."""
        if () in places:
            yield from _leaves(value)
        elif isinstance(value, dict):
            for name, inner in value.items():
                yield from self._hidden(inner, _step(places, name))
        elif isinstance(value, list):
            for inner in value:
                yield from self._hidden(inner, places)

    def _touches(self, value: Any, places: _Places) -> bool:
        if () in places:
            return True
        if isinstance(value, dict):
            return any(self._touches(inner, _step(places, name)) for name, inner in value.items())
        return isinstance(value, list) and any(self._touches(inner, places) for inner in value)

    def _without(self, value: Any, places: _Places) -> Any:
        if isinstance(value, dict):
            stepped = {name: _step(places, name) for name in value}
            return {name: self._without(value[name], to) for name, to in stepped.items() if () not in to}
        return [self._without(inner, places) for inner in value] if isinstance(value, list) else value


@dataclass(frozen=True, slots=True)
class Veil:
    """The mask over one message: `values` are the texts to hide, the longest first; None: hide all."""

    mask: Mask
    values: tuple[str, ...] | None

    def text(self, text: str | None) -> str | None:
        """An error, or any other text of the message, without the hidden values. One that was cut in the middle of a
        value is hidden as well.
        """
        if not text or self.values == ():
            return text
        if self.values is None:
            return MASKED
        hidden = _pattern(self.values).sub(MASKED, text)
        return _without_stumps(hidden, self.values)

    def json(self, text: str | None, *, indent: bool = False) -> str | None:
        """The payload or the result as JSON text: masked fields, and hidden values wherever they come again."""
        if text is None or not self.mask:
            return text
        if self.values is None:
            return _written(MASKED, "\n" if indent else "")
        long = tuple(value for value in self.values if len(value) >= SHORT)
        pattern = _pattern(long) if long else None
        return _written(self._json(_read(text), self.mask._start, pattern), "\n" if indent else "")  # noqa: SLF001

    def _json(self, value: Any, places: _Places, pattern: re.Pattern[str] | None) -> Any:
        if () in places:
            return MASKED
        if isinstance(value, dict):
            return {name: self._json(inner, _step(places, name), pattern) for name, inner in value.items()}
        if isinstance(value, list):
            return [self._json(inner, places, pattern) for inner in value]
        if pattern and isinstance(value, _Number):
            return MASKED if pattern.fullmatch(value) else value
        return pattern.sub(MASKED, value) if pattern and isinstance(value, str) else value


# ── patterns ────────────────────────────────────────────────────────────────────


def _closed(places: Iterable[tuple[str, ...]]) -> _Places:
    """With the places that a `*` which stands for nothing leads to."""
    found = set(places)
    for place in list(found):
        while place and place[0] == ANY:
            place = place[1:]  # noqa: PLW2901
            found.add(place)
    return frozenset(found)


def _step(places: _Places, name: str) -> _Places:
    # A name with a dot in it is as good as two names: rather one too many than one too few.
    for part in name.casefold().split("."):
        places = _closed(
            place if place[0] == ANY else place[1:] for place in places if place and place[0] in {ANY, part}
        ) | (places & {()})
    return places


# ── values ──────────────────────────────────────────────────────────────────────


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    elif isinstance(value, str):
        yield value


def _forms(values: Iterable[str]) -> list[str]:
    """Each value as it may stand in a text: as it is, and as JSON and Python write it. The longest first."""
    forms = {
        form
        for value in values
        for form in (
            value, value.strip(), json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1],
            repr(str(value))[1:-1],
        )
    }  # fmt: skip
    return sorted((form for form in forms if form.strip() and form != MASKED), key=lambda form: (-len(form), form))


def _pattern(values: tuple[str, ...]) -> re.Pattern[str]:
    alternatives = (
        re.escape(value) if len(value) >= SHORT else rf"(?<!\w){re.escape(value)}(?!\w)" for value in values
    )
    return re.compile("|".join(alternatives), re.IGNORECASE)


def _without_stumps(text: str, values: tuple[str, ...]) -> str:
    """Errors are cut: in the database at their beginning, in lists at their end."""
    lower = text.casefold()
    for value in (value.casefold() for value in values if len(value) > SHORT):
        for length in range(min(len(value) - 1, len(lower)), SHORT - 1, -1):
            if lower.endswith(value[:length]):
                return _without_stumps(text[:-length] + MASKED, values)
            if lower.startswith("…") and lower[1:].startswith(value[-length:]):
                return _without_stumps(text[0] + MASKED + text[1 + length :], values)
    return text


# ── JSON ────────────────────────────────────────────────────────────────────────


def _read(text: str) -> Any:
    return json.loads(text, parse_int=_Number, parse_float=_Number)


def _written(value: Any, line: str) -> str:
    """As PostgreSQL writes it; `line`: what begins a line, with its indent, or nothing for all on one."""
    deeper = line and line + "    "
    if isinstance(value, dict) and value:
        parts = (f"{json.dumps(name, ensure_ascii=False)}: {_written(inner, deeper)}" for name, inner in value.items())
        return f"{{{deeper}{_joined(parts, deeper)}{line}}}"
    if isinstance(value, list) and value:
        return f"[{deeper}{_joined((_written(inner, deeper) for inner in value), deeper)}{line}]"
    return str(value) if isinstance(value, _Number) else json.dumps(value, ensure_ascii=False)


def _joined(parts: Iterable[str], line: str) -> str:
    return ("," + (line or " ")).join(parts)
