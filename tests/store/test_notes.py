"""Notes, and edited copies of messages: what people add to the log, each with its audit row."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from buslog import db
from buslog.desk import Actor
from buslog.errors import InvalidMessage, NotFound, OperationRefused, RoleTooLow
from buslog.insights import Insights
from buslog.notes import About, Notes
from buslog.reemission import Reemission

if TYPE_CHECKING:
    from tests.conftest import BusByHand

ANNA = Actor("local:anna", "dashboard")
SCHEMA = json.dumps({"type": "object", "properties": {"port": {"type": "string", "minLength": 5}}})


@pytest.fixture
def notes(dsn: str) -> Notes:
    return Notes(dsn, ANNA)


@pytest.fixture
def reemission(dsn: str) -> Reemission:
    return Reemission(dsn, ANNA)


# ── notes ───────────────────────────────────────────────────────────────────────


def test_a_note_is_kept_with_its_author_and_audited_without_its_text(
    notes: Notes, insights: Insights, by_hand: BusByHand, connection: db.Connection
) -> None:
    message = by_hand.emit("departed", key="S-42")
    first = notes.add(About.KEY, "S-42", "  the customer was called\r\nat noon ")
    second = notes.add(About.MESSAGE, str(message).upper(), "sent by hand")
    third = notes.add(About.GROUP, "f00d", "the carrier knows")
    (note,) = insights.notes(About.KEY, "S-42")
    assert (note.id, note.actor, note.text) == (first, "local:anna", "the customer was called\nat noon")
    assert [n.id for n in insights.notes(About.MESSAGE, str(message))] == [second]
    assert [n.id for n in insights.notes(About.GROUP, "f00d")] == [third]
    rows = connection.execute("SELECT actor, verb, message_id, outcome FROM buslog.operations ORDER BY id").fetchall()
    assert rows == [
        ("local:anna", "note", None, {"note": first, "key": "S-42"}),
        ("local:anna", "note", message, {"note": second, "message": str(message)}),
        ("local:anna", "note", None, {"note": third, "failure group": "f00d"}),
    ]


@pytest.mark.parametrize("text", ["", " \n", "x" * 2001, "a\x1b[2Jb", "a\x00b"])
def test_a_note_that_is_no_text_is_refused_and_nothing_is_audited(
    notes: Notes, by_hand: BusByHand, connection: db.Connection, text: str
) -> None:
    by_hand.emit("departed", key="S-42")
    with pytest.raises(OperationRefused, match="note"):
        notes.add(About.KEY, "S-42", text)
    assert connection.execute("SELECT count(*) FROM buslog.operations").fetchone() == (0,)
    assert connection.execute("SELECT count(*) FROM buslog.notes").fetchone() == (0,)


def test_a_note_on_what_does_not_exist_is_refused(notes: Notes, by_hand: BusByHand) -> None:
    by_hand.emit("departed", key="S-42")
    for about, subject in ((About.KEY, "S-43"), (About.MESSAGE, str(uuid.uuid4())), (About.MESSAGE, "S-42")):
        with pytest.raises(NotFound):
            notes.add(about, subject, "lost")


def test_a_viewer_writes_no_note_and_emits_no_copy_and_the_attempt_is_audited(
    by_hand: BusByHand, connection: db.Connection
) -> None:
    message = by_hand.emit("departed", '{"a": 1}', key="S-42")
    viewer = Actor("vera@example.com", "dashboard")
    with pytest.raises(RoleTooLow):
        Notes(by_hand.dsn, viewer).add(About.KEY, "S-42", "let me")
    with pytest.raises(RoleTooLow):
        Reemission(by_hand.dsn, viewer).emit_edited(message, '{"a": 2}')
    assert connection.execute("SELECT count(*) FROM buslog.notes").fetchone() == (0,)
    assert connection.execute("SELECT count(*) FROM buslog.messages").fetchone() == (1,)
    rows = connection.execute("SELECT verb, outcome ->> 'denied' FROM buslog.operations ORDER BY id").fetchall()
    assert rows == [("note", "viewer"), ("emit edited", "viewer")]


def test_a_copy_of_a_command_takes_the_role_that_the_command_demands(
    by_hand: BusByHand, connection: db.Connection
) -> None:
    by_hand.subscribe("resync", "resyncTracking", kind="command")
    connection.execute('UPDATE buslog.subscriptions SET policy = policy || \'{"role": "admin"}\'')
    connection.execute("INSERT INTO buslog.users (person, given) VALUES ('otto@example.com', 'operator')")
    message = by_hand.emit("resyncTracking", '{"a": 1}')
    with pytest.raises(RoleTooLow):
        Reemission(by_hand.dsn, Actor("otto@example.com", "dashboard")).emit_edited(message, '{"a": 2}')
    connection.execute("UPDATE buslog.users SET given = 'admin'")
    assert Reemission(by_hand.dsn, Actor("otto@example.com", "dashboard")).emit_edited(message, '{"a": 2}')


# ── edit and re-emit ────────────────────────────────────────────────────────────


def test_an_edited_copy_is_linked_to_the_old_message_and_reaches_all_its_subscribers(
    reemission: Reemission, by_hand: BusByHand, connection: db.Connection
) -> None:
    by_hand.subscribe("mail", "departed")
    by_hand.subscribe("task", "departed")
    old = by_hand.emit("departed", '{"shipmentId": "S-42", "port": "X", "big": 12345678901234567890123.10}')
    by_hand.work(mail="failed")
    edited = '{"shipmentId": "S-42", "port": "NLRTM", "big": 12345678901234567890123.10}'
    new = reemission.emit_edited(old, edited, reason="wrong port")
    row = connection.execute(
        "SELECT name, key, source, actor, causation_id, correlation_id, routed, payload::text"
        " FROM buslog.messages WHERE id = %s",
        (new,),
    ).fetchone()
    assert row is not None
    assert row[:7] == ("departed", "S-42", "dashboard", "local:anna", old, old, 2)
    assert "12345678901234567890123.10" in row[7]
    assert connection.execute("SELECT message_id, actor, verb, reason, outcome FROM buslog.operations").fetchall() == [
        (old, "local:anna", "emit edited", "wrong port", {"emitted": str(new)})
    ]
    assert connection.execute("SELECT payload ->> 'port' FROM buslog.messages WHERE id = %s", (old,)).fetchone() == (
        "X",
    )


@pytest.mark.parametrize(
    ("key", "payload", "edited", "kept"),
    [
        (None, '{"shipmentId": "S-1"}', '{"shipmentId": "S-2"}', "S-2"),
        ("by-hand", '{"shipmentId": "S-1"}', '{"shipmentId": "S-2"}', "by-hand"),
        ("by-hand", "{}", '{"a": 1}', "by-hand"),
        (None, "{}", '{"shipmentId": "S-2"}', "S-2"),
    ],
)
def test_a_key_from_the_payload_follows_it_and_one_given_by_hand_stays(
    reemission: Reemission, by_hand: BusByHand, connection: db.Connection, *, key: str | None, payload: str,
    edited: str, kept: str,
) -> None:  # fmt: skip
    new = reemission.emit_edited(by_hand.emit("departed", payload, key=key), edited)
    assert connection.execute("SELECT key FROM buslog.messages WHERE id = %s", (new,)).fetchone() == (kept,)


@pytest.mark.parametrize(
    ("edited", "field", "rule"),
    [
        ('{"port": ', "payload", "is JSON"),
        ("[1]", "payload", "is a JSON object"),
        ('{"port": NaN}', "payload.port", "finite"),
        ('{"port": "a\\u0000b"}', "payload.port", "NUL"),
        ('{"port": "NLR"}', "payload.port", "schema"),
    ],
)
@pytest.mark.parametrize("kind", ["event", "command"])
def test_a_payload_that_does_not_fit_is_refused_by_field_without_being_repeated(
    reemission: Reemission, by_hand: BusByHand, connection: db.Connection, *, edited: str, field: str, rule: str,
    kind: str,
) -> None:  # fmt: skip
    by_hand.subscribe("mail", "departed", kind=kind, schema=SCHEMA)
    old = by_hand.emit("departed", '{"port": "NLRTM"}')
    with pytest.raises(InvalidMessage, match=rule) as refused:
        reemission.emit_edited(old, edited)
    assert refused.value.field == field
    assert "NLR" not in str(refused.value)
    assert connection.execute("SELECT count(*) FROM buslog.messages").fetchone() == (1,)


def test_the_schema_of_a_subscriber_by_pattern_counts_too(reemission: Reemission, by_hand: BusByHand) -> None:
    by_hand.subscribe("all", "dep*", schema=SCHEMA)
    with pytest.raises(InvalidMessage, match="schema"):
        reemission.emit_edited(by_hand.emit("departed", '{"port": "NLRTM"}'), '{"port": "N"}')


def test_what_was_not_changed_is_not_sent(reemission: Reemission, by_hand: BusByHand) -> None:
    old = by_hand.emit("departed", '{"a": 1, "b": 2}')
    with pytest.raises(OperationRefused, match="differs"):
        reemission.emit_edited(old, '{ "b": 2, "a": 1 }')
    with pytest.raises(NotFound):
        reemission.emit_edited(UUID(int=7), '{"a": 1}')
