"""What is masked shows nowhere, and nothing else changes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from buslog.config import Settings
from buslog.masking import MASKED, SHORT, Mask

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0•…"), max_size=12)
SECRET = st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S")), min_size=SHORT, max_size=20)
LEAF = st.none() | st.booleans() | st.integers() | TEXT
NAMES = st.sampled_from(["a", "b", "email", "Phone", "x.y", "customer"])
JSON = st.recursive(LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3))
PAYLOAD = st.dictionaries(NAMES, JSON, max_size=4)
FIELDS = st.lists(
    st.sampled_from(["email", "*.email", "customer.email", "customer.*", "a.*.b", "x.y", "*.phone", "customer"]),
    min_size=1, max_size=3, unique=True,
).map(tuple)  # fmt: skip


def masked(fields: tuple[str, ...], payload: Any) -> Any:
    text = json.dumps(payload)
    shown = Mask(fields).of(text).json(text)
    assert shown is not None
    return json.loads(shown)


def leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for inner in value.values() for leaf in leaves(inner)]
    if isinstance(value, list):
        return [leaf for inner in value for leaf in leaves(inner)]
    return [value]


@given(PAYLOAD, SECRET, FIELDS, TEXT, TEXT)
def test_a_masked_value_is_in_no_leaf_of_what_is_shown_and_in_no_text(
    payload: dict[str, Any], secret: str, fields: tuple[str, ...], before: str, after: str
) -> None:
    payload = {**payload, "customer": {"email": secret, "remark": f"{before}{secret}{after}"}, "n": [secret]}
    assume(secret.lower() not in (before + after).lower())
    fields = (*fields, "customer.email")
    shown = masked(fields, payload)
    assert shown["customer"] == MASKED or shown["customer"]["email"] == MASKED
    assert [leaf for leaf in leaves(shown) if isinstance(leaf, str) and secret in leaf] == []
    veil = Mask(fields).of(json.dumps(payload))
    for text in (f"{before}{secret}{after}", f"to {secret!r}", json.dumps({"to": secret}), secret.upper()):
        assert secret not in (veil.text(text) or "")
    assert secret not in (veil.json(json.dumps({"sent": [secret, f"{before}{secret}"]})) or "")


@given(PAYLOAD)
def test_what_no_field_names_and_no_hidden_value_is_in_stays_as_it_is(payload: dict[str, Any]) -> None:
    assert masked(("nowhere", "customer.nowhere.*"), payload) == payload
    text = json.dumps(payload)
    assert Mask().of(text).json(text) == text
    assert Mask(("nowhere",)).of(text).text("anything at all") == "anything at all"


@given(PAYLOAD, FIELDS)
def test_masking_twice_is_masking_once_and_names_stay(payload: dict[str, Any], fields: tuple[str, ...]) -> None:
    once = masked(fields, payload)
    assert masked(fields, once) == once
    assert list(once) == list(payload)


@given(PAYLOAD, FIELDS)
def test_what_a_form_is_filled_with_has_no_masked_field(payload: dict[str, Any], fields: tuple[str, ...]) -> None:
    bare = Mask(fields).without(payload)
    assert not Mask(fields).touches(bare)
    assert Mask(fields).touches(payload) == (bare != payload)


@pytest.mark.parametrize(
    ("field", "hidden"),
    [
        ("email", [True, False, False, False]),
        ("*.email", [True, True, True, True]),
        ("customer.email", [False, True, False, False]),
        ("CUSTOMER.Email", [False, True, False, False]),
        ("customer.*.email", [False, True, True, False]),
        ("contacts.email", [False, False, False, True]),
        ("customer.*", [False, True, True, False]),
    ],
)
def test_a_star_stands_for_any_number_of_names_and_lists_are_passed_through(field: str, hidden: list[bool]) -> None:
    payload = {
        "email": "one@example.org",
        "customer": {"email": "two@example.org", "home": {"email": "three@example.org"}},
        "contacts": [{"email": "four@example.org"}],
    }
    shown = json.dumps(masked((field,), payload))
    assert [f"{name}@" not in shown for name in ("one", "two", "three", "four")] == hidden


def test_a_value_that_an_error_was_cut_in_is_hidden_too() -> None:
    veil = Mask(("email",)).of('{"email": "anna.smith@example.org"}')
    assert veil.text("no mailbox for anna.smith@ex") == f"no mailbox for {MASKED}"
    assert veil.text("…smith@example.org is unknown") == f"…{MASKED} is unknown"
    assert veil.text("ANNA.SMITH@example.org?") == f"{MASKED}?"


def test_a_short_value_is_hidden_as_a_word_and_does_not_tear_others_apart() -> None:
    veil = Mask(("age", "code")).of('{"age": 42, "code": "in"}')
    assert veil.text("aged 42 in 1942, instead of 421") == f"aged {MASKED} {MASKED} 1942, instead of 421"
    assert veil.json('{"updated": 42}') == '{"updated": 42}'


def test_numbers_keep_their_digits_and_masked_ones_are_hidden_in_results() -> None:
    text = '{"big": 12345678901234567890123, "rate": 1.10, "tiny": 1e-400, "iban": 4711471147114711}'
    veil = Mask(("iban",)).of(text)
    assert veil.json(text) == f'{{"big": 12345678901234567890123, "rate": 1.10, "tiny": 1e-400, "iban": "{MASKED}"}}'
    assert veil.json('{"paid": 4711471147114711}') == f'{{"paid": "{MASKED}"}}'


def test_what_is_shown_indented_looks_as_postgres_writes_it() -> None:
    text = '{"a": [1, {"b": "ü"}], "email": "x@example.org"}'
    shown = Mask(("email",)).of(text).json(text, indent=True)
    assert shown == (
        '{\n    "a": [\n        1,\n        {\n            "b": "ü"\n        }\n    ],\n    "email": "•••"\n}'
    )


def test_of_a_payload_that_is_not_known_every_text_is_hidden() -> None:
    veil = Mask(("email",)).of(None)
    assert (veil.text("anything"), veil.json('{"a": 1}'), veil.text(None)) == (MASKED, f'"{MASKED}"', None)


def test_the_setting_is_paths_with_commas_between_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(text: str) -> tuple[str, ...] | None:
        monkeypatch.setenv("BUSLOG_MASK_FIELDS", text)
        return Settings().mask_fields

    assert read("customer.email, *.phone,customer.email") == ("customer.email", "*.phone")
    assert (read(""), read("none")) == (None, ())
    for wrong in ("a..b", "*", "*.*", "customer.", "a b", "none,x."):
        with pytest.raises(ValidationError):
            read(wrong)
