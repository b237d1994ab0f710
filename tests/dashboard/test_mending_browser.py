"""Mending in a real browser: one, many and all of a cause, sent, made due, cancelled and stopped; never by accident."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Locator, Page, expect

from buslog.console import words
from buslog.embedded import binaries
from buslog.insights import Verb
from tests.dashboard.conftest import Dashboard, dashboard_of, served
from tests.dashboard.hands import four_times, settled
from tests.dashboard.test_failures import fail as failures_of
from tests.dashboard.test_failures import group_of
from tests.dashboard.test_replays_browser import carry_on, dialog_of_all, fail

if TYPE_CHECKING:
    from tests.conftest import BusByHand, TestServer

OPERATING = Path(__file__).parents[2] / "docs/operating.md"


@pytest.fixture(scope="module")
def dashboard(server18: TestServer) -> Iterator[Dashboard]:
    with dashboard_of(server18, BUSLOG_MASK_FIELDS="*.email") as opened:
        yield opened


def ask_for_all(page: Page, address: str, verb: Verb) -> Locator:
    """Opens a list, folds out what can be done to all of it, and presses a verb; gives the dialog."""
    page.goto(address)
    expect(page.get_by_text(words.ALL_MATCHING)).to_be_visible()
    settled(page)
    page.get_by_text(words.ALL_MATCHING).click()
    page.get_by_role("button", name=re.compile(f"^{words.RUN_VERBS[verb]} all \\d")).click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text(words.FROZEN)).to_be_visible()
    return dialog


def generations(bus: BusByHand, key: str) -> list[tuple[int, int]]:
    """How many deliveries of a key were ever made, by generation."""
    return bus.run(
        """SELECT generation, count(*) FROM
           (SELECT message_id, generation FROM buslog.deliveries
            UNION ALL SELECT message_id, generation FROM buslog.ended_deliveries) AS d
           JOIN buslog.messages m ON m.id = d.message_id WHERE m.key = %s GROUP BY 1 ORDER BY 1""",
        key,
    )  # fmt: skip


def states(bus: BusByHand, key: str) -> dict[str, int]:
    return dict(bus.run("SELECT state, count(*) FROM buslog.log WHERE key = %s GROUP BY 1", key))


# ── one ─────────────────────────────────────────────────────────────────────────


def test_a_replay_sends_only_to_the_subscriber_that_failed(dashboard: Dashboard, page: Page) -> None:
    bus = dashboard.bus
    bus.subscribe("mail.only", "onlyFailed")
    bus.subscribe("task.only", "onlyFailed")
    message = bus.emit("onlyFailed", key="ONLY-1")
    bus.work(**{"mail.only": "failed"})
    page.goto(f"{dashboard.address}/message?id={message}")
    page.get_by_role("button", name="Replay", exact=True).click()  # the other one's says: Replay…
    expect(page.get_by_text("○ pending").first).to_be_visible()
    assert bus.run("SELECT s.subscription FROM buslog.deliveries JOIN buslog.subscriptions s ON s.id = subscription_id"
                   " WHERE message_id = %s", message) == [("mail.only",)]  # fmt: skip
    bus.work()
    expect(page.get_by_text("replayed once · last ok").first).to_be_visible()


def test_what_waits_for_its_next_attempt_is_made_due_now_and_charged_nothing(dashboard: Dashboard, page: Page) -> None:
    bus = dashboard.bus
    bus.subscribe("mail.due", "dueLater")
    message = bus.emit("dueLater", key="DUE-1")
    bus.emit("dueLater", key="DUE-2")
    bus.emit("dueLater", key="DUE-2")
    bus.work(**{"mail.due": "retrying"})
    page.goto(f"{dashboard.address}/message?id={message}")
    expect(page.get_by_text("Attempt 1 of 3 ended with CarrierTimeout. The next one is due in")).to_be_visible()
    page.get_by_role("button", name="Run now").click()
    expect(page.get_by_text("○ pending").first).to_be_visible()
    dialog = ask_for_all(page, f"{dashboard.address}/log?key=DUE-2", Verb.RUN_NOW)
    expect(dialog.get_by_text("charged no extra attempt")).to_be_visible()
    dialog.get_by_role("spinbutton", name=words.UNDO_FIELD).fill("0")
    dialog.get_by_role("button", name="Run now 2 deliveries").click()
    expect(page.get_by_role("heading", name="Run now · 2 deliveries")).to_be_visible()
    carry_on(bus, 2)
    assert states(bus, "DUE-2") == {"pending": 2}
    bus.work()
    attempts = "SELECT DISTINCT attempts FROM buslog.log WHERE key IN ('DUE-1', 'DUE-2')"
    assert bus.run(attempts) == [(2,)]


def test_what_has_succeeded_is_sent_again_only_with_a_reason_and_wears_its_mark(
    dashboard: Dashboard, page: Page
) -> None:
    bus = dashboard.bus
    bus.subscribe("mail.again", "sentAgain")
    message = bus.emit("sentAgain", key="AGAIN-1")
    bus.work()
    page.goto(f"{dashboard.address}/message?id={message}")
    page.get_by_role("button", name="Replay…").click()
    expect(page.get_by_text(words.SINGLE_AGAIN)).to_be_visible()
    send = page.get_by_role("button", name=words.SINGLE_SEND)
    send.click()
    expect(page.get_by_text(f"{words.RUN_REASON} {words.RUN_REASON_MISSING}")).to_be_visible()
    page.get_by_label(words.RUN_REASON, exact=True).fill("the customer never got it")
    send.click()
    expect(page.get_by_text(words.SURE_MISSING)).to_be_visible()
    assert generations(bus, "AGAIN-1") == [(1, 1)]
    page.get_by_text(words.SINGLE_SURE, exact=True).click()
    four_times(send)
    expect(page.get_by_text(words.MESSAGE_SENT_AGAIN, exact=True).first).to_be_visible()
    assert generations(bus, "AGAIN-1") == [(1, 1), (2, 1)]
    assert bus.run("SELECT reason FROM buslog.operations WHERE message_id = %s", message) == [
        ("the customer never got it",)
    ]
    bus.work()


def test_a_delivery_that_waits_is_cancelled_and_never_runs(dashboard: Dashboard, page: Page) -> None:
    bus = dashboard.bus
    bus.subscribe("mail.cancelled", "cancelledOne")
    message = bus.emit("cancelledOne", key="CANCEL-1")
    page.goto(f"{dashboard.address}/message?id={message}")
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("– cancelled").first).to_be_visible()
    expect(page.get_by_role("button", name="Cancel", disabled=True)).to_have_count(1)
    bus.work()
    assert states(bus, "CANCEL-1") == {"cancelled": 1}


# ── many ────────────────────────────────────────────────────────────────────────


def test_hopeless_failures_leave_with_a_reason_and_stay_in_the_log(dashboard: Dashboard, page: Page) -> None:
    bus = dashboard.bus
    fail(bus, "hopeless", 5)
    dialog = ask_for_all(page, f"{dashboard.address}/failures?show=deliveries&key=hopeless", Verb.CANCEL)
    dialog.get_by_role("spinbutton", name=words.UNDO_FIELD).fill("0")
    go = dialog.get_by_role("button", name="Cancel 5 deliveries")
    go.click()
    expect(dialog.get_by_text(f"{words.RUN_REASON} {words.RUN_REASON_MISSING}")).to_be_visible()
    dialog.get_by_label(words.RUN_REASON, exact=True).fill("the customer has left")
    go.click()
    expect(page.get_by_role("heading", name="Cancel · 5 deliveries")).to_be_visible()
    carry_on(bus, 3)
    expect(page.get_by_text(words.RUN_ENDED)).to_be_visible()
    page.goto(f"{dashboard.address}/failures?show=deliveries&key=hopeless&range=all")
    expect(page.get_by_text(words.NO_MATCHING_FAILURE)).to_be_visible()
    page.goto(f"{dashboard.address}/log?key=hopeless&state=cancelled")
    expect(page.get_by_text("5 rows:")).to_be_visible()


def test_a_preview_tells_what_is_left_out_superseded_and_caused_and_leaves_out_what_is_ticked(
    dashboard: Dashboard, page: Page
) -> None:
    bus = dashboard.bus
    bus.subscribe("mail.told", "toldBefore")
    bus.subscribe("invoice.told", "charged")
    bus.run("UPDATE buslog.subscriptions SET unsafe_to_replay = 'it charges twice' WHERE subscription = 'invoice.told'")
    first = bus.emit("toldBefore", key="TOLD-1")
    bus.emit("toldBefore", key="TOLD-2")
    bus.emit("charged", key="TOLD-2")
    bus.emit("mailed", caused_by=first)
    bus.work(**{"mail.told": "failed", "invoice.told": "failed"})
    bus.emit("toldBefore", key="TOLD-2")
    bus.work()
    address = f"{dashboard.address}/failures?show=deliveries&name=toldBefore&name=charged"
    dialog = ask_for_all(page, address, Verb.REPLAY)
    for told in ("1 left out", "are unsafe to replay: “it charges twice”", "1 superseded", "1 × mailed (event)",
                 "Oldest message (UTC)"):  # fmt: skip
        expect(dialog.get_by_text(told)).to_be_visible()
    dialog.get_by_text("Which").click()
    expect(dialog.get_by_role("link", name="toldBefore TOLD-2")).to_be_visible()
    dialog.get_by_text(words.FROM_A_TERMINAL).click()
    expect(dialog.get_by_text("buslog runs start")).to_be_visible()
    assert generations(bus, "TOLD-1") == [(1, 1)]
    dialog.get_by_text(words.SUPERSEDED_LEAVE).click()
    start(dialog, "2 deliveries")
    expect(page.get_by_role("heading", name="Replay · 1 delivery")).to_be_visible()
    carry_on(bus, 2)
    assert generations(bus, "TOLD-1") == [(1, 1), (2, 1)]
    assert generations(bus, "TOLD-2") == [(1, 3)]
    bus.work()


def test_a_canary_that_fails_stops_the_run_and_what_failed_again_is_sent_from_its_page(
    dashboard: Dashboard, page: Page
) -> None:
    bus = dashboard.bus
    fail(bus, "tried", 6)
    dialog = dialog_of_all(page, dashboard.address, "tried", 6)
    start(dialog, "6 deliveries", canary=2)
    carry_on_when_started(page, bus)
    expect(page.get_by_text(words.RUN_CANARY_WAITS.format(succeeded=0, open=2))).to_be_visible()
    bus.work(**{"mail.tried": "failed"})
    carry_on(bus, 3)
    expect(page.get_by_text("not all of the first 2 succeeded. 4 not sent").first).to_be_visible()
    settled(page)
    assert generations(bus, "tried") == [(1, 6), (2, 2)]
    for label, number in (("Failed before", "6"), ("Fail now", "2"), ("Settled", "2")):
        metric = page.get_by_test_id("stMetric").filter(has_text=label)
        expect(metric.get_by_test_id("stMetricValue")).to_have_text(number)
    page.get_by_role("button", name="✕ failed again 2").click()
    expect(page).to_have_url(re.compile("items=failed"))
    settled(page)
    page.get_by_role("button", name="Replay the 2 that failed again").click()
    dialog = page.get_by_role("dialog")
    start(dialog, "2 deliveries")
    expect(page.get_by_role("link", name="what failed again in run")).to_be_visible()
    carry_on(bus, 2)
    assert generations(bus, "tried") == [(1, 6), (2, 2), (3, 2)]
    bus.work()


def start(dialog: Locator, how_many: str, *, canary: int | None = None) -> None:
    """Starts the replay that a dialog previews, with nothing to undo."""
    if canary is not None:
        dialog.get_by_role("spinbutton", name=words.CANARY_FIELD).fill(str(canary))
    dialog.get_by_role("spinbutton", name=words.UNDO_FIELD).fill("0")
    dialog.get_by_role("button", name=f"Replay {how_many}").click()


def carry_on_when_started(page: Page, bus: BusByHand) -> None:
    expect(page).to_have_url(re.compile("/replays"))
    expect(page.get_by_role("heading", name="Replay · ")).to_be_visible()
    carry_on(bus)


def test_a_run_is_stopped_in_its_midst_with_a_reason_and_the_rest_stays_where_it_stood(
    dashboard: Dashboard, page: Page
) -> None:
    bus = dashboard.bus
    fail(bus, "stopped", 4)
    dialog = dialog_of_all(page, dashboard.address, "stopped", 4)
    start(dialog, "4 deliveries", canary=1)
    carry_on_when_started(page, bus)
    page.get_by_role("button", name="Stop…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label(words.RUN_REASON_OPTIONAL).fill("wrong filter")
    dialog.get_by_role("button", name=words.STOP).click()
    expect(page.get_by_text("3 not sent: they stand where they stood.")).to_be_visible()
    bus.work()
    carry_on(bus, 3)
    assert generations(bus, "stopped") == [(1, 4), (2, 1)]
    settled(page)
    page.get_by_role("link", name=words.ALL_RUNS).click()
    card = page.get_by_test_id("stVerticalBlock").filter(has_text="failed · stopped").last
    expect(card.get_by_text("1 of 4 settled")).to_be_visible()
    assert ("wrong filter",) in bus.run("SELECT reason FROM buslog.operations WHERE verb = 'stop'")


def test_a_cause_is_assigned_noted_and_all_of_it_is_replayed_and_nothing_else(dashboard: Dashboard, page: Page) -> None:
    bus = dashboard.bus
    bus.subscribe("mail", "caused")
    failures_of(bus, "the disk is full", key="CAUSED-1", name="caused", times=3)
    failures_of(bus, "no such customer", key="CAUSED-2", name="caused", times=2)
    cause = group_of(bus, "the disk is full")
    page.goto(f"{dashboard.address}/failures?group={cause.fingerprint}")
    expect(page.get_by_text("3 failed in the last 24 hours")).to_be_visible()
    expect(page.get_by_text(words.SINCE_RELEASE, exact=True)).to_be_visible()
    page.get_by_role("button", name=words.ASSIGN, exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label(words.CAUSE_PERSON).fill("Berta")
    dialog.get_by_role("button", name=words.ASSIGN, exact=True).click()
    expect(page.get_by_text("owner: Berta").first).to_be_visible()
    settled(page)
    page.get_by_role("button", name=words.WRITE_NOTE, exact=True).click()
    dialog.get_by_label(words.CAUSE_NOTE, exact=True).fill("ticket 118")
    dialog.get_by_role("button", name=words.SAVE, exact=True).click()
    expect(page.get_by_text("ticket 118").first).to_be_visible()
    settled(page)
    page.get_by_text(words.ALL_MATCHING).click()
    page.get_by_role("button", name="Replay all 3 that failed").click()
    start(dialog, "3 deliveries")
    carry_on_when_started(page, bus)
    carry_on(bus)
    assert generations(bus, "CAUSED-1") == [(1, 3), (2, 3)]
    assert generations(bus, "CAUSED-2") == [(1, 2)]
    bus.work()


# ── what is private ─────────────────────────────────────────────────────────────


def test_a_masked_value_is_shown_to_an_admin_with_a_reason_and_a_key_is_erased_once_it_is_typed(
    dashboard: Dashboard, page: Page
) -> None:
    bus = dashboard.bus
    mail = "anna.smith@example.org"
    message = bus.emit("private", f'{{"customer": {{"email": "{mail}"}}}}', key="PRIVATE-1")
    page.goto(f"{dashboard.address}/message?id={message}")
    page.get_by_role("button", name=words.UNMASK).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name=words.UNMASK).click()
    expect(dialog.get_by_text(words.REASON_IS_MISSING)).to_be_visible()
    expect(page.get_by_text(mail)).to_have_count(0)
    dialog.get_by_label(words.ITS_REASON).fill("ticket 12")
    dialog.get_by_role("button", name=words.UNMASK).click()
    expect(page.get_by_text(mail)).to_be_visible()
    page.goto(f"{dashboard.address}/key?key=PRIVATE-1")
    page.get_by_text(words.DANGER).click()
    page.get_by_role("button", name="Erase PRIVATE-1…").click()
    dialog.get_by_label(words.ITS_REASON).fill("request 118")
    dialog.get_by_label(re.compile("^Type the key")).fill("PRIVATE-2")
    erase = dialog.get_by_role("button", name="Erase 1 message")
    erase.click()
    expect(dialog.get_by_text(words.ERASE_TYPED_WRONG)).to_be_visible()
    dialog.get_by_label(re.compile("^Type the key")).fill("PRIVATE-1")
    erase.click()
    expect(page.get_by_text("1 message of PRIVATE-1 erased.")).to_be_visible()
    assert bus.run("SELECT payload ? 'erased' FROM buslog.messages WHERE id = %s", message) == [(True,)]
    done = bus.run("SELECT DISTINCT verb, reason FROM buslog.operations WHERE verb IN ('unmask', 'erase') ORDER BY 1")
    assert done == [("erase", "request 118"), ("unmask", "ticket 12")]


# ── what is kept ────────────────────────────────────────────────────────────────


def test_a_dump_that_is_restored_shows_the_same_log_and_goes_on(
    dashboard: Dashboard, server18: TestServer, page: Page, tmp_path: Path
) -> None:
    bus = dashboard.bus
    fail(bus, "kept", 3)
    waiting = bus.emit("kept", '{"a": 1}', key="kept")
    restored = server18.create(empty=True)
    in_operating = [line for line in OPERATING.read_text(encoding="utf-8").splitlines() if line.startswith("pg_")]
    for line in in_operating:
        command = line.replace("$OLD", bus.dsn).replace("$NEW", restored).replace("buslog.dump", f"{tmp_path}/dump")
        subprocess.run([binaries(18) / command.split()[0], *command.split()[1:]], check=True, timeout=60)
    with served(restored) as address:
        page.goto(f"{address}/log?key=kept")
        expect(page.get_by_text("4 rows:")).to_be_visible()
        page.goto(f"{address}/message?id={waiting}")
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_text("– cancelled").first).to_be_visible()
        page.goto("about:blank")
    again = type(bus)(restored)
    again.subscribe("mail.kept", "kept")
    again.emit("kept", key="kept")
    again.work()
    assert states(again, "kept") == {"failed": 3, "cancelled": 1, "succeeded": 1}
    assert states(bus, "kept") == {"failed": 3, "pending": 1}
    bus.work()
    server18.drop(restored)
