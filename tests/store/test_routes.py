"""Which names reach which subscription: names, and patterns with *."""

from __future__ import annotations

import pytest

from buslog import Bus, db
from buslog.errors import InvalidMessage, InvalidSubscription
from buslog.message import Mode
from buslog.store import Lease, Said

from .conftest import Scene, states


async def reached(scene: Scene, name: str) -> list[str]:
    """The subscriptions that a message of this name reaches, in the order in which they are claimed."""
    await scene.emit(name)
    claims = await scene.claim(100)
    for claimed in claims:
        await scene.settle(claimed)
    return scene.names_of(claims)


async def command(scene: Scene, name: str) -> None:
    bus = Bus()
    bus.command(name, id=name)(lambda _: None)
    (subscription,) = bus._registry
    scene.numbers[name] = await scene.store.register(subscription, "")


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("*", "departed", True),
        ("shipment*", "shipmentDeparted", True),
        ("shipment*", "shipment", True),
        ("shipment*", "aShipment", False),
        ("*ed", "departed", True),
        ("s*ed", "shipmentDeparted", True),
        ("s*ed", "departed", False),
        ("100%*", "100% done", True),
        ("100%*", "1000 done", False),
        ("a_*", "a_b", True),
        ("a_*", "axb", False),
        ("a\\*", "a\\b", True),
        ("a\\*", "ab", False),
        ("a\\*", "a*", False),
        ("*.departed", "xdeparted", False),
    ],
)
async def test_a_star_stands_for_any_characters_and_all_others_for_themselves(
    scene: Scene, pattern: str, name: str, expected: bool
) -> None:
    await scene.subscribe("any", name=pattern)
    assert await reached(scene, name) == (["any"] if expected else [])


@pytest.mark.parametrize("name", ["100%", "a_b", "a\\b", "%", "_", "\\"])
async def test_a_name_without_a_star_is_no_pattern(scene: Scene, name: str) -> None:
    await scene.subscribe("named", name=name)
    assert await reached(scene, name) == ["named"]
    assert await reached(scene, "1000") == await reached(scene, "axb") == await reached(scene, "x") == []


async def test_those_that_name_the_event_start_before_those_that_hear_any(scene: Scene) -> None:
    await scene.subscribe("any", name="*")
    await scene.subscribe("named")
    assert await reached(scene, "departed") == ["named", "any"]
    number = dict(scene.numbers)
    lease = Lease(scene.worker, list(number.values()), places=1)
    (stored,) = await scene.store.emit_many([Said("departed", "{}")], lease)
    assert list(stored.leased) == [number["named"], number["any"]]


async def test_in_a_chain_they_stand_before_them_unless_order_says_otherwise(scene: Scene) -> None:
    await scene.subscribe("any", name="*", mode="serial")
    await scene.subscribe("named", mode="serial")
    await scene.subscribe("last", name="*", mode="serial", order=1)
    await scene.subscribe("first", name="*", mode="serial", order=-1)
    await scene.emit()
    ran = []
    while claims := await scene.claim():
        ran += scene.names_of(claims)
        await scene.settle(claims[0])
    assert ran == ["first", "named", "any", "last"]


@pytest.mark.parametrize("names", [["departed", "*"], ["*", "dep*"], ["departed", "dep*", "*"]])
async def test_a_subscription_that_a_name_reaches_in_several_ways_gets_one_delivery(
    scene: Scene, connection: db.Connection, names: list[str]
) -> None:
    await scene.subscribe("mail", name=names)
    assert await reached(scene, "departed") == ["mail"]
    assert connection.execute("SELECT routed FROM buslog.messages").fetchone() == (1,)


async def test_no_command_reaches_a_pattern(scene: Scene, connection: db.Connection) -> None:
    await scene.subscribe("any", name="*")
    await command(scene, "resync")
    assert await reached(scene, "resync") == ["resync"]
    assert connection.execute("SELECT kind::text FROM buslog.messages").fetchone() == ("command",)


async def test_a_pattern_does_not_keep_a_command_from_its_name(scene: Scene) -> None:
    await scene.subscribe("any", name="re*")
    await command(scene, "resync")
    with pytest.raises(InvalidSubscription, match="only one of a command"):
        await scene.subscribe("other", name="resync")


async def test_a_pattern_is_taken_off_and_what_it_was_sent_stays(scene: Scene, connection: db.Connection) -> None:
    await scene.subscribe("any", name=["dep*", "arr*"])
    await scene.emit()
    await scene.store.unregister("any", ["dep*"])
    assert await reached(scene, "departed") == ["any"], "the one that was sent before"
    assert await reached(scene, "departed") == []
    assert await reached(scene, "arrived") == ["any"]
    await scene.store.unregister("any", ["arr*"])
    assert await reached(scene, "arrived") == []


async def test_a_registration_without_the_pattern_takes_it_away(scene: Scene) -> None:
    await scene.subscribe("any", name=["departed", "*"])
    await scene.subscribe("any", name="departed")
    assert await reached(scene, "arrived") == []


async def test_a_pattern_is_not_a_name_that_was_seen(scene: Scene, connection: db.Connection) -> None:
    await scene.subscribe("any", name="dep*")
    assert connection.execute("SELECT count(*) FROM buslog.names").fetchone() == (0,)
    await scene.emit()
    assert connection.execute("SELECT name FROM buslog.names").fetchall() == [("departed",)]


async def test_a_sync_subscriber_that_hears_by_a_pattern_is_waited_for_too(
    scene: Scene, connection: db.Connection
) -> None:
    number = await scene.subscribe("any", name="*", mode=Mode.SYNC.value)
    (stored,) = await scene.store.emit_many([Said("departed", "{}")])
    assert stored.awaited == [number]
    bus = Bus(host=False)
    with pytest.raises(InvalidMessage, match="sync"):
        bus.emit_within(connection, "departed")
    assert list(states(connection)) == ["any"], "the first one's alone"
