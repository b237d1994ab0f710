"""One line of a history file: what is taken over, and what is refused with its number, rule and mend."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from buslog.errors import InvalidImport
from buslog.history import MAX_LINE_BYTES, Line, read_line

NOW = datetime(2026, 11, 1, tzinfo=UTC)
LATEST = NOW + timedelta(days=1)
ENDED = {"subscription": "mail:send", "state": "failed", "attempts": 8, "finished_at": "2012-01-23T15:50:00+01:00"}


def line(**changes: Any) -> dict[str, Any]:
    """A good line with some fields changed; a field set to `...` is left out."""
    whole = {"name": "departed", "key": "S-42", "emitted_at": "2012-01-23T15:42:54.644+01:00", "payload": {"a": 1}}
    return {field: value for field, value in {**whole, **changes}.items() if value is not ...}


def read(given: dict[str, Any] | bytes | str, number: int = 17) -> Line:
    raw = json.dumps(given) if isinstance(given, dict) else given
    found = read_line(number, raw.encode() if isinstance(raw, str) else raw, LATEST)
    assert found is not None
    return found


def refusal(given: dict[str, Any] | bytes | str) -> InvalidImport:
    with pytest.raises(InvalidImport) as caught:
        read(given)
    return caught.value


def test_a_line_keeps_its_own_time_in_utc() -> None:
    assert read(line()).emitted_at == datetime(2012, 1, 23, 14, 42, 54, 644000, tzinfo=UTC)


def test_the_id_of_a_line_is_a_version_7_uuid_of_its_time() -> None:
    found = UUID(read(line(emitted_at="2012-01-23T14:42:54.644123Z")).id)
    assert found.version == 7
    assert found.variant == "specified in RFC 4122"
    assert found.int >> 80 == int(datetime(2012, 1, 23, 14, 42, 54, 644000, tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    "same",
    [
        '{"key":"S-42","name":"departed","payload":{"b":[1],"a":1},"emitted_at":"2012-01-23T15:42:54.644+01:00"}',
        '{"name":"departed","key":"S-42","payload":{"a":1,"b":[1]},"emitted_at":"2012-01-23T14:42:54.644Z"}',
        ' {"name":"\\u0064eparted","key":"S-42","payload":{"a":1,"b":[1]},"emitted_at":"2012-01-23T14:42:54.644Z"}\r\n',
        json.dumps(line(payload={"a": 1, "b": [1]}, kind="event", deliveries=[], correlation_id=None)),
    ],
    ids=["order of fields", "another offset", "spacing, escapes and line end", "defaults"],
)
def test_a_line_that_says_the_same_is_recognised(same: str) -> None:
    assert read(same).id == read(line(payload={"a": 1, "b": [1]})).id


@pytest.mark.parametrize(
    "change",
    [
        {"name": "arrived"},
        {"key": "S-43"},
        {"key": ...},
        {"payload": {"a": 2}},
        {"payload": {"a": "1"}},
        {"kind": "command"},
        {"correlation_id": "0189a1b2-0000-7000-8000-000000000001"},
        {"causation_id": "0189a1b2-0000-7000-8000-000000000001"},
        {"deliveries": [ENDED]},
        {"emitted_at": "2012-01-23T15:42:54.644001+01:00"},
    ],
    ids=str,
)
def test_a_line_that_differs_in_any_field_is_another_message(change: dict[str, Any]) -> None:
    assert read(line(**change)).id != read(line()).id


def test_a_byte_order_mark_and_blank_lines_are_passed_over() -> None:
    assert read_line(1, b"\xef\xbb\xbf" + json.dumps(line()).encode(), LATEST) is not None
    assert read_line(1, b"\xef\xbb\xbf\r\n", LATEST) is None
    assert read_line(2, b"  \t\r\n", LATEST) is None


def test_a_delivery_is_taken_with_one_attempt_unless_told() -> None:
    found = read(line(deliveries=[{field: ENDED[field] for field in ("subscription", "state", "finished_at")}]))
    assert found.routed == 1
    assert json.loads(found.deliveries or "") == [
        {"subscription": "mail:send", "state": "failed", "attempts": 1, "finished_at": "2012-01-23T14:50:00+00:00",
         "error_type": None, "error": None}
    ]  # fmt: skip


def test_a_delivery_that_was_cancelled_in_time_has_no_attempt() -> None:
    found = read(line(deliveries=[{**ENDED, "state": "cancelled", "attempts": 0}]))
    assert json.loads(found.deliveries or "")[0]["attempts"] == 0


@pytest.mark.parametrize(
    ("given", "field", "rule"),
    [
        ("{not json}", "line 17", "is JSON"),
        ('{"name": "x"', "line 17", "is JSON"),
        ("[1]", "line 17", "is a JSON object"),
        (b'{"name": "\xff"}', "line 17", "is UTF-8"),
        (b'{"x":"' + b"x" * MAX_LINE_BYTES + b'"}', "line 17", "is at most 8 MB long"),
        (line(name=...), "line 17, name", "is given"),
        (line(payload=...), "line 17, payload", "is given"),
        (line(emitted_at=...), "line 17, emitted_at", "is given"),
        (line(nmae="x"), "line 17, nmae", "is a known field"),
        (line(name=""), "line 17, name", "has 1 to 200 characters"),
        (line(name="x" * 300), "line 17, name", "has 1 to 200 characters"),
        (line(name="a\nb"), "line 17, name", "is printable text"),
        (line(name=["x"]), "line 17, name", "is text"),
        (line(key=42), "line 17, key", "is text"),
        (line(key="x" * 201), "line 17, key", "has 1 to 200 printable characters"),
        (line(kind="evnt"), "line 17, kind", "is event or command"),
        (line(kind=None), "line 17, kind", "is event or command"),
        (line(emitted_at="2012-01-23T15:42:54"), "line 17, emitted_at", "has an offset from UTC"),
        (line(emitted_at="23 January"), "line 17, emitted_at", "is a time in ISO 8601"),
        (line(emitted_at=1327329774), "line 17, emitted_at", "is a time in ISO 8601"),
        (line(emitted_at="1969-12-31T23:59:59Z"), "line 17, emitted_at", "is not before 1970"),
        (line(emitted_at="0001-01-01T00:00:00+23:59"), "line 17, emitted_at", "is not before 1970"),
        (line(emitted_at="2026-11-02T00:00:01Z"), "line 17, emitted_at", "is not in the future"),
        (line(emitted_at="9999-12-31T23:59:59-23:59"), "line 17, emitted_at", "is not in the future"),
        (line(correlation_id="42"), "line 17, correlation_id", "is a UUID"),
        (line(causation_id=42), "line 17, causation_id", "is a UUID"),
        (line(payload=[1]), "line 17, payload", "is a JSON object"),
        (line(payload=None), "line 17, payload", "is a JSON object"),
        (line(payload={"a": {"b": "x\x00"}}), "line 17, payload.a.b", "has no NUL character"),
        (line(payload={"a": ["\ud800"]}), "line 17, payload.a[0]", "is well-formed Unicode"),
        (line(payload={"a": float("nan")}), "line 17, payload", "holds finite numbers"),
        (line(payload={"a": float("inf")}), "line 17, payload", "holds finite numbers"),
        (json.dumps(line()).replace('"a": 1', '"a": 1e400'), "line 17, payload.a", "is a finite number"),
        (json.dumps(line()).replace('"a": 1', '"a": 1e-5000'), "line 17, payload", "has numbers of at most"),
        (json.dumps(line()).replace('"a": 1', '"a": ' + "9" * 4200), "line 17, payload.a", "has at most 4000 digits"),
        (json.dumps(line()).replace('"a": 1', '"a": ' + "9" * 5000), "line 17, payload", "has numbers of at most"),
        (json.dumps(line()).replace("1}", '{"a":' * 65 + "1" + "}" * 66), "line 17, payload.a", "is nested at most"),
        (json.dumps(line()).replace("1}", "[" * 9999 + "]" * 9999 + "}"), "line 17, payload", "is nested at most 64"),
        (line(payload={"a": "x" * 1_000_001}), "line 17, payload", "is at most 1 MB as JSON text"),
        (line(deliveries={}), "line 17, deliveries", "is a list of deliveries"),
        (line(deliveries=["x"]), "line 17, deliveries[0]", "is a JSON object"),
        (line(deliveries=[ENDED, ENDED]), "line 17, deliveries", "names each subscription once"),
        (line(deliveries=[ENDED | {"worker": "w"}]), "line 17, deliveries[0].worker", "is a known field"),
        (line(deliveries=[ENDED | {"state": "pending"}]), "line 17, deliveries[0].state", "is final: succeeded"),
        (line(deliveries=[ENDED | {"state": ["failed"]}]), "line 17, deliveries[0].state", "is final: succeeded"),
        (line(deliveries=[ENDED | {"attempts": 0}]), "line 17, deliveries[0].attempts", "is a number of attempts"),
        (line(deliveries=[ENDED | {"attempts": True}]), "line 17, deliveries[0].attempts", "is a number of attempts"),
        (line(deliveries=[ENDED | {"attempts": 40000}]), "line 17, deliveries[0].attempts", "is a number of attempts"),
        (line(deliveries=[ENDED | {"attempts": 10**4100}]), "line 17, deliveries[0].attempts", "is a number of"),
        (line(deliveries=[ENDED | {"subscription": ""}]), "line 17, deliveries[0].subscription", "has 1 to 200"),
        (line(deliveries=[ENDED | {"error": "x\x00"}]), "line 17, deliveries[0].error", "has no NUL character"),
        (line(deliveries=[ENDED | {"error": 1}]), "line 17, deliveries[0].error", "is text"),
        (line(deliveries=[ENDED | {"error_type": 1}]), "line 17, deliveries[0].error_type", "is text"),
        (line(deliveries=[ENDED | {"finished_at": "2012-01-23T15:42:54+01:00"}]),
         "line 17, deliveries[0].finished_at", "is not before emitted_at"),
        (line(deliveries=[ENDED | {"finished_at": "2012-01-23T15:50:00"}]),
         "line 17, deliveries[0].finished_at", "has an offset from UTC"),
    ],
    ids=lambda value: value[:60] if isinstance(value, str) else "",
)  # fmt: skip
def test_a_bad_line_is_refused_with_its_number_its_rule_and_how_to_mend_it(
    given: dict[str, Any] | bytes | str, field: str, rule: str
) -> None:
    error = refusal(given)
    assert error.field.startswith(field)
    assert error.rule.startswith(rule)
    assert error.mend
    assert len(str(error)) < 600


def test_a_refusal_never_repeats_the_payload() -> None:
    secret = line(payload={"password": "hunter2\x00"})
    assert "hunter2" not in str(refusal(secret))
    assert "hunter2" not in str(refusal(json.dumps(secret)[:-2] + ', "hunter2"}'))
