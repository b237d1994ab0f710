from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buslog.errors import InvalidMessage
from buslog.payload import check_key, check_name, encode


def nested(depth: int) -> dict[str, Any]:
    payload: dict[str, Any] = {}
    for _ in range(depth):
        payload = {"x": payload}
    return payload


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ({"a": "x\x00y"}, "payload.a"),
        ({"a": [1, "\ud800"]}, "payload.a[1]"),
        ({"a": {"b": float("nan")}}, "payload.a.b"),
        ({"a": float("-inf")}, "payload.a"),
        ({"a": 10**4001}, "payload.a"),
        ({"a": object()}, "payload.a"),
        ({"a\x00": 1}, "payload.a"),
        ({("tuple",): 1}, "payload."),
        (nested(66), "payload.x.x"),
        ({"a": "x" * 1_000_001}, "payload"),
        ([1], "payload"),
        ("text", "payload"),
    ],
    ids=["nul", "surrogate", "nan", "inf", "digits", "object", "nul in a name", "tuple name", "depth", "size", "list",
         "text"],
)  # fmt: skip
def test_what_the_log_cannot_hold_is_refused_with_its_path(payload: Any, field: str) -> None:
    with pytest.raises(InvalidMessage) as caught:
        encode(payload)
    assert caught.value.field.startswith(field)
    assert caught.value.mend


def test_a_payload_that_holds_itself_is_refused() -> None:
    payload: dict[str, Any] = {}
    payload["self"] = [payload]
    with pytest.raises(InvalidMessage, match="nested at most 64 deep"):
        encode(payload)


def test_the_deepest_and_longest_allowed_pass() -> None:
    assert json.loads(encode(nested(64)))
    assert json.loads(encode({"digits": 10**3999, "brackets": "[{" * 100, "backslash": "\\u0000 as text"}))


def test_big_integers_are_kept_exact() -> None:
    assert json.loads(encode({"n": 2**53 + 1}))["n"] == 2**53 + 1


@pytest.mark.parametrize("name", ["", "  ", "x" * 201, "a\nb", "a\x00", "a\x85b", "\ud800", None, 3])
def test_a_bad_name_is_refused(name: object) -> None:
    with pytest.raises(InvalidMessage, match="name"):
        check_name(name)


def test_names_with_spaces_and_accents_pass() -> None:
    assert check_name("T06 Determine necessity of stop advice — é") is not None


@pytest.mark.parametrize("key", ["", "x" * 201, "a\tb", 7])
def test_a_bad_key_is_refused(key: object) -> None:
    with pytest.raises(InvalidMessage, match="key"):
        check_key(key)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
    max_leaves=30,
)


@given(st.dictionaries(st.text(st.characters()), json_values))
def test_any_payload_is_either_refused_in_our_shape_or_comes_back_equal(payload: dict[str, Any]) -> None:
    try:
        text = encode(payload)
    except InvalidMessage:
        return
    assert json.loads(text) == payload
    assert "\\u0000" not in text.replace("\\\\", "")
