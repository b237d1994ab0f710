"""Many runs at once: pasted keys and CSV files, read whole, every fault named."""

from __future__ import annotations

import io
import time
import zipfile
from typing import Any

import pytest

from buslog.console.batch import Batch, pasted, read_csv
from buslog.console.forms import fields_of
from buslog.errors import InvalidImport

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["shipmentId"],
    "properties": {
        "shipmentId": {"type": "string", "minLength": 3},
        "newest": {"type": "integer", "minimum": 1, "maximum": 10**20},
        "is_dry": {"type": "boolean"},
        "since": {"type": "string", "format": "date"},
        "speed": {"enum": ["quick", "full"]},
        "containers": {"type": "array", "items": {"type": "string"}},
        "carrier": {"type": "object", "properties": {"scac": {"type": "string", "pattern": "^[A-Z]{4}$"}}},
    },
}


def read(text: str | bytes, schema: dict[str, Any] | None = SCHEMA) -> Batch:
    return read_csv(text.encode() if isinstance(text, str) else text, fields_of(schema), schema)


def test_pasted_keys_are_told_apart_by_commas_blanks_and_lines_and_each_is_taken_once() -> None:
    assert pasted("S-1, S-2\n S-3;S-1\t\r\nS-4  S-2,") == (["S-1", "S-2", "S-3", "S-4"], 2)
    assert pasted(" \n,") == ([], 0)


def test_cells_become_what_their_fields_are() -> None:
    batch = read(
        "shipmentId,newest,is_dry,since,speed,containers,carrier.scac,key\n"
        'S-1,9007199254740993,yes,2026-01-31,full,"[""A"", ""B""]",MAEU,K-1\nS-2,,,,,A|B,,\n'
    )
    assert batch.faults == []
    one, two = batch.asked
    assert one.payload == {
        "shipmentId": "S-1", "newest": 9007199254740993, "is_dry": True, "since": "2026-01-31", "speed": "full",
        "containers": ["A", "B"], "carrier": {"scac": "MAEU"},
    }  # fmt: skip
    assert one.key == "K-1"
    assert (two.payload, two.key) == ({"shipmentId": "S-2", "containers": ["A", "B"]}, None)


@pytest.mark.parametrize(
    "text", ["\ufeffshipmentId;newest\nS-1;3\n", "shipmentId\tnewest\r\nS-1\t3\r\n\r\n", "shipmentId,newest\nS-1,3"]
)
def test_a_file_of_any_country_is_read(text: str) -> None:
    assert [one.payload for one in read(text).asked] == [{"shipmentId": "S-1", "newest": 3}]


def test_every_fault_is_named_by_row_and_column() -> None:
    batch = read(
        "shipmentId,newest,is_dry,since,speed,carrier.scac\nS-1,3,,,,\nS,x,perhaps,31.1.2026,warp,m\n\n"
        ",200,,,,\nS-1,3,,,,\nS-9\n"
    )
    found = {(fault.row, fault.column): fault.told for fault in batch.faults}
    assert found == {
        (3, "is_dry"): "is true or false",
        (3, "since"): "is a date such as 2026-01-31",
        (3, "speed"): "is one of quick, full",
        (3, "newest"): "is a whole number",
        (3, "shipmentId"): "has at least 3 characters",
        (3, "carrier.scac"): "matches ^[A-Z]{4}$",
        (5, "shipmentId"): "is required",
        (6, ""): "says the same as row 2",
        (7, ""): "has 1 cells where the header names 6 columns",
    }
    (short,) = read("shipmentId,carrier.scac\nS-1,m\n").faults
    assert (short.row, short.column) == (2, "carrier.scac")


def zipped() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.csv", "shipmentId\nS-1\n")
    return packed.getvalue()


@pytest.mark.parametrize(
    ("data", "field", "told"),
    [
        (b"", "file", "names its columns"),
        (b"shipmentId\n", "rows", "at least one"),
        (b"newest\n3\n", "column shipmentId", "missing"),
        (b"shipmentid,newest\nS-1,3\n", "column shipmentid", "Did you mean shipmentId"),
        (b"shipmentId,shipmentId\nS-1,S-2\n", "column shipmentId", "there twice"),
        (zipped(), "file", "zip archive"),
        ("shipmentId\nS-1\nÃ©é\n".encode("latin-1"), "row 3", "UTF-8"),
        ("shipmentId\nS-1\n".encode("utf-16"), "row 1", "UTF-8"),
        (b"shipmentId\nS-\x00\n", "file", "binary"),
        (b'shipmentId\nS-1\n"S-2\nS-3\n', "row 3", "quote"),
        (b"shipmentId\n" + b"".join(b"S-%d\n" % n for n in range(10_001)), "rows", "10,000"),
        (b"shipmentId\n" + b"S-123456789\n" * 1_000_000, "file", "10 MB"),
    ],
)
def test_what_is_no_such_file_is_refused_in_words(data: bytes, field: str, told: str) -> None:
    with pytest.raises(InvalidImport, match=told) as refused:
        read(data)
    assert refused.value.field == field


def test_a_million_rows_are_refused_quickly() -> None:
    data = b"shipmentId\n" + b"".join(b"%07d\n" % n for n in range(1_000_000))
    began = time.process_time()
    with pytest.raises(InvalidImport, match="10,000"):
        read(data)
    assert time.process_time() - began < 5


def test_without_a_schema_cells_are_texts() -> None:
    (one,) = read("a,b,key\n1,,K\n", None).asked
    assert (one.payload, one.key) == ({"a": "1"}, "K")
