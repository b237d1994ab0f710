"""Where a shipment stands. The publisher goes on when this is known: mode sync."""

from typing_extensions import TypedDict

from buslog import Message
from examples.freight.dcsa import newest
from examples.freight.shared import SOON, Shipment, bus

STATUS_AFTER = {
    "bookingRequestAsked": "booking requested",
    "bookingConfirmed": "booked",
    "containerGatedIn": "at the terminal",
    "containerLoaded": "on board",
    "shipmentDeparted": "at sea",
    "shipmentArrived": "arrived",
    "shipmentDelivered": "delivered",
}


class Status(TypedDict):
    """What the shipment's page shows."""

    status: str
    port: str | None
    since: str


@bus.on(list(STATUS_AFTER), mode="sync", retry=SOON, payload=Shipment)
async def update_status(message: Message[Shipment]) -> Status:
    """The shipment's page shows its new status before the publisher goes on."""
    event = newest(message.payload.events)
    return {
        "status": STATUS_AFTER[message.name],
        "port": event.port if event else None,
        "since": (event.happened_at if event else message.emitted_at).isoformat(),
    }


@bus.on("trackingUpdated", retry=SOON, payload=Shipment)
async def note_position(message: Message[Shipment]) -> dict[str, str | None]:
    """Where it was last seen; its status stays what it was. Nobody waits for this."""
    event = newest(message.payload.events)
    return {"lastSeen": event.port if event else None}
