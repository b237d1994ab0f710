"""Takes what carriers tell, works out what happened and says so. Who cares is none of its business."""

import http.client
import json
from typing import Any
from urllib.parse import urlencode

from pydantic import BaseModel, Field

from buslog import Message
from examples.freight.dcsa import TrackedEvent, newest
from examples.freight.shared import CARRIER_PORT, OUTSIDE_TIMEOUT, SOON, Shipment, bus

HAPPENED = {
    ("SHIPMENT", "CONF"): "bookingConfirmed",
    ("EQUIPMENT", "GTIN"): "containerGatedIn",
    ("EQUIPMENT", "LOAD"): "containerLoaded",
    ("TRANSPORT", "DEPA"): "shipmentDeparted",
    ("TRANSPORT", "ARRI"): "shipmentArrived",
    ("EQUIPMENT", "GTOT"): "shipmentDelivered",
}


class CarrierDown(Exception):
    """The carrier did not answer, or not in time."""


class ResyncTracking(BaseModel):
    """Which shipment to ask the carrier about."""

    shipment_id: str = Field(alias="shipmentId", min_length=1, description="For example S-1001")
    newest: int = Field(20, ge=1, le=100, description="How many events to ask for")


@bus.on("trackingReceived", retry=SOON, payload=Shipment)
async def work_out_what_happened(message: Message[Shipment]) -> dict[str, Any]:
    """Says what a carrier's events mean. A carrier that only rings without telling is asked."""
    shipment = message.payload
    if not shipment.events:
        await bus.emit("resyncTracking", {"shipmentId": shipment.shipment_id})
    for event in shipment.events:
        await bus.emit(what_happened(event), {"shipmentId": shipment.shipment_id, "event": event.as_sent})
    return {"happened": [what_happened(event) for event in shipment.events]}


def what_happened(event: TrackedEvent) -> str:
    """The name under which an event is told to the other modules."""
    return HAPPENED.get((event.kind, event.code), "trackingUpdated") if event.happened else "trackingUpdated"


@bus.command("resyncTracking", retry=SOON, payload=ResyncTracking)
def resync_tracking(message: Message[ResyncTracking]) -> dict[str, Any]:
    """Asks the carrier for everything it knows of a shipment."""
    asked = message.payload
    told = Shipment.model_validate(
        {"shipmentId": asked.shipment_id, "event": ask_carrier(asked.shipment_id, asked.newest)}
    )
    last = newest(told.events)
    if last is None:
        return {"shipmentId": asked.shipment_id, "events": 0}
    bus.emit("trackingUpdated", {"shipmentId": asked.shipment_id, "event": last.as_sent}).result()
    return {
        "shipmentId": asked.shipment_id,
        "events": len(told.events),
        "last": what_happened(last),
        "at": last.happened_at,
        "port": last.port,
        "vessel": last.vessel,
    }


def ask_carrier(shipment_id: str, limit: int) -> Any:
    """The carrier's events of a shipment, DCSA 3.0. Raises `CarrierDown`."""
    connection = http.client.HTTPConnection("127.0.0.1", CARRIER_PORT, timeout=OUTSIDE_TIMEOUT)
    try:
        connection.request("GET", "/v3/events?" + urlencode({"shipmentId": shipment_id, "limit": limit}))
        answer = connection.getresponse()
        body = answer.read()
    except TimeoutError:
        raise CarrierDown(f"the carrier did not answer within {OUTSIDE_TIMEOUT:g} s") from None
    except OSError as error:
        raise CarrierDown(f"the carrier cannot be reached: {error.strerror}") from None
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise CarrierDown(f"the carrier answered {answer.status} {answer.reason}")
    return json.loads(body)
