from __future__ import annotations

import random

import pytest

from buslog import RetryPolicy
from buslog.errors import InvalidSubscription


def test_the_default_waits_triple_from_five_seconds_to_at_most_an_hour() -> None:
    steady = RetryPolicy(jitter=0)
    assert [steady.delay_after(n) for n in range(1, 9)] == [5, 15, 45, 135, 405, 1215, 3600, None]


def test_jitter_spreads_a_wait_but_never_past_the_longest() -> None:
    policy = RetryPolicy(jitter=0.2, max_attempts=20)
    chance = random.Random(7)
    firsts = [policy.delay_after(1, chance) or 0.0 for _ in range(500)]
    assert min(firsts) >= 4
    assert max(firsts) <= 6
    assert max(firsts) - min(firsts) > 1.5
    assert max(policy.delay_after(12, chance) or 0 for _ in range(500)) <= 3600


def test_the_last_attempt_gives_up() -> None:
    assert RetryPolicy(max_attempts=1).delay_after(1) is None


def test_a_huge_attempt_number_waits_the_longest_and_does_not_overflow() -> None:
    assert RetryPolicy(max_attempts=1000, factor=100, jitter=0).delay_after(999) == 3600


def test_a_policy_survives_its_stored_form() -> None:
    policy = RetryPolicy(max_attempts=3, first_delay=0.5)
    assert RetryPolicy.from_json({**policy.as_json(), "from_a_newer_buslog": 1}) == policy
    assert RetryPolicy.from_json({}) == RetryPolicy()


@pytest.mark.parametrize("wrong", [{"max_attempts": 0}, {"first_delay": -1}, {"jitter": 2}, {"factor": 0.5}])
def test_a_policy_out_of_range_is_refused_by_name(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidSubscription, match=f"retry.{next(iter(wrong))}"):
        RetryPolicy(**wrong)  # type: ignore[arg-type]
