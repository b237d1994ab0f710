"""The voyages of the demo: what a carrier tells of a shipment, made from the samples. Outside world, not product."""

import json
import random
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

SAMPLES = {version: Path(__file__).parent / "samples" / f"voyage-{version}.json" for version in ("2.2", "3.0")}
STEPS = 6  # events of a voyage: confirmed, gate in, loaded, departed, arrived, gate out
ORIGINS = ("NLRTM", "DEHAM", "BEANR", "FRLEH", "ESVLC")
DESTINATIONS = ("SGSIN", "CNSHA", "USNYC", "BRSSZ", "JPYOK")
VESSELS = ("Corriente", "Morgenrood", "Blue Meridian", "Elbe Trader", "Ponente")
NO_UN_LOCODES = ("ROTTERDAM", "NL-RTM", "N/A", "DEHA")  # what people write into the field


def voyage(shipment_id: str, version: str) -> list[dict[str, Any]]:
    """The events of a shipment's voyage, in order: the same ports, vessel and container whenever it is asked for."""
    chance = random.Random(shipment_id)  # noqa: S311  (a story, not a secret)
    booking, container = f"BK{chance.randrange(10**6, 10**7)}", f"MORU{chance.randrange(10**6, 10**7)}"
    names = {
        "NLRTM": chance.choice(ORIGINS),
        "SGSIN": chance.choice(DESTINATIONS),
        "Corriente": chance.choice(VESSELS),
        "MORU4410279": container,
        "BK7730155": booking,
    }
    text = SAMPLES[version].read_text(encoding="utf-8")
    told = json.loads(re.sub("|".join(names), lambda found: names[found[0]], text))
    events: list[dict[str, Any]] = told["events"] if version == "3.0" else told
    for number, event in enumerate(events):
        event["eventID"] = str(uuid5(NAMESPACE_URL, f"{shipment_id}/{number}"))
    return events


def told_now(event: dict[str, Any]) -> dict[str, Any]:
    """The event as if it had just happened."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    told = "eventCreatedDateTime" if "eventCreatedDateTime" in event else "eventUpdatedDateTime"
    return {**event, "eventDateTime": now, told: now}


def with_malformed_port(event: dict[str, Any]) -> dict[str, Any]:
    """The event as a clerk typed it: a port that is no UN/LOCODE. No retry mends it."""
    wrong = random.choice(NO_UN_LOCODES)  # noqa: S311
    return {**event, "eventLocation": {"UNLocationCode": wrong}, "transportCall": {"UNLocationCode": wrong}}
