"""What the modules share: the bus, the payload of its events, a retry policy, where the outside world is."""

import os

from pydantic import BaseModel, Field

from buslog import Bus, RetryPolicy
from examples.freight.dcsa import Events

bus = Bus()

# Four attempts with 1, 2 and 4 seconds between them. With OUTSIDE_TIMEOUT, what fails has failed within 20 seconds.
SOON = RetryPolicy(max_attempts=4, first_delay=1, factor=2)
OUTSIDE_TIMEOUT = 2.0  # seconds

CARRIER_PORT = int(os.environ.get("FREIGHT_CARRIER_PORT", "8580"))
SMTP_PORT = int(os.environ.get("FREIGHT_SMTP_PORT", "8525"))


class Shipment(BaseModel):
    """`{"shipmentId": "S-1001", "event": <DCSA track-and-trace>}`; the event may be absent."""

    shipment_id: str = Field(alias="shipmentId", min_length=1)
    events: Events = Field(default=[], alias="event")
