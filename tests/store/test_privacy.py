"""Masking at the reads, unmask, erasure, the audit, duty: on the database."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import tracemalloc
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from buslog import Bus, db
from buslog.alerting.model import FoundGroup
from buslog.alerting.texts import new_groups
from buslog.config import Settings
from buslog.desk import Actor
from buslog.duty import Duty
from buslog.errors import InvalidMessage, NotFound, OperationRefused, RoleTooLow
from buslog.export import CHUNK, Format, stream, stream_audit
from buslog.filter import Filter, Range
from buslog.insights import AuditCursor, AuditFilter, Insights
from buslog.insights.curtain import Curtain
from buslog.masking import MASKED
from buslog.message import DeliveryRef
from buslog.operations import Operations
from buslog.people import People
from buslog.privacy import Privacy
from buslog.replays import Replays
from buslog.rights import Role
from buslog.views import Views

if TYPE_CHECKING:
    from tests.conftest import BusByHand

MAIL = "anna.smith@example.org"
PAYLOAD = json.dumps({"shipmentId": "S-1", "customer": {"email": MAIL}, "remark": f"ask {MAIL}"})
WHY = "the customer asked for it"


@pytest.fixture
def privacy(dsn: str) -> Privacy:
    return Privacy(dsn, Actor("local:tester", "cli"))


def mask(by_hand: BusByHand, *fields: str) -> None:
    by_hand.run("UPDATE buslog.settings SET mask_fields = %s", list(fields))


def fail_with(by_hand: BusByHand, error: str, *, result: str | None = None) -> None:
    by_hand.work(**{"mail.notify": "failed"})
    by_hand.run("UPDATE buslog.ended_deliveries SET error = %s, result = %s::text::jsonb", error, result)
    by_hand.run("UPDATE buslog.attempts SET error = %s", error)


def told(insights: Insights, message_id: UUID) -> list[str]:
    """Every text that the reads give of a message."""
    message = insights.message(message_id)
    assert message is not None
    deliveries = insights.deliveries(message_id)
    texts = [message.payload, *(str(delivery.error) + str(delivery.result) for delivery in deliveries)]
    texts += [attempt.error for attempt in insights.attempts(message_id)]
    texts += [str(row.last_error) for row in insights.page(Filter()).rows]
    texts += [group.sample for group in insights.failure_groups(Filter()).groups]
    texts += [str(insights.failure_sample(group.fingerprint)) for group in insights.failure_groups(Filter()).groups]
    texts += [str(insights.payload(message_id)), str(insights.thread(message.correlation_id, message_id))]
    if message.key:
        texts += [str(insights.key_page(message.key)), str(insights.key_now(message.key))]
    return texts + [f"{run.error}{run.result}" for run in insights.command_runs(message.name)]


# ── masking ─────────────────────────────────────────────────────────────────────


def test_no_read_gives_a_masked_value_and_unmasking_one_message_gives_that_alone(
    by_hand: BusByHand, insights: Insights
) -> None:
    by_hand.subscribe("mail.notify", "sendMail", kind="command")
    one, other = (by_hand.emit("sendMail", PAYLOAD) for _ in range(2))
    fail_with(by_hand, f"no mailbox {MAIL}", result=json.dumps({"to": MAIL}))
    assert len([text for text in told(insights, one) if MAIL in text]) == 12
    mask(by_hand, "*.email")
    insights = Insights(by_hand.dsn)
    assert [text for text in told(insights, one) if MAIL in text] == []
    assert MASKED in insights.page(Filter()).rows[0].last_error  # type: ignore[operator]
    message = insights.message(one)
    assert message is not None
    assert message.is_masked
    assert '"shipmentId": "S-1"' in message.payload
    seeing = insights.unmasking([one])
    assert MAIL in "".join(told(seeing, one))
    assert [text for text in told(seeing, other)[:3] if MAIL in text] == []
    assert [row.last_error for row in seeing.page(Filter()).rows] == [f"no mailbox {MASKED}", f"no mailbox {MAIL}"]
    assert [text for text in told(insights, one) if MAIL in text] == [], "the other readers see no more than before"
    insights.close()


def test_the_error_of_a_payload_too_long_to_read_for_a_list_is_hidden_whole(by_hand: BusByHand) -> None:
    by_hand.subscribe("mail.notify", "departed")
    noise = "".join(str(hash((number, "x"))) for number in range(9000))
    by_hand.emit("departed", json.dumps({"email": MAIL, "noise": noise}))
    fail_with(by_hand, f"no mailbox {MAIL}")
    mask(by_hand, "email")
    insights = Insights(by_hand.dsn)
    assert [row.last_error for row in insights.page(Filter()).rows] == [MASKED]
    insights.close()


def test_what_is_erased_while_a_page_is_read_is_masked_in_it_all_the_same(
    by_hand: BusByHand, privacy: Privacy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The payload says what to hide in the error: both are read in one snapshot."""
    by_hand.subscribe("mail.notify", "departed")
    by_hand.emit("departed", PAYLOAD, key="S-1")
    fail_with(by_hand, f"no mailbox {MAIL}")
    mask(by_hand, "*.email")
    insights = Insights(by_hand.dsn)
    assert insights.mask().fields  # known, as to any page but the first
    payloads = Curtain._payloads

    def erase_first(*arguments: Any, **choices: Any) -> Any:
        privacy.erase("S-1", typed="S-1", reason=WHY)
        return payloads(*arguments, **choices)

    monkeypatch.setattr(Curtain, "_payloads", erase_first)
    assert [row.last_error for row in insights.page(Filter()).rows] == [f"no mailbox {MASKED}"]
    insights.close()


def test_under_a_mask_the_story_of_a_key_tells_messages_that_nothing_became_of(
    by_hand: BusByHand, insights: Insights
) -> None:
    mask(by_hand, "email")
    lonely = by_hand.emit("noted", '{"email": "anna@example.com"}', "S-42")
    page = insights.key_page("S-42")
    assert [message.id for message in page.messages] == [lonely]
    assert page.stories[lonely].runs == []


def test_an_export_has_no_masked_value_in_payloads_and_errors_and_is_otherwise_what_it_was(by_hand: BusByHand) -> None:
    by_hand.subscribe("mail.notify", "departed")
    by_hand.emit("departed", json.dumps({"shipmentId": "=1+1", "customer": {"email": MAIL}, "big": 2**70}))
    other = by_hand.emit("departed", '{"shipmentId": "S-2", "rate": 1.10}')
    fail_with(by_hand, f'no mailbox "{MAIL}"\nat all, sorry')
    by_hand.run("UPDATE buslog.ended_deliveries SET error = '-5' WHERE message_id = %s", other)
    before = list(csv.reader(io.StringIO(b"".join(stream(by_hand.dsn, Filter())).decode())))
    assert MAIL in str(before)
    lines = [json.loads(line) for line in b"".join(stream(by_hand.dsn, Filter(), Format.JSON)).splitlines()]
    mask(by_hand, "*.email")
    file = b"".join(stream(by_hand.dsn, Filter())).decode()
    masked_lines = b"".join(stream(by_hand.dsn, Filter(), Format.JSON)).decode()
    assert MAIL not in file + masked_lines
    after = list(csv.reader(io.StringIO(file)))
    assert after == [[cell.replace(MAIL, MASKED) for cell in cells] for cells in before]
    again = [json.loads(line) for line in masked_lines.splitlines()]
    assert again[1] == json.loads(json.dumps(lines[1]).replace(MAIL, MASKED))
    assert '"rate": 1.10' in masked_lines


async def test_the_setting_of_any_process_counts_for_every_reader_and_a_change_is_audited(
    dsn: str, connection: db.Connection
) -> None:
    for fields in (("customer.email",), ("customer.email",), None, ("*.email",)):
        async with Bus(settings=Settings(dsn=dsn, mask_fields=fields), host=False):
            pass
    insights = Insights(dsn)
    assert insights.mask().fields == ("*.email",)
    insights.close()
    audit = connection.execute("SELECT verb, outcome FROM buslog.operations ORDER BY id").fetchall()
    assert audit == [
        ("mask", {"from": [], "to": ["customer.email"]}),
        ("mask", {"from": ["customer.email"], "to": ["*.email"]}),
    ]


def test_unmask_wants_a_reason_and_is_audited(by_hand: BusByHand, privacy: Privacy, connection: db.Connection) -> None:
    message_id = by_hand.emit("departed", PAYLOAD, key="S-1")
    with pytest.raises(OperationRefused) as refused:
        privacy.unmask(message_id, reason=" ")
    assert refused.value.field == "reason"
    with pytest.raises(NotFound):
        privacy.unmask(UUID(int=1), reason=WHY)
    privacy.unmask(message_id, reason=WHY)
    rows = connection.execute("SELECT actor, verb, message_id, reason, outcome FROM buslog.operations").fetchall()
    assert rows == [("local:tester", "unmask", message_id, WHY, {"name": "departed", "key": "S-1"})]


def test_a_masked_export_keeps_its_memory_flat(by_hand: BusByHand) -> None:
    by_hand.run(
        """INSERT INTO buslog.messages (id, kind, routed, emitted_at, correlation_id, name, source, payload)
           SELECT id, 'event', 0, now(), id, 'filler', 'sql',
                  jsonb_build_object('email', 'a' || n, 'x', repeat('x', 300))
           FROM generate_series(1, 20000) AS n,
               LATERAL (SELECT buslog.new_id(now() + n * interval '1 us') AS id)"""
    )  # fmt: skip
    mask(by_hand, "email")
    tracemalloc.start()
    sizes = [len(chunk) for chunk in stream(by_hand.dsn, Filter())]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(sizes) > 7_000_000
    assert max(sizes) < 2 * CHUNK
    assert peak < 3_000_000


# ── erase ───────────────────────────────────────────────────────────────────────


def everything(connection: db.Connection) -> str:
    """All that the tables say of messages, as one text."""
    tables = ("messages", "ended_deliveries", "attempts", "operations", "deliveries", "replays", "replay_items")
    return "\n".join(
        str(connection.execute(f"SELECT to_jsonb(t) FROM buslog.{table} t").fetchall()) for table in tables
    )


def test_an_erasure_takes_payload_errors_and_results_and_leaves_ids_times_states_and_the_audit(
    by_hand: BusByHand, privacy: Privacy, connection: db.Connection, insights: Insights
) -> None:
    by_hand.subscribe("mail.notify", "departed")
    erased = [by_hand.emit("departed", PAYLOAD, key="S-1") for _ in range(3)]
    kept = by_hand.emit("departed", '{"shipmentId": "S-2", "secret": "keep-me"}', key="S-2")
    by_hand.run("UPDATE buslog.deliveries SET attempt = 0")
    fail_with(by_hand, f"no mailbox {MAIL}", result=json.dumps({"to": MAIL}))
    before = [(row.message_id, row.state, row.finished_at, row.attempts) for row in insights.page(Filter()).rows]
    done = privacy.erase("S-1", typed="S-1", reason=WHY)
    assert (done.messages, done.deliveries, done.attempts, done.left) == (3, 3, 3, 0)
    connection.execute("DELETE FROM buslog.ended_deliveries WHERE message_id = %s", (kept,))
    connection.execute("DELETE FROM buslog.attempts WHERE message_id = %s", (kept,))
    text = everything(connection)
    assert MAIL not in text
    assert "secret" in text
    assert "Traceback" not in text
    after = [(row.message_id, row.state, row.finished_at, row.attempts) for row in insights.page(Filter()).rows]
    assert [row for row in before if row[0] != kept] == [row for row in after if row[0] != kept]
    message = insights.message(erased[0])
    assert message is not None
    assert json.loads(message.payload).keys() == {"erased"}
    (delivery,) = insights.deliveries(erased[0])
    assert (delivery.error_type, str(delivery.error)[:7]) == ("CarrierTimeout", "erased ")
    audit = connection.execute("SELECT verb, reason, outcome FROM buslog.operations ORDER BY id").fetchall()
    assert audit == [
        ("erase", WHY, {"key": "S-1", "begun": 3}),
        ("erase", WHY, {"key": "S-1", "messages": 3, "deliveries": 3, "attempts": 3, "views": 0, "left": 0}),
    ]


def test_an_erased_key_is_left_in_no_saved_view(by_hand: BusByHand, privacy: Privacy, insights: Insights) -> None:
    by_hand.emit("departed", PAYLOAD, key="S-1")
    views = Views(by_hand.dsn, Actor("local:tester", "cli"))
    asked = {
        "key": Filter(key="S-1"), "many": Filter(find=("S-2", "s-1", "S-11")), "alone": Filter(find=("S-1",)),
        "error": Filter(error_text="no S-1 there"), "payload": Filter(payload='{"shipmentId": "S-1"}'),
        "other": Filter(key="S-11"),
    }  # fmt: skip
    for name, filter_ in asked.items():
        views.save(name, filter_)
    long = views.keep(Filter(find=("S-1", "S-3")))
    by_hand.run("INSERT INTO buslog.saved_views (name, filter, who) VALUES ('bad', 'state=fialed', 'ben')")
    assert privacy.erase("S-1", typed="S-1", reason=WHY).views == 6
    left = {view.name: view.filter for view in insights.views("local:tester")}
    assert left == {"many": Filter(find=("S-2", "S-11")), "other": Filter(key="S-11")}
    with pytest.raises(NotFound):
        insights.view(long)


@pytest.mark.parametrize(("key", "word"), [("S-1 (b)", "carrier"), ("ok", "ok")], ids=["long", "short"])
def test_an_erased_key_is_left_in_no_alert_and_no_cause(
    by_hand: BusByHand, privacy: Privacy, connection: db.Connection, key: str, word: str
) -> None:
    by_hand.subscribe("mail.notify", "departed")
    by_hand.emit("departed", PAYLOAD, key=key)
    fail_with(by_hand, "of no use")
    by_hand.run("SELECT buslog.fold_failures(100)")
    by_hand.run("UPDATE buslog.failure_groups SET pattern = %s, note = %s", f"no {key}, {word}s", f"ask {key}.")
    found = [FoundGroup("f", "mail", "E", 2, None, "m", key), FoundGroup("g", "mail", "F", 1, None, "n", "S-1 (bc)")]
    what = new_groups(found, "shipmentId")
    by_hand.run(
        """WITH fired AS (INSERT INTO buslog.alerts (rule, what, groups, since, fired_at, told_at)
                          VALUES ('new', %s, %s::text::jsonb, now(), now(), now()) RETURNING id)
           INSERT INTO buslog.alert_notices (alert_id, channel, occasion, title, body, made_at, due_at, is_held)
           SELECT id, 'ops', 'fired', 't', %s, now(), now(), false FROM fired""",
        what, json.dumps([asdict(group) for group in found]), f"{what}.",
    )  # fmt: skip
    privacy.erase(key, typed=key, reason=WHY)
    told = what.replace(f" {key})", " erased)")
    assert "(1, shipmentId S-1 (bc))" in told
    row = connection.execute("SELECT a.what, n.body, a.groups FROM buslog.alerts a, buslog.alert_notices n").fetchone()
    assert row == (told, f"{told}.", [asdict(replace(found[0], key=None)), asdict(found[1])])
    group = connection.execute("SELECT pattern, note FROM buslog.failure_groups").fetchone()
    assert group == (f"no …, {word}s", "ask ….")


def test_an_erasure_in_steps_that_is_broken_off_is_carried_on(
    by_hand: BusByHand, privacy: Privacy, connection: db.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("buslog.privacy.STEP", 2)
    for _ in range(5):
        by_hand.emit("departed", PAYLOAD, key="S-1")

    def break_off(done: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        privacy.erase("S-1", typed="S-1", reason=WHY, progress=break_off)
    erased = "SELECT count(*) FILTER (WHERE payload ? 'erased'), count(*) FROM buslog.messages"
    assert connection.execute(erased).fetchone() == (4, 5)
    assert privacy.erase("S-1", typed="S-1", reason=WHY).messages == 1
    assert connection.execute(erased).fetchone() == (5, 5)
    with pytest.raises(OperationRefused) as again:
        privacy.erase("S-1", typed="S-1", reason=WHY)
    assert again.value.rule == "has something to erase"


def test_an_erasure_is_refused_without_a_reason_or_the_typed_key_and_while_anything_is_unfinished(
    by_hand: BusByHand, privacy: Privacy, connection: db.Connection
) -> None:
    by_hand.subscribe("mail.notify", "departed")
    message_id = by_hand.emit("departed", PAYLOAD, key="S-1")
    for typed, reason, field in (("s-1", WHY, "typed"), ("S-1", "", "reason"), ("S-1", WHY, "key")):
        with pytest.raises(OperationRefused) as refused:
            privacy.erase("S-1", typed=typed, reason=reason)
        assert refused.value.field == field
    assert "Cancel them first" in refused.value.mend
    with pytest.raises(NotFound):
        privacy.erase("S-9", typed="S-9", reason=WHY)
    assert MAIL in everything(connection)
    Operations(by_hand.dsn, Actor("local:tester", "cli")).cancel([DeliveryRef(message_id, "mail.notify")])
    assert privacy.erase("S-1", typed="S-1", reason=WHY).messages == 1
    assert MAIL not in everything(connection)


def test_an_erasure_waits_for_stored_runs_and_forgets_previews_of_what_it_erased(
    by_hand: BusByHand, privacy: Privacy, connection: db.Connection
) -> None:
    by_hand.subscribe("mail.notify", "departed")
    by_hand.emit("departed", PAYLOAD, key="S-1")
    by_hand.work(**{"mail.notify": "failed"})
    replays = Replays(by_hand.dsn, Actor("local:tester", "cli"))
    started = replays.preview(Filter(key="S-1")).run
    replays.start(started)
    previewed = replays.preview(Filter(key="S-1")).run
    with pytest.raises(OperationRefused) as refused:
        privacy.erase("S-1", typed="S-1", reason=WHY)
    assert refused.value.was == f"run {started}"
    replays.stop(started)
    privacy.erase("S-1", typed="S-1", reason=WHY)
    with pytest.raises(NotFound):
        replays.start(previewed)


def test_what_is_erased_cannot_be_replayed(by_hand: BusByHand, privacy: Privacy) -> None:
    by_hand.subscribe("mail.notify", "departed")
    message_id = by_hand.emit("departed", PAYLOAD, key="S-1")
    by_hand.work(**{"mail.notify": "failed"})
    privacy.erase("S-1", typed="S-1", reason=WHY)
    with pytest.raises(OperationRefused) as refused:
        Operations(by_hand.dsn, Actor("local:tester", "cli")).replay([DeliveryRef(message_id, "mail.notify")])
    assert refused.value.rule == "has its payload still"
    preview = Replays(by_hand.dsn, Actor("local:tester", "cli")).preview(Filter(key="S-1"))
    assert (preview.eligible, dict(preview.skipped)["erased"].value) == (0, 1)


def test_an_operator_may_neither_unmask_nor_erase_and_the_attempt_is_in_the_audit(
    by_hand: BusByHand, insights: Insights
) -> None:
    message_id = by_hand.emit("departed", PAYLOAD, key="S-1")
    People(by_hand.dsn, Actor("local:tester", "cli")).set_role("olga@example.org", Role.OPERATOR)
    olga = Privacy(by_hand.dsn, Actor("olga@example.org", "dashboard"))
    with pytest.raises(RoleTooLow):
        olga.unmask(message_id, reason=WHY)
    with pytest.raises(RoleTooLow):
        olga.erase("S-1", typed="S-1", reason=WHY)
    denied = insights.audit(AuditFilter(denied=True)).rows
    assert [(row.actor, row.verb, row.message_id, row.outcome) for row in denied] == [
        ("olga@example.org", "erase", None, {"denied": "operator", "needs": "admin"}),
        ("olga@example.org", "unmask", message_id, {"denied": "operator", "needs": "admin"}),
    ]
    message = insights.message(message_id)
    assert message is not None
    assert MAIL in message.payload, "and nothing was erased"


# ── audit ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE buslog.operations SET actor = 'nobody'",
        "DELETE FROM buslog.operations",
        "TRUNCATE buslog.operations",
    ],
)
def test_the_audit_can_only_grow(privacy: Privacy, connection: db.Connection, statement: str) -> None:
    privacy.exported("log", {"filter": "key=S-1"})
    with pytest.raises(Exception, match="append-only"):
        connection.execute(statement)
    assert connection.execute("SELECT actor FROM buslog.operations").fetchall() == [("local:tester",)]


def fill(by_hand: BusByHand) -> UUID:
    message_id = by_hand.emit("departed", PAYLOAD, key="S-1")
    by_hand.run(
        """INSERT INTO buslog.operations (at, actor, verb, message_id, subscription, reason, outcome) VALUES
               (now() - interval '3 days', 'anna', 'replay', %s, 'mail', 'back again', '{"run": 7}'),
               (now() - interval '2 days', 'ben', 'pause', NULL, 'mail', NULL, '{}'),
               (now() - interval '1 day', 'anna', 'erase', NULL, NULL, 'asked', '{"key": "S-1", "begun": 3}'),
               (now() - interval '90 days', 'carla', 'pause', NULL, 'track', NULL, '{"denied": "viewer"}')""",
        message_id,
    )  # fmt: skip
    return message_id


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({}, ["erase", "pause", "replay"]),
        ({"range": "all"}, ["erase", "pause", "replay", "pause"]),
        ({"actor": "anna"}, ["erase", "replay"]),
        ({"verb": ["pause", "replay"]}, ["pause", "replay"]),
        ({"key": "S-1"}, ["erase", "replay"]),
        ({"subscription": "mail"}, ["pause", "replay"]),
        ({"outcome": "denied", "range": "all"}, ["pause"]),
        ({"outcome": "denied"}, []),
    ],
)
def test_the_audit_is_filtered_by_who_what_when_and_which(
    by_hand: BusByHand, insights: Insights, params: dict[str, str | list[str]], found: list[str]
) -> None:
    message_id = fill(by_hand)
    filter_ = AuditFilter.from_params(params)
    assert AuditFilter.from_params(filter_.to_params()) == filter_
    assert [row.verb for row in insights.audit(filter_).rows] == found
    (row,) = insights.audit(AuditFilter(message=message_id)).rows
    assert (row.name, row.key, row.run, row.reason) == ("departed", "S-1", 7, "back again")
    assert insights.operation(row.id) == row
    assert insights.audit_choices() == (["anna", "ben", "carla"], ["erase", "pause", "replay"], [])


def test_the_pages_of_the_audit_hold_every_row_once_in_both_directions(privacy: Privacy, insights: Insights) -> None:
    for number in range(7):
        privacy.exported("log", {"number": number})
    seen, cursor = [], None
    while True:
        page = insights.audit(AuditFilter(), older_than=cursor, size=3)
        seen += [row.outcome["number"] for row in page.rows]
        if page.older is None:
            break
        cursor = AuditCursor.parse(str(page.older))
    assert seen == [6, 5, 4, 3, 2, 1, 0]
    back = insights.audit(AuditFilter(), newer_than=page.newer, size=3)
    assert [row.outcome["number"] for row in back.rows] == [3, 2, 1]


@pytest.mark.parametrize(
    "params",
    [{"message": "nonsense"}, {"name": "x"}, {"actor": "a\0"}, {"verb": ["v"] * 51}, {"outcome": "x"}, {"sort": "id"},
     {"from": "294277-01-01"}],
)  # fmt: skip
def test_nonsense_in_the_filter_of_the_audit_is_named(params: dict[str, str | list[str]]) -> None:
    from buslog.errors import InvalidFilter

    with pytest.raises(InvalidFilter) as refused:
        AuditFilter.from_params(params)
    assert refused.value.field == next(iter(params))


def test_the_audit_as_csv_is_its_filter_in_utc_and_safe_to_open(by_hand: BusByHand) -> None:
    message_id = fill(by_hand)
    by_hand.run("INSERT INTO buslog.operations (actor, verb, reason, outcome) VALUES ('=cmd()', 'pause', '+1', '{}')")
    file = b"".join(stream_audit(by_hand.dsn, AuditFilter.from_params({"range": "all"}))).decode()
    newest, *_, denied = rows = list(csv.DictReader(io.StringIO(file)))
    assert [row["verb"] for row in rows] == ["pause", "erase", "pause", "replay", "pause"]
    assert (newest["actor"], newest["reason"], newest["denied"], denied["denied"]) == ("'=cmd()", "'+1", "f", "t")
    assert (rows[3]["message_id"], rows[3]["key"], rows[3]["name"]) == (str(message_id), "S-1", "departed")
    assert newest["at"].endswith("Z")


# ── duty ────────────────────────────────────────────────────────────────────────


async def test_one_person_is_on_duty_and_leaves_a_note_to_the_next(dsn: str, insights: Insights) -> None:
    anna, ben = (Duty(dsn, Actor(name, "dashboard")) for name in ("local:anna", "local:ben"))
    assert insights.shifts() == []
    assert anna.take() is None
    for refused in (anna.take, lambda: ben.hand_over("all quiet"), lambda: anna.hand_over(" ")):
        with pytest.raises(OperationRefused):
            refused()
    anna.hand_over("carrier is down,\nreplay nothing")
    assert ben.take() is None
    assert anna.take() == "local:ben"
    now, before, first = insights.shifts()
    assert (now.who, now.until, now.note) == ("local:anna", None, None)
    assert (before.who, before.until is not None, before.note) == ("local:ben", True, None)
    assert (first.who, first.note) == ("local:anna", "carrier is down,\nreplay nothing")
    verbs = [row.verb for row in insights.audit(AuditFilter(of=Filter(range=Range.ALL))).rows]
    assert verbs == ["take duty", "take duty", "hand over duty", "take duty"]


async def test_of_many_who_take_the_duty_at_once_one_has_it(dsn: str, insights: Insights) -> None:
    people = [Duty(dsn, Actor(f"local:p{number}", "dashboard")) for number in range(6)]
    await asyncio.gather(*(asyncio.to_thread(person.take) for person in people))
    shifts = insights.shifts()
    assert len(shifts) == 6
    assert [shift.until is None for shift in shifts] == [True] + [False] * 5


def test_a_form_that_was_filled_with_masked_values_is_not_emitted(dsn: str) -> None:
    with pytest.raises(InvalidMessage) as refused:
        Operations(dsn, Actor("local:tester", "cli")).emit("departed", {"customer": {"email": MASKED}})
    assert refused.value.field == "payload"
