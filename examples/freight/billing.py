"""What a departure is worth: documents, then the invoice, then the archive. Mode serial: each needs the one before."""

from zlib import crc32

from buslog import Message
from examples.freight.shared import SOON, Shipment, bus

DOCUMENTS = ("bill of lading", "packing list", "commercial invoice")


@bus.on("shipmentDeparted", mode="serial", order=1, retry=SOON, payload=Shipment)
async def collect_documents(message: Message[Shipment]) -> dict[str, list[str]]:
    """The papers of the voyage."""
    return {"documents": [f"{message.payload.shipment_id} {document}.pdf" for document in DOCUMENTS]}


@bus.on("shipmentDeparted", mode="serial", order=2, retry=SOON, payload=Shipment)
async def issue_invoice(message: Message[Shipment]) -> dict[str, str | int]:
    """Freight is due once the shipment is at sea. The number comes from the shipment: issued twice, it is the same."""
    shipment_id = message.payload.shipment_id
    invoice: dict[str, str | int] = {
        "shipmentId": shipment_id,
        "invoice": f"INV-{shipment_id}",
        "amount": 1200 + crc32(shipment_id.encode()) % 4000,
        "currency": "EUR",
    }
    await bus.emit("invoiceIssued", invoice)
    return invoice


@bus.on("shipmentDeparted", mode="serial", order=3, retry=SOON, payload=Shipment)
async def archive_file(message: Message[Shipment]) -> dict[str, str]:
    """Documents and invoice, kept for ten years."""
    return {"archived": f"/archive/{message.payload.shipment_id}.zip"}
