"""The e-mails to customers. Subscribers decide that one is due; a command sends it, and can be sent again by itself."""

import smtplib
from email.message import EmailMessage
from typing import Any
from zlib import crc32

from pydantic import BaseModel, Field

from buslog import Message
from examples.freight.shared import OUTSIDE_TIMEOUT, SMTP_PORT, SOON, Shipment, bus

SENDER = "desk@forwarder.example"
CUSTOMERS = ("import@harbour.example", "logistics@tulip.example", "desk@nordkap.example", "ops@levant.example")


class MailRefused(Exception):
    """The mail server is not there, or does not take this mail now."""


class CustomerEmail(BaseModel):
    """Which shipment the e-mail is about, and who gets it."""

    shipment_id: str = Field(alias="shipmentId", min_length=1, description="For example S-1001")
    to: str = Field("", pattern=r"^([^@\s]+@[^@\s]+)?$", description="Empty: the shipment's customer")


@bus.on("bookingRequestAsked", retry=SOON, payload=Shipment)
async def confirm_booking_request(message: Message[Shipment]) -> None:
    """The customer gets a confirmation that the booking request was asked."""
    await bus.emit("EMAIL_SendBookingRequestAskedEmailCommand", {"shipmentId": message.payload.shipment_id})


@bus.on("shipmentDeparted", retry=SOON, payload=Shipment)
async def tell_departure(message: Message[Shipment]) -> None:
    """The customer is told that the shipment is at sea."""
    await bus.emit("EMAIL_SendShipmentDepartedEmailCommand", {"shipmentId": message.payload.shipment_id})


@bus.command("EMAIL_SendBookingRequestAskedEmailCommand", retry=SOON, payload=CustomerEmail)
def send_booking_request_asked(message: Message[CustomerEmail]) -> dict[str, str]:
    """Sends one e-mail: we have asked the carrier to book your shipment."""
    return send(message, "Your booking request", "we have asked the carrier to book your shipment")


@bus.command("EMAIL_SendShipmentDepartedEmailCommand", retry=SOON, payload=CustomerEmail)
def send_shipment_departed(message: Message[CustomerEmail]) -> dict[str, str]:
    """Sends one e-mail: your shipment has departed."""
    return send(message, "Your shipment is at sea", "your shipment has departed")


def send(message: Message[CustomerEmail], subject: str, text: str) -> dict[str, str]:
    """One mail by SMTP. Every retry carries the same Message-ID, so that a mailbox can tell. Raises `MailRefused`."""
    shipment_id = message.payload.shipment_id
    mail = EmailMessage()
    mail["From"] = SENDER
    mail["To"] = message.payload.to or customer_of(shipment_id)
    mail["Subject"] = f"{subject} {shipment_id}"
    mail["Message-ID"] = f"<{message.idempotency_key}@forwarder.example>".replace(":", ".")
    mail.set_content(f"Dear customer,\n\n{text}: {shipment_id}.\n")
    try:
        with smtplib.SMTP("127.0.0.1", SMTP_PORT, "forwarder.example", OUTSIDE_TIMEOUT) as server:
            server.send_message(mail)
    except smtplib.SMTPRecipientsRefused as error:
        raise MailRefused("; ".join(f"{who}: {_answer(answer)}" for who, answer in error.recipients.items())) from None
    except smtplib.SMTPResponseException as error:
        raise MailRefused(_answer((error.smtp_code, error.smtp_error))) from None
    except OSError as error:
        raise MailRefused(f"the mail server cannot be reached: {error.strerror or error}") from None
    return {"to": mail["To"], "subject": mail["Subject"], "messageId": mail["Message-ID"]}


def customer_of(shipment_id: str) -> str:
    """Who ships it: always the same for one shipment."""
    return CUSTOMERS[crc32(shipment_id.encode()) % len(CUSTOMERS)]


def _answer(answer: tuple[int, Any]) -> str:
    code, text = answer
    return f"{code} {text.decode(errors='replace') if isinstance(text, bytes) else text}"
