"""The Filter and its textual form."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buslog.errors import InvalidFilter
from buslog.filter import EARLIEST, LATEST, Filter, Range
from buslog.message import State

texts = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=200)
moments = st.datetimes(EARLIEST.replace(tzinfo=None), LATEST.replace(tzinfo=None), timezones=st.just(UTC))


@st.composite
def filters(draw: st.DrawFn) -> Filter:
    times: dict[str, Any] = {}
    if draw(st.booleans()):
        since, until = sorted(draw(st.tuples(moments, moments)))
        times = {"since": since, "until": until if until > since else None}
    else:
        times = {"range": draw(st.sampled_from(Range))}
    return Filter(
        find=draw(st.lists(texts, max_size=5, unique=True).map(tuple)),
        names=draw(st.lists(texts, max_size=5, unique=True).map(tuple)),
        key=draw(st.none() | texts),
        subscription=draw(st.none() | texts),
        states=draw(st.lists(st.sampled_from(State), max_size=10, unique=True).map(tuple)),
        error_type=draw(st.none() | texts),
        error_text=draw(st.none() | texts),
        correlation=draw(st.none() | st.uuids()),
        payload=draw(st.none() | st.dictionaries(texts, texts, min_size=1, max_size=2).map(json.dumps)),
        raised=draw(st.booleans()),
        ended_since=draw(st.none() | moments),
        **times,
    )


@given(filters())
def test_a_filter_survives_its_textual_form(filter_: Filter) -> None:
    assert Filter.from_params(filter_.to_params()) == filter_
    assert Filter.from_text(filter_.to_text()) == filter_


def test_no_parameters_mean_the_last_24_hours_and_are_not_written_back() -> None:
    assert Filter.from_params({}).range is Range.DAY
    assert Filter.from_params({}).to_params() == {}
    assert Filter.from_params({}, default=Range.ALL) == Filter()


def test_a_date_is_midnight_in_utc_and_an_offset_is_honoured() -> None:
    given_ = Filter.from_params({"from": "2012-01-31", "to": "2012-02-01T02:00+02:00"})
    assert given_.since == datetime(2012, 1, 31, tzinfo=UTC)
    assert given_.until == datetime(2012, 2, 1, tzinfo=UTC)


def test_a_range_counts_back_from_now() -> None:
    now = datetime(2026, 3, 29, 12, tzinfo=UTC)
    assert Filter(range=Range.HOUR).bounds(now) == (now - timedelta(hours=1), None)
    assert Filter(since=now).bounds(datetime.max.replace(tzinfo=UTC)) == (now, None)


def test_repeated_values_count_once_and_empty_ones_not_at_all() -> None:
    given_ = Filter.from_params({"name": ["a", "b", "a", ""], "key": "", "state": ["failed", "failed"]})
    assert given_ == Filter(names=("a", "b"), states=(State.FAILED,), range=Range.DAY)


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"from": "yesterday"}, "from"),
        ({"from": "+294277-01-01T00:00:00Z"}, "from"),
        ({"from": "294277-01-01"}, "from"),
        ({"to": "1969-12-31"}, "to"),
        ({"to": "9999-12-31T23:59:59-23:59"}, "to"),
        ({"from": "0001-01-01T00:00:00+23:59"}, "from"),
        ({"from": "2012-01-02", "to": "2012-01-01"}, "from"),
        ({"from": "2012-01-02", "range": "24h"}, "range"),
        ({"range": "all; DROP TABLE"}, "range"),
        ({"state": "fialed"}, "state"),
        ({"state": ["failed", "'; --"]}, "state"),
        ({"key": "k" * 201}, "key"),
        ({"key": "k" * 600_000}, "key"),
        ({"key": "a\x00b"}, "key"),
        ({"key": "\ud800"}, "key"),
        ({"name": "n" * 201}, "name"),
        ({"name": [f"n{i}" for i in range(51)]}, "name"),
        ({"key": ["a", "b"]}, "key"),
        ({"page": "-1"}, "page"),
        ({"find": " ".join(f"S-{n}" for n in range(1001))}, "find"),
        ({"find": "k" * 600_000}, "find"),
        ({"find": "a\x00b"}, "find"),
        ({"error_text": ["a", "b"]}, "error_text"),
        ({"error_text": "e" * 201}, "error_text"),
        ({"correlation": "42"}, "correlation"),
        ({"payload": "{"}, "payload"),
        ({"payload": "[1]"}, "payload"),
        ({"payload": "{}"}, "payload"),
        ({"payload": '{"a": NaN}'}, "payload"),
        ({"payload": '{"a": "\\u0000"}'}, "payload.a"),
        ({"payload": '{"a": ' + "1" * 5000 + "}"}, "payload"),
        ({"payload": '{"a":' * 900 + "1" + "}" * 900}, "payload"),
        ({"sort": "id;drop"}, "sort"),
        ({"kye": "S-42"}, "kye"),
    ],
)
def test_nonsense_is_refused_naming_its_field(params: dict[str, str | list[str]], field: str) -> None:
    with pytest.raises(InvalidFilter) as refused:
        Filter.from_params(params)
    assert refused.value.field == field
    assert refused.value.mend
    assert len(str(refused.value)) < 600


def test_a_misspelt_state_or_filter_is_answered_with_the_nearest() -> None:
    with pytest.raises(InvalidFilter, match="Did you mean failed"):
        Filter.from_params({"state": "fialed"})
    with pytest.raises(InvalidFilter, match="Did you mean key"):
        Filter.from_params({"kye": "S-42"})


def test_what_is_pasted_is_taken_apart_whatever_separates_it() -> None:
    pasted = 'S-1, S-2;S-3\tS-4\r\nS-5  S-1\n"case 6",,"say ""7"""'
    assert Filter.from_params({"find": pasted}).find == ("S-1", "S-2", "S-3", "S-4", "S-5", "case 6", 'say "7"')


def test_only_time_is_no_narrow_filter_and_what_an_index_finds_is_of_few() -> None:
    assert not Filter(range=Range.HOUR).is_narrow
    assert all(f.is_narrow for f in (Filter(find=("a",)), Filter(error_text="a"), Filter(payload='{"a": 1}')))
    assert Filter(find=("a",)).is_of_few
    assert not Filter(names=("a",), payload='{"a": 1}').is_of_few


def test_times_without_a_zone_are_refused_in_code() -> None:
    with pytest.raises(InvalidFilter, match="time zone"):
        Filter(since=datetime(2026, 1, 1))  # noqa: DTZ001


@given(st.dictionaries(st.sampled_from(["name", "key", "state", "range", "from", "to", "page"]), st.text(max_size=300)))
def test_any_text_is_a_filter_or_refused_in_our_words(params: dict[str, str]) -> None:
    with contextlib.suppress(InvalidFilter):
        Filter.from_params(params).bounds(datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=5))))
