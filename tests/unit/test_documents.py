"""JSON on screens: sorted, exact; what differs; and what a ticket says of a message."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buslog.config import Settings
from buslog.console import documents, ticket
from buslog.insights import AttemptDetail, DeliveryDetail, MessageDetail
from buslog.message import Kind, Mode, State

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(values)
def test_what_is_shown_is_what_was_said(value: Any) -> None:
    text = json.dumps(value)
    assert json.loads(documents.pretty(documents.parse(text))) == json.loads(text)


@given(values, values)
def test_nothing_differs_from_itself_and_what_differs_is_told(old: Any, new: Any) -> None:
    one, other = (documents.parse(json.dumps(value)) for value in (old, new))
    assert list(documents.difference(one, one)) == []
    assert bool(list(documents.difference(one, other))) is (
        json.dumps(old, sort_keys=True) != json.dumps(new, sort_keys=True)
    )


@given(values)
def test_a_document_is_made_of_its_leaves(value: Any) -> None:
    document = documents.parse(json.dumps(value))
    assert documents.with_leaves(document, dict(documents.leaves(document))) == document


def test_keys_are_sorted_and_numbers_are_exact() -> None:
    text = '{"b": 12345678901234567890123, "a": 0.10, "c": [1e400, -0]}'
    shown = documents.pretty(documents.parse(text))
    assert shown == '{\n  "a": 0.10,\n  "b": 12345678901234567890123,\n  "c": [\n    1e400,\n    -0\n  ]\n}'


def test_a_difference_names_paths_and_tells_absent_from_null() -> None:
    old = documents.parse('{"a": {"b": [1, "x"]}, "gone": null, "same": true, "kind": "1"}')
    new = documents.parse('{"a": {"b": [1, "y", 2]}, "new": null, "same": true, "kind": 1}')
    assert list(documents.difference(old, new)) == [
        documents.Change("a.b[1]", '"x"', '"y"'),
        documents.Change("a.b[2]", None, "2"),
        documents.Change("gone", "null", None),
        documents.Change("kind", '"1"', "1"),
        documents.Change("new", None, "null"),
    ]


# ── copy for ticket ─────────────────────────────────────────────────────────────

AT = datetime(2026, 11, 23, 14, 5, tzinfo=UTC)
EVIL = "`x` ![i](http://evil.example/x.png) ``` # y"


def of(name: str, error: str) -> str:
    message = MessageDetail(UUID(int=1), Kind.EVENT, name, "S-42", AT, "bus", None, UUID(int=1), None, 1,
                            '{"iban": "DE02"}', 16, payload_is_cut=False)  # fmt: skip
    delivery = DeliveryDetail(message.id, "mail", Mode.ASYNC, 2, True, State.FAILED, 3, 0, None, AT, AT, "host:1",
                              "Timeout", error, None, True)  # fmt: skip
    attempts = [AttemptDetail("mail", 2, number, AT, AT, "host:1", "", "Timeout", error, "mail.py:3 in send")
                for number in range(7, 0, -1)]  # fmt: skip
    return ticket.markdown(
        message, "shipmentId", "http://here/message?id=1", deliveries=[delivery], attempts=attempts, causes={}
    )


def test_a_ticket_says_where_what_and_when_and_nothing_of_the_payload() -> None:
    text = of("departed", "no answer")
    for told in (
        "http://here/message?id=1", "`S-42`", "2026-11-23 14:05:00 UTC", "`mail`: **failed** after 3 attempts",
        "replayed once · last failed", "Timeout: no answer", "mail.py:3 in send", "2 earlier attempts",
    ):  # fmt: skip
        assert told in text
    assert "iban" not in text
    assert "DE02" not in text


def test_nothing_in_a_ticket_leaves_its_code_block() -> None:
    text = of(EVIL, f"{EVIL}\n```\n# heading")
    assert "**Event ````" in text
    fences = [line for line in text.splitlines() if line.startswith("````")]
    assert len(fences) == 10  # five attempts, each opened and closed by a fence longer than any in the error


# ── links out ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)//{key}", "ftp://x/{key}", "https://x/", "https://{key}/x", "https:///{key}", "{key}", ""],
)
def test_an_address_for_keys_is_http_with_the_key_after_its_host(url: str) -> None:
    if url:
        with pytest.raises(ValueError, match="http or https"):
            Settings(key_url=url)
    assert Settings(key_url="https://erp.example/s/{key}?a=b").key_url
