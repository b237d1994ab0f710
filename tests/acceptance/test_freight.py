"""The freight example with real processes: its worker, its carrier, its mail server."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import time
from collections.abc import AsyncIterator

import pytest

from buslog.insights import Insights
from buslog.message import DeliveryRef
from examples.freight.outside import Carrier
from examples.freight.voyages import voyage, with_malformed_port
from tests.freight import EVERY_NAME, Freight, eventually, process, running
from tests.ports import free_port

SEND_MAIL = "examples.freight.emails:send_booking_request_asked"
RESYNC = "examples.freight.tracking:resync_tracking"


@pytest.fixture
async def freight(dsn18: str) -> AsyncIterator[Freight]:
    async with running(dsn18) as started:
        yield started


async def test_a_departure_emitted_by_sql_reaches_every_subscriber_and_its_thread_shows_what_followed(
    freight: Freight,
) -> None:
    message_id = freight.sql("""SELECT buslog.emit('shipmentDeparted', '{"shipmentId":"S-42"}')""")[0][0]
    rows = await freight.ended(message_id)

    reached = {row.subscription: row.state for row in rows if row.name == "shipmentDeparted"}
    assert reached == {
        f"examples.freight.{subscriber}": "succeeded"
        for subscriber in (
            "billing:collect_documents", "billing:issue_invoice", "billing:archive_file",
            "emails:tell_departure", "statuses:update_status", "tasks:create_pre_alert_task",
        )
    }  # fmt: skip
    followed = {row.name: row.state for row in rows if row.name != "shipmentDeparted"}
    assert followed == {
        "EMAIL_SendShipmentDepartedEmailCommand": "succeeded", "invoiceIssued": "unrouted", "taskCreated": "unrouted",
    }  # fmt: skip
    assert all(row.payload["shipmentId"] == "S-42" for row in rows)


async def test_every_subscriber_accepts_a_shipment_id_alone(freight: Freight) -> None:
    roots = [freight.emit(name, {"shipmentId": "S-42"}) for name in EVERY_NAME]
    roots += [freight.emit(name, {"shipmentId": "S-42", "event": None}) for name in EVERY_NAME]
    rows = [row for root in roots for row in await freight.ended(root)]

    subscribed = {row[0] for row in freight.sql("SELECT name FROM buslog.routes")}
    assert subscribed == set(EVERY_NAME)
    assert [row for row in rows if row.state not in {"succeeded", "unrouted"}] == []


async def test_what_carriers_tell_of_a_voyage_becomes_its_story(freight: Freight) -> None:
    told = freight.emit("trackingReceived", {"shipmentId": "S-42", "event": voyage("S-42", "2.2")})
    story = [row for row in await freight.ended(told) if row.subscription == "examples.freight.statuses:update_status"]

    assert [row.name for row in story] == [
        "bookingConfirmed", "containerGatedIn", "containerLoaded", "shipmentDeparted", "shipmentArrived",
        "shipmentDelivered",
    ]  # fmt: skip
    assert [row.payload["event"]["eventID"] for row in story] == [e["eventID"] for e in voyage("S-42", "2.2")]


async def test_customs_tasks_are_created_one_after_the_other(freight: Freight) -> None:
    rows = await freight.ended(freight.emit("shipmentArrived", {"shipmentId": "S-42"}))

    created = [row.payload["toDo"] for row in rows if row.name == "taskCreated"]
    assert created == ["file the customs declaration", "pay the duties", "book the truck"]


async def test_resync_tracking_returns_what_the_carrier_knows(freight: Freight) -> None:
    message_id = freight.operations.run_command("resyncTracking", {"shipmentId": "S-42", "newest": 3})
    await freight.ended(message_id)

    insights = Insights(freight.dsn)
    run = insights.command_runs("resyncTracking")[0]
    insights.close()
    last = voyage("S-42", "3.0")[-1]
    assert run.message_id == message_id
    assert json.loads(run.result or "") == {
        "shipmentId": "S-42", "events": 3, "last": "shipmentDelivered", "at": last["eventDateTime"],
        "port": last["eventLocation"]["UNLocationCode"], "vessel": None,
    }  # fmt: skip


async def test_what_the_outside_world_refuses_fails_soon_and_a_replay_mends_it(freight: Freight) -> None:
    freight.mail.refuses = lambda _: True
    freight.carrier.delay = lambda _: 60.0
    mailed = freight.operations.run_command("EMAIL_SendBookingRequestAskedEmailCommand", {"shipmentId": "S-42"})
    asked = freight.operations.run_command("resyncTracking", {"shipmentId": "S-42"})
    began = time.monotonic()
    (mail,), (resync,) = await freight.ended(mailed), await freight.ended(asked)

    assert time.monotonic() - began < 60
    assert (mail.state, mail.attempts, resync.state, resync.attempts) == ("failed", 4, "failed", 4)
    assert re.fullmatch(r"\S+@\S+: 450 .* try again later", mail.error or "")
    assert resync.error == "the carrier did not answer within 2 s"

    freight.mail.refuses = lambda _: False
    freight.carrier.delay = lambda _: 0.0
    freight.operations.replay([DeliveryRef(mailed, SEND_MAIL), DeliveryRef(asked, RESYNC)])
    rows = await freight.ended(mailed) + await freight.ended(asked)
    assert {row.state for row in rows} == {"succeeded"}


async def test_a_malformed_port_code_fails_at_once_and_names_the_field(freight: Freight) -> None:
    event = with_malformed_port(voyage("S-42", "3.0")[0])
    (row,) = await freight.ended(freight.emit("trackingReceived", {"shipmentId": "S-42", "event": event}))

    assert (row.state, row.attempts) == ("failed", 1)
    assert re.match(r"payload\.event\.0\.transportCall\.UNLocationCode: .* is no UN/LOCODE", row.error or "")


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM], ids=lambda stop: stop.name)
async def test_traffic_fills_an_empty_log_and_stops_quietly(freight: Freight, stop: signal.Signals) -> None:
    env = {**freight.env, "FREIGHT_CARRIER_PORT": str(free_port()), "FREIGHT_SMTP_PORT": str(free_port())}
    with process("-m", "examples.freight.traffic", env=env, output=subprocess.PIPE) as traffic:
        count = "SELECT count(DISTINCT key) >= 2 AND count(DISTINCT message_id) >= 25 FROM buslog.log"
        await eventually(lambda: freight.sql(count)[0][0], 60)
        traffic.send_signal(stop)
        output, errors = await asyncio.to_thread(traffic.communicate, timeout=30)

    assert (traffic.returncode, errors) == (0, "")
    assert output.startswith("Freight traffic: carrier on 127.0.0.1:")
    assert output.count("\n") == 1
    assert freight.sql("SELECT min(key) FROM buslog.log") == [("S-1001",)]


async def test_the_carrier_stops_quietly_in_the_middle_of_an_answer(caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    async with Carrier(lambda _: [], lambda _: 60.0).listening(port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /v3/events?shipmentId=S-42 HTTP/1.1\r\nHost: carrier\r\nConnection: close\r\n\r\n")
        await asyncio.sleep(0.5)

    assert (await reader.read()).endswith(b'{"events":[]}')
    assert caplog.text == ""
    writer.close()


async def test_traffic_goes_on_with_the_next_shipment_after_a_restart(freight: Freight) -> None:
    freight.emit("bookingRequestAsked", {"shipmentId": "S-1077"})
    env = {**freight.env, "FREIGHT_CARRIER_PORT": str(free_port()), "FREIGHT_SMTP_PORT": str(free_port())}
    with process("-m", "examples.freight.traffic", env=env):
        asked = "SELECT key FROM buslog.log WHERE name = 'bookingRequestAsked' AND key > 'S-1077'"
        rows = await eventually(lambda: freight.sql(asked), 60)

    assert rows[0] == ("S-1078",)


async def test_traffic_whose_port_is_taken_says_which_settings_to_change(freight: Freight) -> None:
    with process("-m", "examples.freight.traffic", env=freight.env, output=subprocess.PIPE) as traffic:
        output, errors = await asyncio.to_thread(traffic.communicate, timeout=20)

    assert (traffic.returncode, output) == (2, "")
    assert "FREIGHT_CARRIER_PORT" in errors
