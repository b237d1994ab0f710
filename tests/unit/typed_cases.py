"""What a type checker knows of declared payloads. Each `type: ignore` is an error that must be there: strict mypy
complains of one that is not needed, and test_typed.py counts them. Never run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypedDict, assert_type

import psycopg
from pydantic import BaseModel

from buslog import Bus, Emitted, Event, Message, Off, Record, Stream


class Departed(BaseModel):
    shipmentId: str  # noqa: N815


@dataclass
class Arrived:
    port: str


class Delayed(TypedDict):
    days: int


departed = Event("shipmentDeparted", Departed)
arrived = Event("shipmentArrived", Arrived)
delayed = Event("shipmentDelayed", Delayed)
bus = Bus()


# ── subscribers ─────────────────────────────────────────────────────────────────


@bus.on(departed, mode="serial", order=1)
async def notify(message: Message[Departed]) -> int:
    assert_type(message.payload, Departed)
    assert_type(message.payload.shipmentId, str)
    return message.attempt


@bus.on(arrived)
def to_port(message: Message[Arrived]) -> str:
    return message.payload.port


@bus.on("shipmentDeparted")
async def plain(message: Message) -> None:
    assert_type(message.payload, dict[str, Any])


@bus.on("shipmentDelayed", payload=Delayed)
async def delay(message: Message[Delayed]) -> None:
    assert_type(message.payload["days"], int)


@bus.on([departed, "shipmentArrived"], payload=Departed)
async def both(message: Message[Departed]) -> None: ...


@bus.on("*")
async def audit(message: Message[Any]) -> None: ...


@bus.command("resyncTracking", payload=Departed)
async def resync(message: Message[Departed]) -> dict[str, str]:
    return {"resynced": message.payload.shipmentId}


async def wants_arrived(message: Message[Arrived]) -> None: ...
async def wants_dict(message: Message) -> None: ...


bus.on(departed)(wants_arrived)  # type: ignore[arg-type]
bus.on(departed)(wants_dict)  # type: ignore[arg-type]
bus.on("shipmentDelayed", payload=Delayed)(wants_arrived)  # type: ignore[arg-type]
bus.command("resyncTracking", payload=Departed)(wants_arrived)  # type: ignore[arg-type]
bus.on(departed, mode="parallel")  # type: ignore[call-overload]
assert_type(bus.on(arrived, wants_arrived), Off)
bus.on(departed, wants_arrived)  # type: ignore[arg-type]
bus.on("shipmentArrived", wants_arrived, payload=Departed)  # type: ignore[arg-type]


# ── emit ────────────────────────────────────────────────────────────────────────


async def publish(connection: psycopg.Connection, own: psycopg.AsyncConnection) -> None:
    assert_type(await bus.emit(departed, Departed(shipmentId="S-42"), key="S-42"), Emitted)
    bus.emit(delayed, Delayed(days=2))
    bus.emit("shipmentDeparted", {"anything": 1})
    bus.emit("shipmentDeparted")
    bus.emit(departed, Arrived("NLRTM"))  # type: ignore[misc]
    bus.emit(departed, {"shipmentId": "S-42"})  # type: ignore[misc]
    bus.emit(departed)  # type: ignore[call-overload]
    bus.emit(delayed, {"hours": 2})  # type: ignore[misc]
    bus.emit("shipmentDeparted", later=3)  # type: ignore[call-overload]
    assert_type(bus.emit_within(connection, arrived, Arrived("NLRTM")), Emitted)
    assert_type(await bus.emit_within(own, arrived, Arrived("NLRTM")), Emitted)
    bus.emit_within(connection, arrived, Departed(shipmentId="S-42"))  # type: ignore[misc]


# ── follow ──────────────────────────────────────────────────────────────────────


async def follow() -> None:
    assert_type(bus.events(), Stream[dict[str, Any]])
    assert_type(bus.events(departed), Stream[Departed])
    assert_type(bus.events([departed, arrived]), Stream[Any])
    async for record in bus.events(departed):
        assert_type(record, Record[Departed])
    assert_type((await bus.once(arrived, lambda record: record.payload.port == "NLRTM")).payload, Arrived)
    bus.once(arrived, lambda record: record.payload.harbour == "NLRTM")  # type: ignore[attr-defined]
    assert_type((await bus.once(["shipmentDeparted"], timeout=1.0)).payload, dict[str, Any])
