"""JSON as people read it: keys in alphabetical order, numbers to their last digit; and what differs between two. No
Streamlit here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Path = tuple[str | int, ...]


class Number(str):
    """A number as it was written: a float would lose digits."""

    __slots__ = ()


def parse(text: str) -> Any:
    """A document whose numbers are `Number`. Raises ValueError."""
    return json.loads(text, parse_float=Number, parse_int=Number, parse_constant=Number)


def pretty(value: Any, indent: str = "") -> str:
    """A document that `parse` read, as indented text."""
    inner = indent + "  "
    if isinstance(value, Mapping) and value:
        pairs = (f"{inner}{_text(name)}: {pretty(value[name], inner)}" for name in sorted(value))
        return "{\n" + ",\n".join(pairs) + f"\n{indent}}}"
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(inner + pretty(item, inner) for item in value) + f"\n{indent}]"
    return str(value) if isinstance(value, Number) else _text(value)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


# ── leaves: what a form asks for ────────────────────────────────────────────────


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value that is no object and no list, and every empty one, with the path to it."""
    if isinstance(value, Mapping) and value:
        for name in sorted(value):
            yield from leaves(value[name], (*path, name))
    elif isinstance(value, list) and value:
        for place, item in enumerate(value):
            yield from leaves(item, (*path, place))
    else:
        yield path, value


def with_leaves(value: Any, given: Mapping[Path, Any], path: Path = ()) -> Any:
    """The document with other values at some of its leaves."""
    if isinstance(value, Mapping) and value:
        return {name: with_leaves(inner, given, (*path, name)) for name, inner in value.items()}
    if isinstance(value, list) and value:
        return [with_leaves(inner, given, (*path, place)) for place, inner in enumerate(value)]
    return given.get(path, value)


def path_text(path: Path) -> str:
    """Such as events[0].port."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return "".join(parts).removeprefix(".")


# ── difference ──────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Change:
    """What differs at one place, as JSON text; None where there is nothing."""

    path: str
    old: str | None
    new: str | None


class _Absent:
    pass


_ABSENT = _Absent()


def difference(old: Any, new: Any, path: Path = ()) -> Iterator[Change]:
    """By path, in the order of the alphabet, what a document was and will be. A list is compared place by place."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in sorted({*old, *new}):
            yield from difference(old.get(name, _ABSENT), new.get(name, _ABSENT), (*path, name))
    elif isinstance(old, list) and isinstance(new, list):
        for place in range(max(len(old), len(new))):
            was, is_ = (side[place] if place < len(side) else _ABSENT for side in (old, new))
            yield from difference(was, is_, (*path, place))
    elif type(old) is not type(new) or old != new:
        yield Change(path_text(path), *(None if side is _ABSENT else pretty(side) for side in (old, new)))
