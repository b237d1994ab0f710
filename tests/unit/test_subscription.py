from __future__ import annotations

from typing import Any

import pytest

from buslog import Bus, Message
from buslog.errors import InvalidSubscription
from buslog.message import Kind
from buslog.subscription import Registry, make_subscription


async def one(message: Message) -> None:
    """Reacts.

    And more.
    """


async def two(message: Message) -> None: ...


def subscription(names: Any = "departed", subscriber: Any = one, **options: Any) -> Any:
    defaults: dict[str, Any] = {"id": None, "kind": Kind.EVENT, "mode": "async", "order": 0, "retry": None}
    return make_subscription(names, subscriber, **{**defaults, "payload": None, **options})


def test_an_id_is_where_the_code_is() -> None:
    assert subscription().id == f"{__name__}:one"
    assert subscription().description == "Reacts."


def test_the_same_function_twice_on_one_name_is_one_subscription() -> None:
    registry = Registry()
    registry.add(subscription())
    registry.add(subscription())
    assert [s.names for s in registry] == [("departed",)]


def test_the_same_function_on_another_name_is_the_same_subscription_with_both_names() -> None:
    registry = Registry()
    registry.add(subscription())
    registry.add(subscription("arrived"))
    assert [s.names for s in registry] == [("departed", "arrived")]


def test_an_id_that_is_taken_is_refused() -> None:
    registry = Registry()
    registry.add(subscription(id="mine"))
    with pytest.raises(InvalidSubscription, match="id: is used once"):
        registry.add(subscription(subscriber=two, id="mine"))


def test_the_same_function_with_other_options_is_refused() -> None:
    registry = Registry()
    registry.add(subscription())
    with pytest.raises(InvalidSubscription, match="id: is used once"):
        registry.add(subscription(mode="sync"))


@pytest.mark.parametrize(("first", "second"), [("command", "command"), ("command", "event"), ("event", "command")])
def test_a_command_has_exactly_one_subscriber(first: str, second: str) -> None:
    registry = Registry()
    registry.add(subscription(kind=Kind(first)))
    with pytest.raises(InvalidSubscription, match="only one of a command"):
        registry.add(subscription(subscriber=two, kind=Kind(second)))


@pytest.mark.parametrize("names", ["", "x" * 201, "a\nb", [], ["fine", ""], 3, None])
def test_a_bad_name_is_refused_and_nothing_of_it_stays(names: Any) -> None:
    bus = Bus()
    with pytest.raises((InvalidSubscription, TypeError)):
        bus.on(names, one)
    assert list(bus._registry) == []


def test_a_subscriber_that_cannot_be_called_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        Bus().on("departed", 42)  # type: ignore[call-overload]


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(InvalidSubscription, match="mode"):
        Bus().on("departed", one, mode="parallel")  # type: ignore[call-overload]


def test_off_takes_one_name_or_all_and_is_safe_to_call_twice() -> None:
    bus = Bus()
    off = bus.on(["departed", "arrived"], one)
    bus.off("departed", one)
    assert [s.names for s in bus._registry] == [("arrived",)]
    off()
    off()
    bus.off("departed", two)
    assert list(bus._registry) == []
