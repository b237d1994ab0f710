"""From a JSON Schema to a form and back to a payload."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Any

import pytest
from pydantic import BaseModel, Field

from buslog.console.forms import Input, faults, fields_of, payload_of, read_json
from buslog.console.markup import literal


class Speed(StrEnum):
    QUICK = "quick"
    FULL = "full"


class Carrier(BaseModel):
    scac: str = Field(pattern=r"^[A-Z]{4}$")
    retries: int = 3


class Resync(BaseModel):
    newest: int = Field(20, ge=1, le=100)
    shipment_id: str = Field(alias="shipmentId", min_length=1, description="For example S-1001")
    speed: Speed = Speed.QUICK
    since: date | None = None
    at: datetime | None = None
    weight: float | None = None
    is_dry: bool = False
    containers: list[str] = []
    numbers: list[int] = []
    carrier: Carrier | None = None
    anything: dict[str, Any] = {}


SCHEMA = Resync.model_json_schema()


def test_every_field_of_a_declared_payload_is_asked_for_as_what_it_is() -> None:
    fields = fields_of(SCHEMA)
    assert fields is not None
    inputs = {field.name: field.input for field in fields}
    assert inputs == {
        "shipmentId": Input.TEXT, "newest": Input.INTEGER, "speed": Input.CHOICE, "since": Input.DATE,
        "at": Input.TIME, "weight": Input.NUMBER, "is_dry": Input.BOOLEAN, "containers": Input.LIST,
        "numbers": Input.LIST, "carrier": Input.GROUP, "anything": Input.JSON,
    }  # fmt: skip
    assert fields[0].name == "shipmentId", "what is required comes first"
    assert [field.is_required for field in fields] == [True] + [False] * 10
    newest = next(field for field in fields if field.name == "newest")
    assert (newest.default, newest.least, newest.most) == (20, 1, 100)


def test_what_was_typed_becomes_the_payload_and_what_was_left_empty_is_left_out() -> None:
    fields = fields_of(SCHEMA)
    assert fields is not None
    payload, unfit = payload_of(
        fields,
        {
            "shipmentId": "S-42", "newest": 5, "speed": "full", "since": date(2026, 1, 2),
            "at": datetime(2026, 1, 2, 14, 5), "weight": 1.5, "is_dry": True, "containers": ["MSKU1", "MSKU2"],  # noqa: DTZ001
            "numbers": ["1", "2"], "carrier": {"scac": "MAEU", "retries": None}, "anything": '{"a": [1]}',
        },
    )  # fmt: skip
    assert unfit == {}
    assert payload == {
        "shipmentId": "S-42", "newest": 5, "speed": "full", "since": "2026-01-02", "at": "2026-01-02T14:05:00Z",
        "weight": 1.5, "is_dry": True, "containers": ["MSKU1", "MSKU2"], "numbers": [1, 2],
        "carrier": {"scac": "MAEU"}, "anything": {"a": [1]},
    }  # fmt: skip
    assert faults(payload, SCHEMA) == {}
    assert Resync.model_validate(payload).carrier is not None
    assert payload_of(fields, {"shipmentId": "S-42", "is_dry": False}) == ({"shipmentId": "S-42", "is_dry": False}, {})


def test_a_fault_names_its_field_and_not_the_value() -> None:
    broken = {"newest": 500, "speed": "warp", "carrier": {"scac": "secret"}, "numbers": [1, "x"]}
    found = faults(broken, SCHEMA)
    assert found["shipmentId"] == "is required"
    assert found["newest"] == "is at most 100"
    assert found["speed"] == "is one of the choices"
    assert found["numbers.1"] == "is of type integer"
    assert found["carrier.scac"] == "matches ^[A-Z]{4}$"
    assert not any("secret" in text or "warp" in text for text in found.values())


def test_what_cannot_be_read_as_its_type_is_a_fault_of_its_field() -> None:
    fields = fields_of(SCHEMA)
    assert fields is not None
    payload, unfit = payload_of(fields, {"shipmentId": "S-1", "numbers": ["1", "two", ""], "anything": "{"})
    assert payload["shipmentId"] == "S-1"
    assert unfit["numbers.1"] == "is a whole number"
    assert unfit["numbers.2"].startswith("is empty")
    assert unfit["anything"].startswith("is not JSON")


@pytest.mark.parametrize("schema", [None, {}, {"type": "object"}, {"$ref": "#/nowhere"}, {"properties": {}}])
def test_a_schema_that_names_no_fields_leaves_the_payload_to_be_typed_as_json(schema: dict[str, Any] | None) -> None:
    assert fields_of(schema) is None


def test_a_schema_that_refers_to_itself_comes_to_an_end() -> None:
    schema = {"$defs": {"N": {"type": "object", "properties": {"next": {"$ref": "#/$defs/N"}}}}, "$ref": "#/$defs/N"}
    fields = fields_of(schema)
    assert fields is not None
    assert fields[0].input is Input.GROUP
    (inner,) = fields
    while inner.input is Input.GROUP:
        (inner,) = inner.fields
    assert inner.input is Input.JSON


@pytest.mark.parametrize("text", ["{", "", "NaN!", "[" * 100_000, "9" * 5000])
def test_text_that_is_not_json_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match="is not JSON"):
        read_json(text)


def test_a_label_of_any_text_is_that_text() -> None:
    assert literal("![x](http://e/y.png) :red[a] $b$ `c`") == (r"\!\[x\]\(http\://e/y\.png\) \:red\[a\] \$b\$ \`c\`")
