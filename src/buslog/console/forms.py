"""From a payload's JSON Schema to the fields of a form, and from what was typed to a payload. No Streamlit here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

import jsonschema

from buslog.operations import schema_validator

_DEEPEST = 1  # objects in objects; what lies deeper is typed as JSON


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
    """One field: `path` leads to it in the payload, `fields` are a group's own."""

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
    item: Input = Input.TEXT
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
    properties = _resolved(schema, schema).get("properties")
    return _fields(schema, _resolved(schema, schema), (), 0) if properties else None


def payload_of(fields: tuple[Field, ...], typed: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The payload that was typed (by field name), and what could not be read, by field name.

    An optional field that was left empty is left out.
    """
    payload: dict[str, Any] = {}
    unfit: dict[str, str] = {}
    for field in fields:
        if field.input is Input.GROUP:
            inner, inner_unfit = payload_of(field.fields, typed)
            unfit |= inner_unfit
            if inner or field.is_required:
                payload[field.path[-1]] = inner
            continue
        try:
            value = _value(field, typed.get(field.name))
        except Unfit as error:
            unfit[field.name] = str(error)
            continue
        if value is not None:
            payload[field.path[-1]] = value
    return payload, unfit


def faults(payload: Mapping[str, Any], schema: Mapping[str, Any] | None) -> dict[str, str]:
    """What breaks the schema, by field name; "" is the payload as a whole."""
    if schema is None:
        return {}
    found: dict[str, str] = {}
    for error in schema_validator(schema).iter_errors(payload):
        path = [str(part) for part in error.absolute_path if not isinstance(part, int)]
        if error.validator == "required":
            missing = next((name for name in error.validator_value if name not in error.instance), "")
            for name in [name for name in error.validator_value if name not in error.instance] or [missing]:
                found.setdefault(".".join([*path, name]), "is required")
        else:
            found.setdefault(".".join(path), _in_words(error))
    return found


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
    }
    choices = schema.get("enum") or ([schema["const"]] if "const" in schema else None)
    if choices and all(isinstance(choice, str | int | float | bool) for choice in choices):
        return Field(input=Input.CHOICE, choices=tuple(choices), **common)
    kind, form = schema.get("type"), schema.get("format")
    if kind == "object" and schema.get("properties") and depth < _DEEPEST:
        return Field(input=Input.GROUP, fields=_fields(root, schema, path, depth + 1), **common)
    if kind == "array":
        item = _resolved(root, schema.get("items", {})).get("type")
        if item in _SCALARS and item != "boolean":
            return Field(input=Input.LIST, item=_SCALARS[item], **common)
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


def _value(field: Field, typed: Any) -> Any:
    """The value of what was typed; None for nothing. Raises `Unfit`."""
    if field.input is Input.LIST:
        items = [_scalar(field.item, line.strip()) for line in str(typed or "").splitlines() if line.strip()]
        return items if items or field.is_required else None
    if typed is None or typed == "":
        return None
    if isinstance(typed, datetime):
        return typed.isoformat() + ("" if typed.tzinfo else "Z")
    if isinstance(typed, date):
        return typed.isoformat()
    if field.input is Input.JSON:
        return read_json(typed)
    if field.input in {Input.INTEGER, Input.NUMBER}:
        return _scalar(field.input, str(typed).strip())
    return typed


def read_json(text: str) -> Any:
    """Raises `Unfit` naming line and column."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise Unfit(f"is not JSON: {error.msg}, line {error.lineno}, column {error.colno}") from None
    except (ValueError, RecursionError):
        raise Unfit("is not JSON that can be read") from None


def _scalar(kind: Input, text: str) -> Any:
    try:
        return int(text) if kind is Input.INTEGER else float(text) if kind is Input.NUMBER else text
    except ValueError:
        raise Unfit(f"is {'a whole number' if kind is Input.INTEGER else 'a number'}") from None


def _in_words(error: jsonschema.ValidationError) -> str:
    """Short, without the value: it stands in the field."""
    value = error.validator_value
    words = {
        "type": f"is of type {value}",
        "minLength": f"has at least {value} characters" if value != 1 else "is not empty",
        "maxLength": f"has at most {value} characters",
        "minimum": f"is at least {value}",
        "maximum": f"is at most {value}",
        "exclusiveMinimum": f"is more than {value}",
        "exclusiveMaximum": f"is less than {value}",
        "pattern": f"matches {value}",
        "format": f"is a valid {value}",
        "enum": "is one of the choices",
        "minItems": f"has at least {value} items",
        "maxItems": f"has at most {value} items",
        "additionalProperties": "has no other fields",
    }
    return words.get(str(error.validator), f"keeps the schema ({error.validator})")
