"""From a payload's JSON Schema to the fields of a form, and from what was typed to a payload. No Streamlit here.

What is typed has the payload's shape: a mapping for an object, a list for an array. A fault is found by its path, such
as `carrier.scac` or `stops.0.port`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from buslog.console import words
from buslog.operations import schema_validator

_DEEPEST = 4  # objects and arrays in one another; what lies deeper is typed as JSON


class Input(StrEnum):
    """How a field is asked for."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    CHOICE = "choice"
    DATE = "date"
    TIME = "time"
    LIST = "list"
    GROUP = "group"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Field:
    """One field: `path` leads to it in the payload; `fields` are a group's own, `item` is what a list holds.

    rules: what it keeps to, in words, said before it is broken.
    """

    path: tuple[str, ...]
    input: Input
    label: str
    help: str = ""
    is_required: bool = False
    default: Any = None
    choices: tuple[Any, ...] = ()
    least: float | None = None
    most: float | None = None
    longest: int | None = None
    most_items: int | None = None
    rules: tuple[str, ...] = ()
    item: Field | None = None
    fields: tuple[Field, ...] = ()

    @property
    def name(self) -> str:
        return ".".join(self.path)


class Unfit(ValueError):
    """What was typed cannot be read as its field's type. `str` says why."""


def fields_of(schema: Mapping[str, Any] | None) -> tuple[Field, ...] | None:
    """The form of an object's schema; None when the whole payload is better typed as JSON."""
    if schema is None:
        return None
    root = _resolved(schema, schema)
    return _fields(schema, root, (), 0) if root.get("properties") else None


def leaves(fields: Sequence[Field]) -> Iterator[Field]:
    """The fields without their groups: what has a column of its own in a table."""
    for field in fields:
        if field.input is Input.GROUP:
            yield from leaves(field.fields)
        else:
            yield field


def payload_of(
    fields: Sequence[Field], typed: Mapping[str, Any], at: str = ""
) -> tuple[dict[str, Any], dict[str, str]]:
    """The payload that was typed, and what could not be read, by path.

    An optional field that was left empty is left out.
    """
    payload: dict[str, Any] = {}
    unfit: dict[str, str] = {}
    for field in fields:
        where = f"{at}{field.path[-1]}"
        value = _read(field, typed.get(field.path[-1]), where, unfit)
        if value is not None:
            payload[field.path[-1]] = value
    return payload, unfit


def faults(payload: Mapping[str, Any], schema: Mapping[str, Any] | None) -> dict[str, str]:
    """What breaks the schema, by path; "" is the payload as a whole."""
    return {} if schema is None else faults_found(payload, schema_validator(schema))


def faults_found(payload: Mapping[str, Any], validator: Any) -> dict[str, str]:
    """The same with a validator that is made once for many payloads."""
    found: dict[str, str] = {}
    for error in _innermost(validator.iter_errors(payload)):
        path = [str(part) for part in error.absolute_path]
        if error.validator == "required":
            for name in error.validator_value:
                if name not in error.instance:
                    found.setdefault(".".join([*path, name]), words.FAULT_REQUIRED)
        else:
            found.setdefault(".".join(path), _in_words(error))
    return found


def _innermost(errors: Iterable[Any]) -> Iterator[Any]:
    """What breaks the one alternative that was meant: of an object or null, the object's own faults."""
    for error in errors:
        branches: dict[Any, list[Any]] = {}
        for inner in error.context or ():
            branches.setdefault(inner.schema_path[0], []).append(inner)
        meant = [
            branch
            for branch in branches.values()
            if not any(one.validator == "type" and one.absolute_path == error.absolute_path for one in branch)
        ]
        if len(meant) == 1:
            yield from _innermost(meant[0])
        else:
            yield error


# ── schema → fields ─────────────────────────────────────────────────────────────


def _fields(root: Mapping[str, Any], schema: Mapping[str, Any], path: tuple[str, ...], depth: int) -> tuple[Field, ...]:
    required = set(schema.get("required", ()))
    # What is required comes first.
    properties = sorted(schema.get("properties", {}).items(), key=lambda item: item[0] not in required)
    return tuple(
        _field(root, (*path, name), given, is_required=name in required, depth=depth) for name, given in properties
    )


def _field(
    root: Mapping[str, Any], path: tuple[str, ...], given: Mapping[str, Any], *, is_required: bool, depth: int
) -> Field:
    schema = _resolved(root, given)
    common: dict[str, Any] = {
        "path": path,
        "label": path[-1],
        "help": str(given.get("description") or schema.get("description") or ""),
        "is_required": is_required,
        "default": given.get("default", schema.get("default")),
        "rules": tuple(_rules(schema)),
    }
    choices = schema.get("enum") or ([schema["const"]] if "const" in schema else None)
    if choices and all(isinstance(choice, str | int | float | bool) for choice in choices):
        return Field(input=Input.CHOICE, choices=tuple(choices), **common)
    kind, form = schema.get("type"), schema.get("format")
    if kind == "object" and schema.get("properties") and depth < _DEEPEST:
        return Field(input=Input.GROUP, fields=_fields(root, schema, path, depth + 1), **common)
    if kind == "array" and isinstance(schema.get("items"), Mapping) and depth < _DEEPEST:
        item = _field(root, (*path, "item"), schema["items"], is_required=True, depth=depth + 1)
        return Field(input=Input.LIST, item=item, most_items=schema.get("maxItems"), **common)
    if kind == "string" and form in _TIMES:
        return Field(input=_TIMES[form], **common)
    if kind in _SCALARS:
        return Field(
            input=_SCALARS[kind],
            least=schema.get("minimum", schema.get("exclusiveMinimum")),
            most=schema.get("maximum", schema.get("exclusiveMaximum")),
            longest=schema.get("maxLength"),
            **common,
        )
    return Field(input=Input.JSON, **common)


_SCALARS = {
    "string": Input.TEXT, "integer": Input.INTEGER, "number": Input.NUMBER, "boolean": Input.BOOLEAN,
}  # fmt: skip
_TIMES = {"date": Input.DATE, "date-time": Input.TIME}
_UNSAID = {("minLength", 1), *(("format", name) for name in _TIMES)}  # said by what is asked for already


def _rules(schema: Mapping[str, Any]) -> Iterator[str]:
    for keyword, told in words.RULES.items():
        if schema.get(keyword) is not None and (keyword, schema[keyword]) not in _UNSAID:
            yield told.format(schema[keyword])


def _resolved(root: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Without `$ref`, and without the null of an optional field."""
    for _ in range(20):  # a schema may refer to itself
        if "$ref" in schema:
            target: Any = root
            for part in str(schema["$ref"]).removeprefix("#/").split("/"):
                target = target.get(part, {}) if isinstance(target, Mapping) else {}
            schema = {**target, **{name: value for name, value in schema.items() if name != "$ref"}}
            continue
        options = schema.get("anyOf") or schema.get("oneOf") or (schema.get("allOf") or [])
        some = [option for option in options if option.get("type") != "null"]
        if len(some) == 1:
            rest = {name: value for name, value in schema.items() if name not in {"anyOf", "oneOf", "allOf"}}
            schema = {**some[0], **rest}
            continue
        kinds = schema.get("type")
        if isinstance(kinds, list):
            rest_kinds = [kind for kind in kinds if kind != "null"]
            return {**schema, "type": rest_kinds[0] if len(rest_kinds) == 1 else None}
        break
    return schema


# ── typed → value ───────────────────────────────────────────────────────────────


def _read(field: Field, typed: Any, where: str, unfit: dict[str, str]) -> Any:
    """The value of what was typed; None for nothing, and for what is unfit."""
    if field.input is Input.GROUP:
        if typed is None and not field.is_required:
            return None
        if typed is not None and not isinstance(typed, Mapping):
            unfit[where] = words.FAULT_OBJECT
            return None
        inner, inner_unfit = payload_of(field.fields, typed or {}, f"{where}.")
        unfit |= inner_unfit
        return inner
    if field.input is Input.LIST and field.item is not None:
        items = []
        for place, one in enumerate(typed or ()):
            value = _read(field.item, one, f"{where}.{place}", unfit)
            if value is None and f"{where}.{place}" not in unfit:
                unfit[f"{where}.{place}"] = words.FAULT_EMPTY_ITEM
            items.append(value)
        return items if items or field.is_required else None
    try:
        return _value(field, typed)
    except Unfit as error:
        unfit[where] = str(error)
        return None


def _value(field: Field, typed: Any) -> Any:
    """The value of what was typed; None for nothing. Raises `Unfit`."""
    if typed is None or typed == "":
        return None
    if isinstance(typed, datetime):
        return typed.isoformat() + ("" if typed.tzinfo else "Z")
    if isinstance(typed, date):
        return typed.isoformat()
    if field.input is Input.JSON:
        return read_json(typed)
    if field.input in {Input.INTEGER, Input.NUMBER}:
        return _number(field.input, str(typed).strip())
    return typed


def read_json(text: str) -> Any:
    """Raises `Unfit` naming line and column."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise Unfit(f"is not JSON: {error.msg}, line {error.lineno}, column {error.colno}") from None
    except (ValueError, RecursionError):
        raise Unfit("is not JSON that can be read") from None


def _number(kind: Input, text: str) -> int | float:
    try:
        return int(text) if kind is Input.INTEGER else float(text)
    except ValueError:
        raise Unfit(words.FAULT_INTEGER if kind is Input.INTEGER else words.FAULT_NUMBER) from None


def _in_words(error: Any) -> str:
    """Short, without the value: it stands in the field."""
    validator, value = str(error.validator), error.validator_value
    if validator == "minLength" and value == 1:
        return words.FAULT_EMPTY
    return words.FAULTS.get(validator, words.FAULT_OTHER).format(value, keyword=validator)
