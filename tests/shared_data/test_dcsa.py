"""The freight example on the samples of the DCSA Conformance Gateway, versions 2.2 and 3.0."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from examples.freight.shared import Shipment
from tests.conftest import SHARED
from tests.freight import EVERY_NAME, running

SAMPLES = sorted((SHARED / "dcsa").glob("*.json"))
SOUND = [path for path in SAMPLES if "wrong" not in path.name]
WRONG = [path for path in SAMPLES if "wrong" in path.name]


def document(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def events(path: Path) -> list[dict[str, Any]]:
    told = document(path)
    return told if isinstance(told, list) else told["events"]


def read(event: Any) -> Shipment:
    return Shipment.model_validate_json(json.dumps({"shipmentId": "S-42", "event": event}))


def test_there_are_samples_of_both_versions_and_wrong_ones() -> None:
    assert len([path for path in SOUND if "220" in path.name]) == 1
    assert len([path for path in SOUND if "300" in path.name]) == 6
    assert len(WRONG) == 3


async def test_every_subscriber_takes_the_real_samples(dsn18: str) -> None:
    samples = [event for path in SOUND for event in events(path)] + [document(path) for path in SOUND]
    async with running(dsn18) as freight:
        roots = [
            freight.emit(name, {"shipmentId": f"S-{number}", "event": sample})
            for number, sample in enumerate(samples, start=42)
            for name in EVERY_NAME
        ]
        rows = [row for root in roots for row in await freight.ended(root)]

    assert len(roots) == len(samples) * len(EVERY_NAME)
    assert [row for row in rows if row.state not in {"succeeded", "unrouted"}] == []


@pytest.mark.parametrize("path", SOUND, ids=lambda path: path.stem)
def test_an_event_is_passed_on_as_the_carrier_sent_it(path: Path) -> None:
    assert [event.as_sent for event in read(document(path)).events] == events(path)


@pytest.mark.parametrize("path", WRONG, ids=lambda path: path.stem)
def test_wrong_samples_are_refused_as_a_whole_and_one_by_one(path: Path) -> None:
    for refused in (document(path), *events(path)):
        with pytest.raises(ValidationError):
            read(refused)


@pytest.mark.parametrize(
    ("name", "number", "says"),
    [
        ("attribute-values", 0, "XYABC is no UN/LOCODE: XY is no country"),
        ("attribute-values", 1, "VOID is said of a transport document (TRD), not of ARN"),
        ("attribute-values", 2, "XYBCD is no UN/LOCODE: XY is no country"),
        ("date-times", 1, "eventCreatedDateTime\n  Field required"),
        ("date-times", 2, "eventDateTime\n  Field required"),
        ("date-times", 3, "eventCreatedDateTime\n  Input should be a valid datetime"),
        ("date-times", 4, "eventDateTime\n  Input should be a valid datetime"),
        ("date-times", 5, "1999-01-01 is not between 2019 and a year from now"),
        ("date-times", 6, "2099-01-01 is not between 2019 and a year from now"),
        ("structure", 0, "eventType\n  Field required"),
    ],
)
def test_the_refusal_of_a_wrong_event_says_what_is_wrong(name: str, number: int, says: str) -> None:
    path = next(path for path in WRONG if name in path.name)
    with pytest.raises(ValidationError) as refusal:
        read(events(path)[number])
    assert says in str(refusal.value)


async def test_a_wrong_event_on_the_bus_fails_at_once_and_is_not_retried(dsn18: str) -> None:
    async with running(dsn18) as freight:
        roots = [freight.emit("trackingReceived", {"shipmentId": "S-42", "event": document(path)}) for path in WRONG]
        rows = [row for root in roots for row in await freight.ended(root, within=5)]

    assert [(row.name, row.state, row.attempts) for row in rows] == [("trackingReceived", "failed", 1)] * len(WRONG)
    assert all((row.error or "").startswith("payload.event.") for row in rows)
