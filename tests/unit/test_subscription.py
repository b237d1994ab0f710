from __future__ import annotations

import logging
from typing import Any

import pytest
from pydantic import BaseModel

from buslog import Bus, Event, Message, SubscriberAdded, SubscriberRemoved
from buslog.errors import InvalidMessage, InvalidSubscription
from buslog.message import Kind
from buslog.subscription import Registry, make_subscription, matches


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


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("departed", "departed", True),
        ("departed", "departedLate", False),
        ("*", "anything at all", True),
        ("shipment*", "shipmentDeparted", True),
        ("shipment*", "reshipment", False),
        ("*Departed", "shipmentDeparted", True),
        ("s*t*d", "shipmentDeparted", True),
        ("s.i*", "shipment", False),
        ("a*b", "a*b", True),
    ],
)
def test_a_star_stands_for_any_characters_and_nothing_else_does(pattern: str, name: str, expected: bool) -> None:
    assert matches(pattern, name) is expected


class Departed(BaseModel):
    shipmentId: str  # noqa: N815


DEPARTED = Event("departed", Departed)


def test_a_declared_event_brings_the_type_of_its_payload() -> None:
    new = make_subscription(DEPARTED, one, Kind.EVENT)
    assert (new.names, new.payload_schema) == (("departed",), Departed.model_json_schema())


def test_names_that_declare_different_payloads_need_one_given() -> None:
    with pytest.raises(InvalidSubscription, match="declare one type"):
        make_subscription([DEPARTED, "arrived"], one, Kind.EVENT)
    assert make_subscription([DEPARTED, "arrived"], one, Kind.EVENT, payload=dict).payload_schema is not None


def test_an_event_with_a_bad_name_is_refused_where_it_is_declared() -> None:
    with pytest.raises(InvalidMessage, match="name"):
        Event("", Departed)


def test_off_as_a_context_manager_ends_with_its_block() -> None:
    bus = Bus()
    with bus.on("departed", one) as off:
        assert bus.subscriber_count("departed") == 1
    off()
    assert bus.subscriber_count("departed") == 0


def test_each_off_takes_off_what_its_own_call_put_on() -> None:
    bus = Bus()
    bus.on("departed", one, id="first")
    off = bus.on("departed", one, id="second")
    off()
    assert [s.id for s in bus._registry] == ["first"]


def test_counting_knows_patterns_several_names_and_commands() -> None:
    bus = Bus()
    bus.on(["departed", "arrived"], one)
    bus.on("dep*", two)
    bus.command("depart", id="depart")(one)
    assert [bus.subscriber_count(n) for n in ("departed", "arrived", "depart", "other")] == [2, 1, 1, 0]
    assert bus.subscriber_count(["departed", "arrived"]) == 2
    assert bus.subscriber_count() == 4


def test_clear_takes_names_off_or_everything() -> None:
    bus = Bus()
    bus.on(["departed", "arrived"], one)
    bus.on("*", two)
    bus.clear("departed")
    assert [s.names for s in bus._registry] == [("arrived",), ("*",)]
    bus.clear()
    assert bus.subscriber_count() == 0


def test_a_watcher_hears_of_each_change_and_of_nothing_that_changed_nothing() -> None:
    bus, heard = Bus(), list[Any]()
    off = bus.watch(heard.append)
    bus.on(["departed", "arrived"], one)
    bus.on("departed", one)
    bus.off("departed", one)
    bus.off("departed", one)
    off()
    bus.off("arrived", one)
    where = f"{__name__}:one"
    assert heard == [SubscriberAdded(("departed", "arrived"), one, where), SubscriberRemoved(("departed",), one, where)]


def test_a_watcher_that_raises_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    bus, heard = Bus(), list[Any]()

    def broken(change: object) -> None:
        raise ValueError("broken")

    bus.watch(broken)
    bus.watch(heard.append)
    bus.on("departed", one)
    assert len(heard) == 1
    assert "a watcher raised" in caplog.text


def test_hooks_run_before_the_first_and_after_the_last_subscription_of_their_name() -> None:
    bus, order = Bus(), list[str]()
    bus.hook("departed", lambda: order.append("init"), lambda: order.append("deinit"))
    bus.on("*", two, id="any")
    assert order == []
    bus.on("departed", one)
    bus.on("departed", two)
    bus.off("departed", one)
    assert order == ["init"]
    bus.off("departed", two)
    assert order == ["init", "deinit"]
    bus.on("departed", one)
    bus.clear()
    assert order == ["init", "deinit"] * 2


def test_a_failing_init_leaves_neither_the_subscription_nor_what_other_hooks_did() -> None:
    bus, order = Bus(), list[str]()

    def fail() -> None:
        raise ConnectionError("carrier")

    bus.on("sailed", one)
    bus.hook("arrived", lambda: order.append("init"), lambda: order.append("deinit"))
    bus.hook("departed", fail)
    with pytest.raises(ConnectionError):
        bus.on(["arrived", "departed"], one)
    assert order == ["init", "deinit"]
    assert [s.names for s in bus._registry] == [("sailed",)]


def test_a_hook_on_a_name_in_use_runs_at_once_and_its_off_undoes_it() -> None:
    bus, order = Bus(), list[str]()
    bus.on("departed", one)
    off = bus.hook("departed", lambda: order.append("init"), lambda: order.append("deinit"))
    with pytest.raises(InvalidSubscription, match="only one of its name"):
        bus.hook("departed", lambda: None)
    assert order == ["init"]
    off()
    bus.off("departed", one)
    assert order == ["init", "deinit"]


def test_debug_tells_of_subscribing_to_a_logger_of_ones_own(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="mine")
    quiet, told = Bus(), Bus(debug=logging.getLogger("mine"))
    for bus in (quiet, told):
        bus.on("departed", one, id="one")
        bus.off("departed", one)
    assert [r.message for r in caplog.records] == ["subscribe one: departed", "unsubscribe one: departed"]


def test_a_command_may_demand_a_role_and_no_other_word_will_do() -> None:
    assert subscription("wipe", kind=Kind.COMMAND, role="admin").as_columns()["policy"]["role"] == "admin"
    assert "role" not in subscription("wipe", kind=Kind.COMMAND).as_columns()["policy"]
    with pytest.raises(InvalidSubscription, match="role: is operator or admin"):
        subscription("wipe", kind=Kind.COMMAND, role="root")
