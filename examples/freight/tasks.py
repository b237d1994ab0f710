"""To-dos of the operators. The customs of an arrival are one after the other: mode serial."""

from buslog import Message
from examples.freight.shared import SOON, Shipment, bus


@bus.on("shipmentDeparted", retry=SOON, payload=Shipment)
async def create_pre_alert_task(message: Message[Shipment]) -> dict[str, str]:
    """The agent at the port of arrival is to be told what is coming."""
    return await create_task(message.payload.shipment_id, "send the pre-alert to the agent")


@bus.on("shipmentArrived", mode="serial", order=1, retry=SOON, payload=Shipment)
async def create_declaration_task(message: Message[Shipment]) -> dict[str, str]:
    """Customs want the declaration first."""
    return await create_task(message.payload.shipment_id, "file the customs declaration")


@bus.on("shipmentArrived", mode="serial", order=2, retry=SOON, payload=Shipment)
async def create_duties_task(message: Message[Shipment]) -> dict[str, str]:
    """Duties are known once the declaration is."""
    return await create_task(message.payload.shipment_id, "pay the duties")


@bus.on("shipmentArrived", mode="serial", order=3, retry=SOON, payload=Shipment)
async def create_delivery_task(message: Message[Shipment]) -> dict[str, str]:
    """What customs released can be delivered."""
    return await create_task(message.payload.shipment_id, "book the truck")


async def create_task(shipment_id: str, to_do: str) -> dict[str, str]:
    """Puts it on the operators' list, and says so."""
    task = {"shipmentId": shipment_id, "toDo": to_do}
    await bus.emit("taskCreated", task)
    return task
