"""The pictures of the dashboard in docs/pictures: `make screens`.

A month of the freight example is taken over as history, a worker makes the last minutes of it, and a person acts on
them; then every page is photographed, in light and dark, and the pages of those on duty as a phone shows them. Who is
what is drawn from one seed: taken again, the pictures tell the same story at another time.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import random
import shutil
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

from buslog import db
from buslog.alerting.model import Rule, RuleKind
from buslog.alerts import Alerts
from buslog.desk import Actor
from buslog.embedded import EmbeddedServer
from buslog.filter import Filter
from buslog.groups import Groups
from buslog.history import import_history
from buslog.insights import Insights
from buslog.message import DeliveryRef, State
from buslog.notes import About, Notes
from buslog.operations import Operations
from buslog.replays import Replays
from examples.freight.emails import CUSTOMERS, customer_of
from examples.freight.voyages import voyage
from tests import browser, freight
from tests.ports import free_port

FOLDER = Path(__file__).parents[1] / "docs" / "pictures"
SEED = 42
ANNA, BEN = Actor("local:anna", "dashboard"), Actor("local:ben", "cli")
DAYS = 30
SHIPMENTS = 4000
TRACKING = "examples.freight.tracking:work_out_what_happened"
STATUS = "examples.freight.statuses:update_status"
INVOICE = "examples.freight.billing:issue_invoice"
RESYNC = "examples.freight.tracking:resync_tracking"
SEND_BOOKING = "examples.freight.emails:send_booking_request_asked"
SETTINGS = {
    "BUSLOG_REF_FIELDS": "event.equipmentReference,event.documentReferences.*.documentReferenceValue",
    "BUSLOG_MASK_FIELDS": "to",
    "BUSLOG_VERSION": "1.4.0",
    "LOGNAME": "anna",  # who looks and acts
}
STORY = "S-6007"
ON_DUTY = ("overview", "failures", "message")
WIDE, PHONE = (1280, 900), (390, 844)
SETTLE_SECONDS = 1.2  # for charts and grids to be drawn once the script has ended

VOYAGE = (  # name, who reacts, hours after the one before
    ("bookingRequestAsked", STATUS, 0.0),
    ("bookingConfirmed", STATUS, 5.0),
    ("containerGatedIn", STATUS, 30.0),
    ("containerLoaded", STATUS, 12.0),
    ("shipmentDeparted", INVOICE, 4.0),
    ("shipmentArrived", STATUS, 190.0),
    ("shipmentDelivered", STATUS, 40.0),
)


# ── the month before ────────────────────────────────────────────────────────────


def history(now: datetime, chance: random.Random) -> Iterator[bytes]:
    """Voyages of a month, busier by day; some e-mails and resyncs failed, more of them on one bad afternoon."""
    for number in range(SHIPMENTS):
        shipment = f"S-{1001 + number}"
        at = now - timedelta(hours=chance.uniform(1, DAYS * 24))
        at = at.replace(hour=int(chance.triangular(5, 22, 13)))
        for name, subscription, hours in VOYAGE:
            at += timedelta(hours=hours * chance.uniform(0.7, 1.4))
            if at >= now - timedelta(minutes=5):
                break
            yield _line(name, shipment, at, [_ended(subscription, at, chance)])
            yield _line("trackingReceived", shipment, at - timedelta(seconds=2), [_ended(TRACKING, at, chance)])
            if name == "bookingRequestAsked":
                error = None
                if customer_of(shipment) == CUSTOMERS[0] and chance.random() < 0.12:
                    error = ("MailRefused", f"{CUSTOMERS[0]}: 450 4.2.1 mailbox busy, try again later")
                mail = _ended(SEND_BOOKING, at, chance, error)
                yield _line("EMAIL_SendBookingRequestAskedEmailCommand", shipment, at, [mail], kind="command")
            if chance.random() < 0.08:
                is_down = chance.random() < (0.5 if at.day % 9 == 0 else 0.06)
                error = ("CarrierDown", "the carrier did not answer within 2 s") if is_down else None
                yield _line("resyncTracking", shipment, at, [_ended(RESYNC, at, chance, error)], kind="command")


def _line(name: str, key: str, at: datetime, deliveries: list[dict[str, Any]], kind: str = "event") -> bytes:
    said = {"name": name, "kind": kind, "key": key, "emitted_at": at.isoformat(), "payload": {"shipmentId": key},
            "deliveries": deliveries}  # fmt: skip
    return json.dumps(said).encode() + b"\n"


def _ended(
    subscription: str, at: datetime, chance: random.Random, error: tuple[str, str] | None = None
) -> dict[str, Any]:
    done = {"subscription": subscription, "finished_at": (at + timedelta(seconds=chance.uniform(0.1, 2))).isoformat()}
    if error is None:
        return {**done, "state": "succeeded", "attempts": 1}
    return {**done, "state": "failed", "attempts": 4, "error_type": error[0], "error": error[1]}


# ── the last minutes ────────────────────────────────────────────────────────────


async def live(dsn: str, photograph: Photograph) -> None:
    """A worker, a carrier that is down for some, a mailbox that is full, and a person who acts; then the pictures."""
    chance = random.Random(SEED)
    async with freight.running(dsn) as at_work:
        at_work.mail.refuses = lambda recipient: recipient == CUSTOMERS[0]
        at_work.carrier.delay = lambda shipment: 10.0 if shipment.endswith(("7", "8", "9")) else 0.05
        asked = []
        for number in range(6001, 6014):
            shipment = f"S-{number}"
            at_work.emit("bookingRequestAsked", {"shipmentId": shipment})
            steps = voyage(shipment, chance.choice(("2.2", "3.0")))
            for step in steps[: chance.randrange(2, len(steps))]:
                at_work.emit("trackingReceived", {"shipmentId": shipment, "event": step})
            if number % 6 == 0:
                wrong = steps[0] | {
                    name: {"UNLocationCode": "ROTTERDAM"} for name in ("eventLocation", "transportCall")
                }
                at_work.emit("trackingReceived", {"shipmentId": shipment, "event": wrong})
            if number % 2:
                asked.append(at_work.emit("resyncTracking", {"shipmentId": shipment, "newest": 20}))
        story = at_work.emit("trackingReceived", {"shipmentId": STORY})
        for message in [*asked, story]:
            await at_work.ended(message, 60)
        run = await asyncio.to_thread(_act, dsn, asked)
        at_work.emit("shipmentDeparted", {"shipmentId": STORY})
        await asyncio.sleep(8)  # the run ends, refs are found, what fails again has tried twice
        with db.connect(dsn) as connection:
            (group,) = connection.execute(
                """SELECT fingerprint FROM buslog.failure_groups WHERE error_type = 'CarrierDown'
                   ORDER BY last_seen DESC LIMIT 1"""
            ).fetchone() or ("",)
        await asyncio.to_thread(photograph, {"message": str(asked[3]), "run": str(run), "group": str(group)})


def _act(dsn: str, asked: list[UUID]) -> int:
    """What a person did this morning; gives the number of the run."""
    Notes(dsn, ANNA).add(About.KEY, STORY, "The customer called: container is urgent, tell her when it is at sea.")
    Notes(dsn, ANNA).add(About.MESSAGE, str(asked[3]), "Carrier says their API is back at noon. Ticket OPS-512.")
    operations = Operations(dsn, ANNA)
    operations.replay([DeliveryRef(asked[3], RESYNC)], reason="the carrier says it is back")
    operations.run_command("resyncTracking", {"shipmentId": "S-6011", "newest": 5}, reason="the customer asks")
    Operations(dsn, BEN).pause(INVOICE, reason="new tariff from noon on")
    groups = Insights(dsn)
    mails = [g for g in groups.failure_groups(Filter()).groups if g.error_type == "MailRefused"]
    groups.close()
    Groups(dsn, BEN).acknowledge(mails[0].fingerprint, reason="asked the customer to raise the limit")
    Groups(dsn, BEN).assign(mails[0].fingerprint, "Ben")
    alerts = Alerts(dsn, ANNA)
    alerts.set_rule(Rule("Much fails", RuleKind.FAILURE_RATE, 0.05), is_new=True)
    alerts.set_rule(Rule("Nobody works", RuleKind.NO_WORKER, 60), is_new=True)
    desk = Replays(dsn, ANNA)
    frozen = desk.preview(Filter(names=("EMAIL_SendBookingRequestAskedEmailCommand",), states=(State.FAILED,)))
    return desk.start(frozen.run, reason="the mailbox was emptied", canary=2, rate=2, undo=0).id


# ── the pictures ────────────────────────────────────────────────────────────────

Photograph = Callable[[dict[str, str]], None]


def pages(of: dict[str, str]) -> dict[str, str]:
    """The address of each page by the name of its picture."""
    return {
        "overview": "", "failures": "failures", "failure-group": f"failures?group={of['group']}", "log": "log",
        "key": f"key?key={STORY}", "commands": "commands", "command": "commands?command=resyncTracking",
        "subscribers": "subscribers", "subscriber": f"subscribers?subscription={quote(RESYNC)}", "replays": "replays",
        "run": f"replays?run={of['run']}", "message": f"message?id={of['message']}", "audit": "audit",
        "alerts": "alerts", "permissions": "permissions",
    }  # fmt: skip


def photographer(dsn: str, folder: Path, wide: tuple[int, int]) -> Photograph:
    def photograph(of: dict[str, str]) -> None:
        with served(dsn) as address, sync_playwright() as playwright:
            opened = playwright.chromium.launch(executable_path=browser.installed(), args=["--no-sandbox"])
            for scheme in ("light", "dark"):
                for suffix, size, names in ((scheme, wide, tuple(pages(of))), (f"phone-{scheme}", PHONE, ON_DUTY)):
                    tab = opened.new_page(
                        viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, reduced_motion="reduce"
                    )
                    for name in names:
                        _take(tab, f"{address}/{pages(of)[name]}", folder / f"{name}-{suffix}.webp")
                    tab.close()
            opened.close()

    return photograph


def _take(tab: Page, address: str, file: Path) -> None:
    tab.goto(address)
    tab.get_by_text("Times in").wait_for()
    tab.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()
    expect(tab.get_by_test_id("stSkeleton")).to_have_count(0, timeout=30_000)  # of a chart whose code is on its way
    tab.wait_for_timeout(SETTLE_SECONDS * 1000)
    Image.open(io.BytesIO(tab.screenshot())).convert("RGB").save(file, quality=82, method=6)


@contextmanager
def served(dsn: str) -> Iterator[str]:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with freight.process("-m", "buslog", "dashboard", "--port", str(port), env={"BUSLOG_DSN": dsn}):
        give_up_at = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{address}/_stcore/health", timeout=1).close()
            except OSError:
                if time.monotonic() > give_up_at:
                    raise
                time.sleep(0.2)
            else:
                break
        yield address


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--height", type=int, default=WIDE[1], help="of the window at 1280 pixels")
    given = parser.parse_args()
    for name in [name for name in os.environ if name.startswith("BUSLOG_")]:
        del os.environ[name]
    os.environ.update(SETTINGS)
    given.folder.mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.gettempdir()) / "buslog-screens"  # its name is on the screens
    home.mkdir()
    server = EmbeddedServer(home / ".buslog")
    try:
        dsn = server.acquire()
        db.migrate(dsn)
        import_history(dsn, history(datetime.now(UTC), random.Random(SEED)), ANNA, origin="the old log")
        asyncio.run(live(dsn, photographer(dsn, given.folder, (WIDE[0], given.height))))
    finally:
        server.release()
        shutil.rmtree(home)


if __name__ == "__main__":
    main()
