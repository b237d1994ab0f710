"""The Message and the Key page in a real browser: what only a browser shows."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request

import pytest
from playwright.sync_api import Page, expect

from buslog.console import words
from buslog.notes import About, Notes
from tests.dashboard.conftest import Dashboard
from tests.dashboard.test_story import ANNA, EVIL


def test_a_thread_of_five_thousand_is_there_at_once_opens_where_one_clicks_and_back_leads_back(
    dashboard: Dashboard, page: Page
) -> None:
    bus = dashboard.bus
    root = bus.emit("bulkImport", key="BULK-9")
    bus.run(
        "SELECT buslog.emit('imported', '{}', 'BULK-' || n, causation_id => %s) FROM generate_series(1, 4990) n", root
    )
    bus.subscribe("mail.bulk", "lastOfBulk")
    bus.emit("lastOfBulk", caused_by=root)
    bus.work(**{"mail.bulk": "failed"})
    page.goto(f"{dashboard.address}/message?id={root}")
    expect(page.get_by_text("4,992 messages")).to_be_visible()
    assert page.get_by_role("link", name="imported", exact=True).count() < 100  # the others are told as a number
    trouble = page.get_by_text(words.THREAD_TROUBLES).get_by_role("link", name="lastOfBulk")
    expect(trouble).to_be_visible()
    page.get_by_role("link", name="4,932 more").click()
    expect(page.get_by_text(words.THREAD_ELSEWHERE)).to_be_visible()
    expect(page.get_by_role("heading", name="bulkImport")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("link", name="4,932 more")).to_be_visible()
    trouble.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text(words.THREAD_ELSEWHERE)).to_be_visible()
    expect(page.get_by_role("link", name="lastOfBulk")).to_have_count(2)


def test_an_edited_payload_is_sent_once_however_often_it_is_clicked(dashboard: Dashboard, page: Page) -> None:
    bus = dashboard.bus
    schema = {"type": "object", "properties": {"port": {"type": "string", "minLength": 5}}}
    bus.subscribe("mail.edit", "edited", schema=json.dumps(schema))
    old = bus.emit("edited", '{"shipmentId": "EDIT-1", "port": "NLRTX", "big": 12345678901234567890.10}')
    page.goto(f"{dashboard.address}/message?id={old}")
    page.get_by_role("button", name=words.EDIT).click()
    dialog = page.get_by_role("dialog")
    send = dialog.get_by_role("button", name=words.EDIT_SEND)
    expect(send).to_be_disabled()
    port = dialog.get_by_label("port")
    port.fill("NL")
    port.press("Enter")
    expect(dialog.get_by_text('− "NLRTX"')).to_be_visible()
    expect(dialog.get_by_text('+ "NL"', exact=True)).to_be_visible()
    send.click()
    expect(dialog.get_by_text("payload.port keeps the command's schema (minLength)")).to_be_visible()
    assert bus.run("SELECT count(*) FROM buslog.messages WHERE key = 'EDIT-1'") == [(1,)]
    dialog.get_by_text(words.EDIT_AS_JSON, exact=True).click()
    area = dialog.get_by_label("JSON", exact=True).last
    area.fill('{"port": "NLRTM",}')
    area.press("Control+Enter")
    expect(dialog.get_by_text(re.compile("This is not JSON: .*line 1, column"))).to_be_visible()
    expect(send).to_be_disabled()
    dialog.get_by_text(words.EDIT_BY_FIELD, exact=True).click()
    port.fill("NLRTM")
    port.press("Enter")
    expect(dialog.get_by_text('+ "NLRTM"')).to_be_visible()
    send.evaluate("button => { for (let i = 0; i < 4; i++) button.click() }")
    expect(page.get_by_text(words.EDIT_DONE)).to_be_visible()
    expect(dialog).to_be_hidden()
    expect(page.get_by_text("emit edited", exact=True)).to_be_visible()
    copies = bus.run("SELECT payload::text FROM buslog.messages WHERE causation_id = %s", old)
    assert [json.loads(row[0])["port"] for row in copies] == ["NLRTM"]
    assert "12345678901234567890.10" in copies[0][0]


def test_a_hostile_key_is_shown_as_it_is_and_loads_nothing(dashboard: Dashboard, page: Page) -> None:
    bus = dashboard.bus
    bus.subscribe(EVIL, EVIL)
    message = bus.emit(EVIL, json.dumps({EVIL: EVIL}), key=EVIL)
    bus.work(**{EVIL: "failed"})
    bus.run("UPDATE buslog.attempts SET error = %s WHERE message_id = %s", EVIL, message)
    Notes(bus.dsn, ANNA).add(About.KEY, EVIL, EVIL)
    page.goto(f"{dashboard.address}/message?id={message}")
    page.get_by_role("link", name=f"All of {EVIL}").click()
    expect(page.get_by_role("heading", name=f"shipmentId {EVIL}")).to_be_visible()
    expect(page.get_by_text(EVIL).nth(3)).to_be_visible()
    assert page.locator("img[src*='evil']").count() == 0
    page.get_by_role("link", name=EVIL, exact=True).first.click()
    expect(page.get_by_role("heading", name=f"Event {EVIL}")).to_be_visible()
    page.get_by_role("button", name=words.TICKET).click()
    expect(page.get_by_text(words.TICKET_MORE)).to_be_visible()
    assert page.locator("img[src*='evil']").count() == 0


def test_a_key_is_typed_and_back_leads_to_the_one_before(dashboard: Dashboard, page: Page) -> None:
    dashboard.bus.emit("typedFirst", key="TYPE-1")
    dashboard.bus.emit("typedSecond", key="TYPE-2")
    page.goto(f"{dashboard.address}/key?key=TYPE-1")
    expect(page.get_by_role("link", name="typedFirst")).to_be_visible()
    box = page.get_by_label("Type a shipmentId")
    box.fill("TYPE-2")
    box.press("Enter")
    expect(page.get_by_role("link", name="typedSecond")).to_be_visible()
    page.get_by_role("link", name="typedSecond").click()
    expect(page.get_by_role("heading", name="Event typedSecond")).to_be_visible()
    page.go_back()
    expect(box).to_have_value("TYPE-2")
    page.go_back()
    expect(page.get_by_role("link", name="typedFirst")).to_be_visible()
    expect(box).to_have_value("TYPE-1")


def test_a_message_fits_a_phone(dashboard: Dashboard, page: Page) -> None:
    bus = dashboard.bus
    bus.subscribe("freight.emails:notify_customer_about_departure", "phoned")
    message = bus.emit("phoned", json.dumps({"shipmentId": "PHONE-1", "text": "x" * 300}))
    bus.work(**{"freight.emails:notify_customer_about_departure": "failed"})
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{dashboard.address}/message?id={message}")
    expect(page.get_by_text("Bars are to scale")).to_be_visible()
    too_wide = page.evaluate(
        """() => [...document.querySelectorAll('[data-testid=stMain] *')].filter(
                 e => e.getBoundingClientRect().right > 391 && !e.closest('pre, [data-testid=stCode]')).length"""
    )
    assert too_wide == 0


def test_a_payload_is_given_whole_as_a_file(dashboard: Dashboard) -> None:
    message = dashboard.bus.emit("large", json.dumps({"text": "x" * 200_000, "n": 1}))
    with urllib.request.urlopen(f"{dashboard.address}/payload.json?id={message}", timeout=10) as answer:
        assert answer.headers["Content-Disposition"] == f'attachment; filename="{message}.json"'
        assert len(json.load(answer)["text"]) == 200_000
    for unknown, status in (("42", 400), ("019a3c5e-7f10-7abc-8def-0123456789ab", 404)):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{dashboard.address}/payload.json?id={unknown}", timeout=10)
        assert refused.value.code == status
        refused.value.close()
