"""Many runs of a command at once: pasted keys, or a CSV file. Read whole, and every fault named by row and column. No
Streamlit here.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from buslog.console import forms, words
from buslog.console.forms import Field, Input, Unfit
from buslog.emission import MAX_COMMIT
from buslog.errors import InvalidImport, InvalidMessage, did_you_mean
from buslog.operations import Asked, schema_validator
from buslog.payload import check_key

MAX_BYTES = 10_000_000
FAULTS_NAMED = 50
KEY = "key"  # the column that is no field, where no field is called so

csv.field_size_limit(MAX_BYTES)


@dataclass(frozen=True, slots=True)
class RowFault:
    """What is wrong in a row of a file; the header is row 1, as in a spreadsheet."""

    row: int
    column: str
    told: str


@dataclass(frozen=True, slots=True)
class Batch:
    """What a file or a list of keys asks for. With a fault none of it is to be run. `faults` are the first 50."""

    asked: list[Asked]
    faults: list[RowFault]
    columns: tuple[str, ...] = ()
    first: tuple[tuple[str, ...], ...] = ()  # the first rows' cells, to be looked at


def pasted(text: str) -> tuple[list[str], int]:
    """The keys of a pasted text, each once, in order; and how many stood there twice."""
    given = [part for part in re.split(r"[\s,;]+", text) if part]
    unique = list(dict.fromkeys(given))
    return unique, len(given) - len(unique)


def read_csv(data: bytes, fields: Sequence[Field] | None, schema: Mapping[str, Any] | None) -> Batch:
    """The runs that a CSV file asks for, one a row.

    The columns are the form's fields (`carrier.scac` for one in a group), and `key`. A cell of a list, or of what is
    typed as JSON, is JSON; without a schema every cell is a text. Raises `InvalidImport` for what is no such file at
    all, naming the line.
    """
    reader, columns = _opened(data)
    by_column = None if fields is None else _by_column(fields)
    _check_columns(columns, fields, by_column)
    validator = None if schema is None else schema_validator(schema)
    asked: list[Asked] = []
    faults: list[RowFault] = []
    first: list[tuple[str, ...]] = []
    seen: dict[tuple[str, ...], int] = {}
    for row, cells in _rows(reader):
        if len(cells) != len(columns):
            faults.append(RowFault(row, "", words.ROW_LENGTH.format(len(cells), len(columns))))
        elif (before := seen.setdefault(tuple(cells), row)) != row:
            faults.append(RowFault(row, "", words.ROW_TWICE.format(before)))
        else:
            one, wrong = _asked(dict(zip(columns, cells, strict=True)), fields, by_column, validator)
            asked.append(one)
            faults += [RowFault(row, column, told) for column, told in wrong.items()]
            if len(first) < 5:  # noqa: PLR2004
                first.append(tuple(cells))
        if len(asked) > MAX_COMMIT:
            raise _refused("rows", "are at most 10,000", "more", f"{MAX_COMMIT:,} rows", "Split it into several files.")
        if len(faults) >= FAULTS_NAMED:
            break
    if not asked and not faults:
        raise _refused("rows", "are at least one", "a header alone", "", "Add a row for each run.")
    return Batch(asked, faults[:FAULTS_NAMED], columns, tuple(first))


# ── the file ────────────────────────────────────────────────────────────────────


def _opened(data: bytes) -> tuple[Iterator[list[str]], tuple[str, ...]]:
    text = _decoded(data)
    header = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    columns = next(_rows(reader), (0, []))[1]
    if not columns:
        raise _refused("file", "has a first line that names its columns", "an empty one", "", "Write the names there.")
    return reader, tuple(column.strip() for column in columns)


def _decoded(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise _refused("file", "is at most 10 MB", f"{len(data):,} bytes", f"{MAX_BYTES:,} bytes",
                       "Split it into several files.")  # fmt: skip
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise _refused("file", "is a CSV file", "a zip archive or a workbook of Excel", "",
                       "In Excel: Save as, CSV UTF-8.")  # fmt: skip
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise _refused(f"row {line}", "is UTF-8", "bytes that are not", "", "In Excel: Save as, CSV UTF-8.") from None
    if "\x00" in text:
        raise _refused("file", "is text", "binary data", "", "Save it as CSV UTF-8.")
    return text


def _rows(reader: Any) -> Iterator[tuple[int, list[str]]]:
    """Row numbers and cells, without the empty rows. Raises `InvalidImport` naming the line."""
    row = 0
    while True:
        row = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            raise _refused(f"row {row}", "is CSV", "a quote that does not close, or text after one that does", "",
                           "Double the quotes inside a cell.") from None  # fmt: skip
        if any(cell.strip() for cell in cells):
            yield row, cells


def _by_column(fields: Sequence[Field]) -> dict[str, Field]:
    return {field.name: field for field in forms.leaves(fields)}


def _check_columns(columns: Sequence[str], fields: Sequence[Field] | None, known: Mapping[str, Field] | None) -> None:
    twice = next((column for column in columns if columns.count(column) > 1), None)
    if twice is not None:
        raise _refused(f"column {twice[:80]}", "is there once", "there twice", "", "Remove one of them.")
    if known is None or fields is None:
        return
    for column in columns:
        if column not in known and column != KEY:
            raise _refused(f"column {column[:80]}", "is a field of the command", "another", "",
                           did_you_mean(column, [*known, KEY]))  # fmt: skip
    for field in fields:
        is_there = any(column == field.name or column.startswith(f"{field.name}.") for column in columns)
        if field.is_required and not is_there:
            raise _refused(
                f"column {field.name}", "is there", "missing", "", f"The file has: {', '.join(columns)[:300]}."
            )


def _refused(field: str, rule: str, was: str, limit: str, mend: str) -> InvalidImport:
    return InvalidImport(field=field, rule=rule, was=was, limit=limit, mend=mend)


# ── a row ───────────────────────────────────────────────────────────────────────


def _asked(
    cells: dict[str, str], fields: Sequence[Field] | None, by_column: Mapping[str, Field] | None, validator: Any
) -> tuple[Asked, dict[str, str]]:
    wrong: dict[str, str] = {}
    key = cells.pop(KEY).strip() or None if KEY in cells and KEY not in (by_column or {}) else None
    if key is not None:
        try:
            check_key(key)
        except InvalidMessage as error:
            wrong[KEY] = error.rule
    if fields is None or by_column is None:
        return Asked({column: cell for column, cell in cells.items() if cell}, key), wrong
    typed: dict[str, Any] = {}
    for column, cell in cells.items():
        try:
            value = _typed(by_column[column], cell)
        except Unfit as error:
            wrong[column] = str(error)
            continue
        if value is not None:
            place = typed
            *outer, last = by_column[column].path
            for name in outer:
                place = place.setdefault(name, {})
            place[last] = value
    payload, unfit = forms.payload_of(fields, typed)
    found = {} if validator is None else forms.faults_found(payload, validator)
    return Asked(payload, key), {**found, **wrong, **unfit}


def _typed(field: Field, cell: str) -> Any:
    """What a form's widget would have given for a cell. Raises `Unfit`."""
    text = cell.strip()
    if not text:
        return None
    match field.input:
        case Input.BOOLEAN:
            if text.lower() not in _BOOLEANS:
                raise Unfit(words.FAULT_BOOLEAN)
            return _BOOLEANS[text.lower()]
        case Input.CHOICE:
            chosen = [choice for choice in field.choices if str(choice) == text]
            if not chosen:
                raise Unfit(words.FAULT_CHOICE.format(", ".join(map(str, field.choices))[:200]))
            return chosen[0]
        case Input.DATE | Input.TIME:
            return _moment(field.input, text)
        case Input.LIST:
            items = forms.read_json(text) if text.startswith("[") else [part.strip() for part in text.split("|")]
            is_json = field.item is not None and field.item.input is Input.JSON
            return [json.dumps(item) for item in items] if is_json else items
        case _:
            return text


def _moment(kind: Input, text: str) -> str:
    try:
        if kind is Input.DATE:
            return date.fromisoformat(text).isoformat()
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Unfit(words.FAULT_DATE if kind is Input.DATE else words.FAULT_TIME) from None
    return moment.isoformat() + ("" if moment.tzinfo else "Z")


_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
