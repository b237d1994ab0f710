"""Roles: who may do what is decided in the operation, in the database, at that moment."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, LiteralString
from uuid import UUID, uuid4

import psycopg
import pytest

from buslog import Bus, db
from buslog.config import Settings
from buslog.desk import Actor
from buslog.errors import InvalidMessage, OperationRefused, RoleTooLow
from buslog.filter import Filter, Range
from buslog.history import import_history
from buslog.insights import Insights
from buslog.message import DeliveryRef
from buslog.operations import Operations
from buslog.people import People
from buslog.replays import Replays, Verb
from buslog.rights import Role
from tests.store.conftest import Scene

if TYPE_CHECKING:
    from tests.conftest import BusByHand

ANNA = Actor("anna@example.com", "dashboard")
ADMIN = Actor("local:tester", "cli")
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
EVERYTHING = Filter(range=Range.ALL)


def give(dsn: str, role: Role | None, person: str = ANNA.name) -> None:
    People(dsn, ADMIN).set_role(person, role, reason="on duty")


def audit(bus: BusByHand) -> list[tuple[str, str, str | None]]:
    rows = bus.run("SELECT actor, verb, outcome ->> 'denied' FROM buslog.operations ORDER BY id")
    return [(row[0], row[1], row[2]) for row in rows if row[1] != "set role"]


def failed(bus: BusByHand, subscription: str = "mail", name: str = "departed") -> DeliveryRef:
    bus.subscribe(subscription, name)
    message = bus.emit(name, '{"shipmentId": "S-42"}')
    bus.work(**{subscription: "failed"})
    return DeliveryRef(message, subscription)


def command(bus: BusByHand, role: str) -> None:
    bus.run(
        """SELECT buslog.register('ops:wipe', '{wipe}', 'command', %s::text::jsonb, NULL, '', 'test')""",
        f'{{"policy": {{"max_attempts": 3, "role": "{role}"}}}}',
    )


# ── the operation decides ───────────────────────────────────────────────────────


@pytest.mark.parametrize("role", [None, Role.VIEWER])
def test_a_viewer_can_do_nothing_and_each_attempt_is_in_the_audit(by_hand: BusByHand, role: Role | None) -> None:
    dsn, ref = by_hand.dsn, failed(by_hand)
    command(by_hand, "operator")
    run = Replays(dsn, ADMIN).preview(EVERYTHING, Verb.REPLAY).run
    give(dsn, role)
    operations, replays = Operations(dsn, ANNA), Replays(dsn, ANNA)
    attempts: dict[str, Callable[[], object]] = {
        "replay": lambda: operations.replay([ref]),
        "run now": lambda: operations.run_now([ref]),
        "cancel": lambda: operations.cancel([ref]),
        "pause": lambda: operations.pause("mail"),
        "resume": lambda: operations.resume("mail"),
        "run": lambda: operations.run_command("wipe", {}),
        "emit": lambda: operations.emit("departed", {}),
        "preview": lambda: replays.preview(EVERYTHING, Verb.REPLAY),
        "replay many": lambda: replays.start(run),
        "stop": lambda: replays.stop(run),
        "import": lambda: import_history(dsn, [], ANNA),
        "set role": lambda: People(dsn, ANNA).set_role(ANNA.name, Role.ADMIN),
    }
    before = by_hand.run("SELECT message_id, state FROM buslog.log")
    for verb, attempt in attempts.items():
        with pytest.raises(RoleTooLow) as refusal:
            attempt()
        assert (refusal.value.field, refusal.value.rule, refusal.value.was) == ("role", f"may {verb}", "viewer")
    assert by_hand.run("SELECT message_id, state FROM buslog.log") == before
    denied = by_hand.run("SELECT verb, outcome ->> 'denied' FROM buslog.operations WHERE actor = %s", ANNA.name)
    assert denied == [(verb, "viewer") for verb in attempts]


def test_a_denied_attempt_says_on_what_and_what_it_needs(by_hand: BusByHand) -> None:
    ref = failed(by_hand)
    with pytest.raises(RoleTooLow):
        Operations(by_hand.dsn, ANNA).cancel([ref])
    assert by_hand.run("SELECT message_id, subscription, outcome FROM buslog.operations") == [
        (ref.message_id, "mail", {"denied": "viewer", "needs": "operator"})
    ]


def test_an_operator_mends_but_does_not_pause(by_hand: BusByHand) -> None:
    ref = failed(by_hand)
    give(by_hand.dsn, Role.OPERATOR)
    operations = Operations(by_hand.dsn, ANNA)
    assert operations.replay([ref]) == [ref]
    with pytest.raises(RoleTooLow) as refusal:
        operations.pause("mail")
    assert (refusal.value.was, refusal.value.limit) == ("operator", "admin")
    give(by_hand.dsn, Role.ADMIN)
    assert operations.pause("mail")
    assert audit(by_hand) == [(ANNA.name, "replay", None), (ANNA.name, "pause", "operator"), (ANNA.name, "pause", None)]


def test_a_demotion_takes_effect_at_once_and_waits_for_what_is_under_way(by_hand: BusByHand) -> None:
    ref = failed(by_hand)
    give(by_hand.dsn, Role.OPERATOR)
    operations = Operations(by_hand.dsn, ANNA)
    with operations._transaction("replay"):  # under way
        demotion = threading.Thread(target=give, args=(by_hand.dsn, Role.VIEWER))
        demotion.start()
        demotion.join(0.3)
        assert demotion.is_alive()
    demotion.join(10)
    with pytest.raises(RoleTooLow):
        operations.replay([ref])


def test_a_verb_that_nobody_wrote_down_is_a_mistake_not_a_right(by_hand: BusByHand) -> None:
    desk = Operations(by_hand.dsn, ADMIN)
    with pytest.raises(KeyError), desk._transaction("conjure"):
        pass


def test_who_is_at_this_machine_may_do_everything_and_nobody_who_logs_in_has_such_a_name(by_hand: BusByHand) -> None:
    assert Operations(by_hand.dsn, Actor.local("cli")).replay([failed(by_hand)])
    assert not Actor("localhost@example.com", "dashboard").is_local
    with pytest.raises(OperationRefused):
        give(by_hand.dsn, Role.ADMIN, "local:root")
    with pytest.raises(InvalidMessage):
        give(by_hand.dsn, Role.ADMIN, " ")
    with pytest.raises(RoleTooLow):
        Operations(by_hand.dsn, Actor("Local:root", "dashboard")).emit("departed", {})


# ── what a command demands ──────────────────────────────────────────────────────


def test_a_command_that_demands_an_admin_is_run_by_one_alone_whichever_way(by_hand: BusByHand) -> None:
    dsn = by_hand.dsn
    command(by_hand, "admin")
    by_hand._subscriptions[by_hand.run("SELECT id FROM buslog.subscriptions")[0][0]] = "ops:wipe"
    by_hand.start_worker()
    message = Operations(dsn, ADMIN).run_command("wipe", {})
    by_hand.work(**{"ops:wipe": "failed"})
    run = Replays(dsn, ADMIN).preview(EVERYTHING, Verb.REPLAY).run
    give(dsn, Role.OPERATOR)
    operations, ref = Operations(dsn, ANNA), DeliveryRef(message, "ops:wipe")
    for attempt in (
        lambda: operations.run_command("wipe", {}),
        lambda: operations.emit("wipe", {}),
        lambda: operations.replay([ref]),
        lambda: Replays(dsn, ANNA).start(run),
    ):
        with pytest.raises(RoleTooLow) as refusal:
            attempt()
        assert (refusal.value.was, refusal.value.limit) == ("operator", "admin")
    give(dsn, Role.ADMIN)
    assert isinstance(operations.run_command("wipe", {}), UUID)
    assert operations.replay([ref]) == [ref]


async def test_the_role_that_a_command_demands_is_stored_at_registration(scene: Scene, dsn: str) -> None:
    bus = Bus()
    bus.command("wipe", id="ops:wipe", role="admin")(lambda _: None)
    (subscription,) = bus._registry
    await scene.store.register(subscription, "test")
    insights = Insights(dsn)
    assert [(card.name, card.role) for card in insights.commands()] == [("wipe", Role.ADMIN)]
    insights.close()


# ── where a role comes from ─────────────────────────────────────────────────────


def test_what_is_given_by_hand_wins_over_what_a_login_claims(by_hand: BusByHand) -> None:
    dsn, insights = by_hand.dsn, Insights(by_hand.dsn)
    anna = People(dsn, ANNA)

    def role() -> tuple[str, str | None]:
        found = insights.person(ANNA.name)
        assert found is not None
        return found.role, found.given

    anna.arrive(name="Anna", claimed=Role.OPERATOR, claimed_at=NOON)
    assert role() == ("operator", None)
    give(dsn, Role.VIEWER)
    assert role() == ("viewer", "viewer")
    anna.arrive(name="Anna", claimed=Role.ADMIN, claimed_at=NOON + timedelta(hours=1))
    assert role() == ("viewer", "viewer")
    give(dsn, None)
    assert role() == ("admin", None)
    insights.close()


def test_the_cookie_of_an_older_login_does_not_bring_its_role_back(by_hand: BusByHand) -> None:
    anna = People(by_hand.dsn, ANNA)
    anna.arrive(name="Anna", claimed=Role.VIEWER, claimed_at=NOON)
    anna.arrive(name="Anna", claimed=Role.ADMIN, claimed_at=NOON - timedelta(days=1))
    with pytest.raises(RoleTooLow):
        Operations(by_hand.dsn, ANNA).emit("departed", {})


def test_a_role_given_before_somebody_comes_waits_for_them_and_is_audited(by_hand: BusByHand) -> None:
    give(by_hand.dsn, Role.OPERATOR, "  ben@example.com ")
    give(by_hand.dsn, Role.ADMIN, "ben@example.com")
    insights = Insights(by_hand.dsn)
    (ben,) = insights.people()
    assert (ben.person, ben.role, ben.first_seen) == ("ben@example.com", Role.ADMIN, None)
    insights.close()
    assert by_hand.run("SELECT actor, reason, outcome FROM buslog.operations ORDER BY id") == [
        (ADMIN.name, "on duty", {"person": "ben@example.com", "from": None, "to": "operator"}),
        (ADMIN.name, "on duty", {"person": "ben@example.com", "from": "operator", "to": "admin"}),
    ]


# ── who came in ─────────────────────────────────────────────────────────────────


def test_a_login_is_in_the_audit_once_whatever_brings_its_cookie_and_the_next_one_again(by_hand: BusByHand) -> None:
    anna, here = People(by_hand.dsn, ANNA), People(by_hand.dsn, Actor("local:tester", "dashboard"))
    coming = [
        threading.Thread(target=anna.arrive, kwargs={"name": "Anna", "claimed": Role.OPERATOR, "claimed_at": NOON})
        for _ in range(4)
    ]
    for thread in coming:
        thread.start()
    for thread in coming:
        thread.join(10)
    anna.arrive(name="Anna", claimed=Role.VIEWER, claimed_at=NOON + timedelta(hours=1))
    anna.arrive(name="Anna", claimed=Role.OPERATOR, claimed_at=NOON)  # another device, on which the older one goes on
    for since in (NOON, NOON, NOON + timedelta(hours=1)):
        here.arrive_here(since)
    anna.leave()
    rows = by_hand.run("SELECT actor, verb, outcome FROM buslog.operations ORDER BY id")
    assert rows == [
        (ANNA.name, "log in", {"how": "login", "role": "operator", "login": "2026-11-24T12:00:00+00:00"}),
        (ANNA.name, "log in", {"how": "login", "role": "viewer", "login": "2026-11-24T13:00:00+00:00"}),
        ("local:tester", "log in", {"how": "this machine", "role": "admin", "login": "2026-11-24T12:00:00+00:00"}),
        ("local:tester", "log in", {"how": "this machine", "role": "admin", "login": "2026-11-24T13:00:00+00:00"}),
        (ANNA.name, "log out", {}),
    ]


# ── roles of the database ───────────────────────────────────────────────────────

OPERATING = (Path(__file__).parents[2] / "docs" / "operating.md").read_text(encoding="utf-8")


@pytest.fixture
def as_role(by_hand: BusByHand) -> Iterator[Callable[[str], str]]:
    """The roles that docs/operating.md tells to make, under names of this test's own; gives the DSN of one of them."""
    mark = uuid4().hex[:8]
    section = OPERATING.partition("### Roles of the database")[2].partition("\n## ")[0]
    for block in re.findall(r"```sql\n(.*?)```", section, re.DOTALL):
        by_hand.run(re.sub(r"\bbuslog_(bus|dashboard|reader)\b", rf"buslog_\1_{mark}", block))
    yield lambda role: f"{by_hand.dsn}&options=-c%20role%3Dbuslog_{role}_{mark}"
    for role in ("bus", "dashboard", "reader"):
        by_hand.run(f"DROP OWNED BY buslog_{role}_{mark}")
        by_hand.run(f"DROP ROLE buslog_{role}_{mark}")


def refuses(dsn: str, statement: LiteralString, why: str = "permission denied") -> None:
    with (
        db.connect(dsn) as connection,
        pytest.raises(psycopg.Error, match=why),
    ):
        connection.execute(statement)


@pytest.mark.parametrize("change", ["UPDATE buslog.operations SET actor = 'x'", "DELETE FROM buslog.operations",
                                    "TRUNCATE buslog.operations"])  # fmt: skip
def test_nobody_changes_the_audit(by_hand: BusByHand, as_role: Callable[[str], str], change: LiteralString) -> None:
    Operations(by_hand.dsn, ADMIN).emit("departed", {})
    for role in ("bus", "dashboard", "reader"):
        refuses(as_role(role), change)
    refuses(by_hand.dsn, change, "append-only")  # the owner meets the trigger
    refuses(as_role("dashboard"), "ALTER TABLE buslog.operations DISABLE TRIGGER append_only", "must be owner")
    assert by_hand.run("SELECT actor FROM buslog.operations") == [(ADMIN.name,)]


async def test_the_application_s_role_does_all_that_a_bus_does_and_gives_nobody_a_role(
    dsn: str, as_role: Callable[[str], str]
) -> None:
    ran: list[str] = []
    bus = Bus(settings=Settings(dsn=as_role("bus"), poll=0.1))
    bus.on("departed", lambda message: ran.append(message.key or ""), id="mail", mode="sync")
    async with bus:
        await bus.emit("departed", {"shipmentId": "S-42"})
        await bus.emit("departed", {"shipmentId": "S-43"}, after=0.1)
        for _ in range(100):
            if len(ran) == 2:
                break
            await asyncio.sleep(0.1)
    assert ran == ["S-42", "S-43"]
    with db.connect(as_role("bus")) as connection:
        made = connection.execute("SELECT buslog.ensure_partitions(now(), now() + interval '1 year') > 0").fetchone()
    assert made == (True,)
    for statement in (
        "INSERT INTO buslog.users (person, given) VALUES ('me', 'admin')",
        "UPDATE buslog.users SET given = 'admin'",
    ):
        refuses(as_role("bus"), statement)


def test_the_dashboard_s_role_does_all_operations_and_hosts_nothing(
    by_hand: BusByHand, as_role: Callable[[str], str]
) -> None:
    by_hand.subscribe("sms", "arrived")  # one worker for both
    first = failed(by_hand)
    failed(by_hand, "sms", "arrived")
    dsn = as_role("dashboard")
    operations, replays = Operations(dsn, ADMIN), Replays(dsn, ADMIN)
    assert operations.replay([first]) == [first]
    assert operations.cancel([first]) == [first]
    assert operations.pause("mail")
    assert operations.resume("mail")
    assert operations.emit("departed", {"shipmentId": "S-42"})
    run = replays.preview(EVERYTHING, Verb.REPLAY).run
    assert replays.start(run, undo=60).waiting == 1
    assert replays.stop(run)
    People(dsn, ANNA).arrive(name="Anna", claimed=Role.OPERATOR, claimed_at=NOON)
    People(dsn, ADMIN).set_role(ANNA.name, Role.ADMIN)
    insights = Insights(dsn)
    assert insights.page(EVERYTHING).rows
    insights.close()
    refuses(dsn, "DELETE FROM buslog.subscriptions")
    refuses(dsn, "INSERT INTO buslog.workers (worker, version, hosts, lease_until) VALUES ('x', '', '{}', now())")


def test_the_reader_reads_and_nothing_else(by_hand: BusByHand, as_role: Callable[[str], str]) -> None:
    failed(by_hand)
    with db.connect(as_role("reader")) as connection:
        assert connection.execute("SELECT count(*) FROM buslog.log").fetchone() == (1,)
    refuses(as_role("reader"), "SELECT buslog.emit('departed', '{}')")
    refuses(as_role("reader"), "SELECT buslog.ensure_partitions(now(), now() + interval '9 years')")
