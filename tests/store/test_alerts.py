"""Alert rules: what fires, once, and what is told of it, to real receivers."""

from __future__ import annotations

import io
import logging
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from datetime import time as clock_time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from buslog import db
from buslog.alerting import notices
from buslog.alerting.channels import Channels
from buslog.alerting.evaluation import Happened, Terms, look
from buslog.alerting.model import Quiet, Rule, RuleKind
from buslog.alerting.watch import Watch
from buslog.alerts import Alerts
from buslog.config import Settings
from buslog.desk import Actor
from buslog.errors import InvalidRule, Misconfigured, NotFound, OperationRefused, RoleTooLow
from buslog.filter import Filter
from buslog.groups import Groups
from buslog.insights import Alert, Insights
from buslog.message import DeliveryRef
from buslog.operations import Operations
from tests.receivers import Received, http_receiver, mail_receiver

if TYPE_CHECKING:
    from tests.conftest import BusByHand

ADMIN = Actor("local:tester", "cli")
ANNA = Actor("anna@example.com", "dashboard")
AT_ONCE = Terms("here:1", timedelta(0), "https://bus.example/")
SECRET = "s3cret-token"


@pytest.fixture
def receiver() -> Iterator[Received]:
    with http_receiver() as received:
        yield received


@pytest.fixture
def channels(receiver: Received) -> Channels:
    return Channels(f"ops=json://{receiver.address}/{SECRET}")


class Bench:
    """Rules on the test's database, and looks at them."""

    def __init__(self, bus: BusByHand, channels: Channels) -> None:
        self.bus = bus
        self.dsn = bus.dsn
        self.channels = channels
        self.alerts = Alerts(bus.dsn, ADMIN)

    def rule(self, kind: RuleKind, **options: Any) -> Rule:
        rule = Rule("the rule", kind, **{"threshold": 0.5, "at_least": 1, "channels": ("ops",), **options})
        self.alerts.set_rule(rule)
        return rule

    def look(self, terms: Terms = AT_ONCE) -> list[Happened]:
        with db.connect(self.dsn) as connection:
            return look(connection, terms)

    def occasions(self, terms: Terms = AT_ONCE) -> list[str]:
        return [happened.occasion for happened in self.look(terms)]

    def send(self) -> int:
        with db.connect(self.dsn) as connection:
            due = notices.due_channels(connection, self.channels)
        return sum(notices.send_due(self.dsn, self.channels, channel) for channel in due)

    def history(self) -> list[Alert]:
        insights = Insights(self.dsn)
        try:
            return insights.alerts()
        finally:
            insights.close()

    def notices(self) -> list[tuple[str, str]]:
        rows = self.bus.run("SELECT occasion, state FROM buslog.alert_notices ORDER BY id")
        return [(row[0], row[1]) for row in rows]

    def fail(self, *keys: str) -> None:
        for key in keys:
            self.bus.emit("departed", '{"secret": "p4yload"}', key=key)
        self.bus.work(mail="failed")


@pytest.fixture
def bench(by_hand: BusByHand, channels: Channels) -> Bench:
    by_hand.subscribe("mail", "departed")
    by_hand.start_worker()
    return Bench(by_hand, channels)


def pass_time(bench: Bench, *, hours: int) -> None:
    """As if what was seen so far had been seen so long ago."""
    bench.bus.run("UPDATE buslog.alert_rule_states SET true_since = true_since - make_interval(hours => %s)", hours)
    bench.bus.run("UPDATE buslog.alert_samples SET at = at - make_interval(hours => %s)", hours)


# ── what fires ──────────────────────────────────────────────────────────────────


def test_a_failure_rate_fires_once_by_when_deliveries_ended_and_is_over_when_others_succeed(
    bench: Bench, receiver: Received
) -> None:
    bench.rule(RuleKind.FAILURE_RATE, at_least=2)
    assert bench.look() == []
    bench.fail("S-1")
    assert bench.look() == [], "one failure is not at least two"
    # Emitted before the window, and tried for an hour: what counts is when it failed.
    bench.bus.run("SELECT buslog.ensure_partitions(now() - interval '1 day', now())")
    bench.bus.run(
        """INSERT INTO buslog.ended_deliveries (message_id, subscription_id, generation, attempts, repeats, state,
               finished_at) SELECT buslog.new_id(now() - interval '1 hour'), 1, 1, 8, 0, 'failed', now()"""
    )
    (fired,) = bench.look()
    assert (fired.occasion, fired.what) == ("fired", "2 of 2 deliveries (100.0%) failed within 15 min")
    assert bench.look() == [], "it fires once"
    assert bench.send() == 1
    for key in ("S-3", "S-4", "S-5"):
        bench.bus.emit("departed", key=key)
    bench.bus.work()
    assert bench.occasions() == ["resolved"]
    assert bench.send() == 1
    assert receiver.titles == ["buslog: the rule fires", "buslog: the rule is over"]
    assert [document["type"] for document in receiver.documents] == ["failure", "success"]


def test_a_failure_rate_of_one_subscription_takes_no_notice_of_another(bench: Bench) -> None:
    bench.rule(RuleKind.FAILURE_RATE, subscription="sms")
    bench.bus.subscribe("sms", "arrived")
    bench.look()
    bench.fail("S-1")
    assert bench.look() == []


def test_each_delivery_is_counted_once_however_transactions_overlap(bench: Bench) -> None:
    bench.rule(RuleKind.FAILURE_RATE, threshold=1.0)
    bench.look()
    bench.fail("S-1")
    with db.connect(bench.dsn) as slow, slow.transaction():
        slow.execute(
            """INSERT INTO buslog.ended_deliveries (message_id, subscription_id, generation, attempts, repeats, state,
                   finished_at) SELECT buslog.new_id(now()), 1, 1, 1, 0, 'succeeded', now()"""
        )
        bench.look()
        bench.fail("S-2")
        bench.look()
    bench.look()
    bench.look()
    assert bench.bus.run("SELECT sum(succeeded), sum(failed) FROM buslog.alert_counts WHERE subscription_id = 0") == [
        (1, 2)
    ]


def test_what_an_import_brings_is_no_failure_of_now(bench: Bench) -> None:
    bench.rule(RuleKind.FAILURE_RATE)
    bench.look()
    bench.bus.add_history("departed", "2026-01-01Z", state="failed")
    assert bench.look() == []


def test_a_backlog_s_age_counts_from_when_a_delivery_became_ready(bench: Bench) -> None:
    bench.rule(RuleKind.BACKLOG_AGE, threshold=3600)
    bench.look()
    message = bench.bus.emit("departed", key="S-1")
    assert bench.look() == []
    pass_time(bench, hours=2)
    (fired,) = bench.look()
    assert fired.what.startswith("A delivery of mail has been waiting for a worker for 2 h; 1 are ready")
    bench.bus.work(mail="failed")
    assert bench.occasions() == ["resolved"]
    # Sent again, its message is old: the delivery has been waiting since now.
    Operations(bench.dsn, ADMIN).replay([DeliveryRef(message, "mail")])
    assert bench.look() == []


def test_a_delivery_for_later_is_no_backlog(bench: Bench) -> None:
    bench.rule(RuleKind.BACKLOG_AGE, threshold=60)
    bench.look()
    bench.bus.run("SELECT buslog.emit('departed', '{}', after => interval '9 hours')")
    pass_time(bench, hours=2)
    assert bench.look() == []


def test_a_new_failure_group_fires_with_its_key_and_is_over_when_nothing_of_it_waits(
    bench: Bench, receiver: Received
) -> None:
    bench.fail("S-0")
    bench.rule(RuleKind.NEW_GROUP, window=timedelta(days=7))
    assert bench.look() == [], "what was there before the first look is not new"
    bench.fail("S-1")
    assert bench.look() == [], "the same error again is not new"
    bench.bus.run("DELETE FROM buslog.alert_groups")
    bench.fail("S-42")
    (fired,) = bench.look()
    assert fired.what == "New failures: CarrierTimeout in mail (1, shipmentId S-42)"
    bench.send()
    (document,) = receiver.documents
    link = document["message"].splitlines()[-1]
    assert link.startswith("https://bus.example/failures?")
    asked = Filter.from_params(parse_qs(urlsplit(link).query))
    assert bench.bus.run("SELECT DISTINCT fingerprint FROM buslog.failures") == [(asked.group,)]
    assert "p4yload" not in receiver.text
    assert "no answer" not in receiver.text, "an error's text may hold a payload"
    assert bench.look() == []
    rows = bench.bus.run("SELECT message_id FROM buslog.log WHERE key = 'S-42'")
    Operations(bench.dsn, ADMIN).cancel([DeliveryRef(rows[0][0], "mail")], reason="nobody will mend it")
    assert bench.occasions() == ["resolved"]


def test_a_group_that_somebody_has_acknowledged_is_not_told_again_and_a_resolved_one_is_over(bench: Bench) -> None:
    bench.rule(RuleKind.NEW_GROUP, remind=timedelta(hours=4))
    bench.look()
    bench.fail("S-1")
    assert bench.occasions() == ["fired"]
    ((group,),) = bench.bus.run("SELECT fingerprint FROM buslog.failures")
    groups = Groups(bench.dsn, ADMIN)
    groups.acknowledge(group)
    bench.bus.run("UPDATE buslog.alerts SET told_at = now() - interval '5 hours'")
    bench.bus.run("DELETE FROM buslog.alert_notices")
    assert bench.look() == []
    groups.reopen(group)
    assert bench.occasions() == ["again"]
    groups.resolve(group)
    assert bench.occasions() == ["resolved"]


def test_an_error_that_was_not_seen_for_long_is_new_again(bench: Bench) -> None:
    bench.rule(RuleKind.NEW_GROUP, window=timedelta(days=7))
    bench.look()
    bench.fail("S-1")
    assert bench.occasions() == ["fired"]
    bench.bus.run("UPDATE buslog.alert_groups SET last_seen = now() - interval '8 days'")
    bench.fail("S-2")
    assert bench.occasions() == ["fired"]


@pytest.mark.parametrize("subscription", [None, "mail"])
def test_no_live_worker_fires_after_its_time_and_not_before(bench: Bench, subscription: str | None) -> None:
    bench.rule(RuleKind.NO_WORKER, threshold=3600, subscription=subscription)
    assert bench.look() == []
    bench.bus.run("UPDATE buslog.workers SET lease_until = now()")
    assert bench.look() == []
    pass_time(bench, hours=2)
    assert bench.occasions() == ["fired"]
    bench.bus.run("UPDATE buslog.workers SET lease_until = now() + interval '1 hour'")
    assert bench.occasions() == ["resolved"]


def test_a_worker_that_does_not_carry_the_code_is_none_for_a_subscription(bench: Bench) -> None:
    bench.bus.subscribe("sms", "arrived")
    bench.bus.run("UPDATE buslog.workers SET hosts = hosts[1:1]")
    bench.rule(RuleKind.NO_WORKER, threshold=60, subscription="sms")
    bench.look()
    pass_time(bench, hours=2)
    assert bench.occasions() == ["fired"]


# ── when it is told ─────────────────────────────────────────────────────────────


def no_worker(bench: Bench, **options: Any) -> None:
    """A rule whose condition holds from the second look on."""
    bench.bus.run("DELETE FROM buslog.workers")
    bench.rule(RuleKind.NO_WORKER, **{"threshold": 1, **options})
    bench.look()
    pass_time(bench, hours=1)


def back_to_work(bench: Bench) -> None:
    bench.bus._worker = None
    bench.bus.start_worker()


def test_it_is_told_again_after_its_time_and_not_before(bench: Bench, receiver: Received) -> None:
    no_worker(bench, remind=timedelta(hours=4))
    assert bench.occasions() == ["fired"]
    bench.send()
    bench.bus.run("UPDATE buslog.alerts SET told_at = now() - interval '239 min'")
    assert bench.look() == []
    bench.bus.run("UPDATE buslog.alerts SET told_at = now() - interval '241 min'")
    assert bench.occasions() == ["again"]
    assert bench.look() == []
    bench.send()
    assert receiver.titles == ["buslog: the rule fires", "buslog: the rule still fires"]


def test_a_figure_that_trembles_does_not_tell_people_twice(bench: Bench) -> None:
    believing = Terms("here:1", timedelta(hours=1))
    no_worker(bench)
    assert bench.occasions(believing) == ["fired"]
    for _ in range(3):
        back_to_work(bench)
        assert bench.look(believing) == []
        bench.bus.run("DELETE FROM buslog.workers")
        assert bench.look(believing) == []
    back_to_work(bench)
    bench.look(believing)
    bench.bus.run("UPDATE buslog.alerts SET over_since = now() - interval '61 min'")
    assert bench.occasions(believing) == ["resolved"]
    assert len(bench.history()) == 1


def around_now(minutes: int) -> Quiet:
    """Quiet hours that began a minute ago."""
    now = datetime.now(UTC)
    start, end = ((now + timedelta(minutes=m)).time().replace(microsecond=0) for m in (-1, minutes))
    return Quiet(start, end)


def test_in_quiet_hours_it_is_held_back_and_told_when_they_end_if_it_lasts(bench: Bench, receiver: Received) -> None:
    no_worker(bench, quiet=around_now(60))
    assert bench.occasions() == ["fired"]
    assert bench.send() == 0
    (notice,) = bench.history()[0].notices
    assert (notice.state, notice.is_held) == ("waiting", True)
    assert timedelta(minutes=58) < notice.due_at - datetime.now(UTC) < timedelta(minutes=61)
    bench.bus.run("UPDATE buslog.alert_notices SET due_at = now()")
    assert bench.send() == 1
    assert receiver.titles == ["buslog: the rule fires"]


def test_what_is_over_before_quiet_hours_end_is_never_told(bench: Bench, receiver: Received) -> None:
    no_worker(bench, quiet=around_now(60))
    bench.look()
    back_to_work(bench)
    assert bench.occasions() == ["resolved"]
    bench.bus.run("UPDATE buslog.alert_notices SET due_at = now()")
    assert bench.send() == 0
    assert bench.notices() == [("fired", "suppressed")]
    assert receiver.documents == []


@pytest.mark.parametrize(
    ("now", "zone", "until"),
    [
        ("2026-11-24T21:30Z", "Europe/Berlin", "2026-11-25T06:00Z"),  # 22:30 there
        ("2026-11-24T20:30Z", "Europe/Berlin", None),
        ("2026-11-25T05:59Z", "Europe/Berlin", "2026-11-25T06:00Z"),
        ("2026-11-25T06:00Z", "Europe/Berlin", None),
        ("2026-07-01T20:30Z", "Europe/Berlin", "2026-07-02T05:00Z"),  # summer time
        ("2026-11-24T22:30Z", "UTC", "2026-11-25T07:00Z"),
    ],
)
def test_quiet_hours_are_on_the_clocks_of_their_zone(now: str, zone: str, until: str | None) -> None:
    quiet = Quiet(clock_time(22), clock_time(7), zone)
    assert quiet.until(datetime.fromisoformat(now)) == (until and datetime.fromisoformat(until))


# ── how it is sent ──────────────────────────────────────────────────────────────


def test_a_channel_that_fails_is_tried_again_later_and_holds_up_no_other(
    bench: Bench, receiver: Received, by_hand: BusByHand
) -> None:
    with http_receiver() as bad:
        bad.answer = 503
        bench.channels = Channels(
            f"bad=json://{bad.address}/{SECRET} ops=json://{receiver.address} gone=json://127.0.0.1:1/{SECRET}"
        )
        no_worker(bench, channels=("bad", "gone", "ops"))
        bench.look()
        began = datetime.now(UTC)
        assert bench.send() == 1
        assert receiver.titles == ["buslog: the rule fires"]
        found = {notice.channel: notice for notice in bench.history()[0].notices}
        assert found["bad"].error == "it answered with 503"
        assert found["gone"].error == "it could not be reached, or did not take it"
        assert (found["bad"].state, found["bad"].tries) == ("waiting", 1)
        assert began + timedelta(seconds=5) < found["bad"].due_at < datetime.now(UTC) + timedelta(seconds=20)
        bench.bus.run("UPDATE buslog.alert_notices SET due_at = due_at + interval '1 minute' WHERE state = 'waiting'")
        assert bench.send() == 0, "not before its time"
        bench.bus.run("UPDATE buslog.alert_notices SET due_at = now() WHERE state = 'waiting'")
        bench.send()
        assert bench.bus.run("SELECT DISTINCT tries FROM buslog.alert_notices WHERE state = 'waiting'") == [(2,)]
        bad.answer = 200
        bench.bus.run("UPDATE buslog.alert_notices SET due_at = now() WHERE channel = 'bad'")
        assert bench.send() == 1
        assert bad.titles == ["buslog: the rule fires"]
        bench.bus.run("UPDATE buslog.alert_notices SET due_at = now(), made_at = now() - interval '25 hours'"
                      " WHERE channel = 'gone'")  # fmt: skip
        bench.send()
        assert bench.bus.run("SELECT state FROM buslog.alert_notices WHERE channel = 'gone'") == [("given up",)]


def test_many_senders_at_once_send_a_notice_once(bench: Bench, receiver: Received) -> None:
    no_worker(bench)
    bench.look()
    receiver.hold.clear()
    threads = [threading.Thread(target=notices.send_due, args=(bench.dsn, bench.channels, "ops")) for _ in range(6)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    receiver.hold.set()
    for thread in threads:
        thread.join()
    assert receiver.titles == ["buslog: the rule fires"]


def test_one_who_died_between_sending_and_saying_so_is_followed_by_another(bench: Bench, receiver: Received) -> None:
    """At least once: what was sent and not settled is sent again when the claim expires."""
    no_worker(bench)
    bench.look()
    bench.bus.run(db.query("notice_claim").replace("%(channel)s", "'ops'").replace("%(claim)s", "120"))
    assert bench.send() == 0
    bench.bus.run("UPDATE buslog.alert_notices SET claimed_until = now()")
    assert bench.send() == 1


def test_a_mail_says_what_since_when_and_where_to_look(bench: Bench) -> None:
    with mail_receiver() as mail:
        bench.channels = Channels(f"ops=mailto://{mail.address}?from=bus@example.com&to=ops@example.com&name=buslog")
        no_worker(bench)
        bench.look()
        assert bench.send() == 1
        (message,) = mail.mails
        assert message["Subject"] == "buslog: the rule fires"
        assert message["To"] == "ops@example.com"
        body = message.get_body(("plain", "html")).get_content()
        assert "No live worker is running, for 60 min" in body
        assert "Since 20" in body
        assert "https://bus.example/" in body


@pytest.mark.parametrize("service", ["slack", "teams"])
def test_slack_and_teams_get_the_shape_that_they_read(
    bench: Bench, receiver: Received, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from apprise.plugins.slack import NotifySlack
    from apprise.plugins.workflows import NotifyWorkflows

    # The real services' addresses are in the library; ours is the receiver's.
    real = NotifyWorkflows.send.__globals__["requests"].post
    monkeypatch.setattr(NotifySlack, "webhook_url", f"http://{receiver.address}/services")
    monkeypatch.setattr(
        NotifyWorkflows.send.__globals__["requests"], "post",
        lambda url, **options: real(url.replace("https://", "http://"), **options),
    )  # fmt: skip
    url = {
        "slack": f"slack://TAAAAAAAA/BAAAAAAAA/{'c' * 24}/",
        "teams": f"workflows://{receiver.address}/flow/{SECRET}/",
    }
    bench.channels = Channels(f"ops={url[service]}")
    bench.rule(RuleKind.NEW_GROUP)
    bench.look()
    bench.fail("<!channel> *S*")
    bench.look()
    assert bench.send() == 1
    (document,) = receiver.documents
    assert "New failures: CarrierTimeout in mail" in receiver.text
    assert "github" not in receiver.text, "nothing is fetched from elsewhere"
    if service == "slack":
        assert receiver.paths == [f"/services/TAAAAAAAA/BAAAAAAAA/{'c' * 24}"]
        assert document["attachments"][0]["color"]
        assert "<!channel>" not in receiver.text, "a key calls nobody"
    else:
        assert "AdaptiveCard" in receiver.text


# ── secrets ─────────────────────────────────────────────────────────────────────


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What a process logs that logs everything."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    before = logging.root.level
    logging.root.addHandler(handler)
    logging.root.setLevel(logging.DEBUG)
    yield written
    logging.root.setLevel(before)
    logging.root.removeHandler(handler)


def test_a_channel_s_url_is_in_no_table_no_log_and_no_error(bench: Bench, receiver: Received, log: io.StringIO) -> None:
    receiver.answer = 500
    bench.channels = Channels(f"ops=json://user:{SECRET}@{receiver.address}/{SECRET}")
    no_worker(bench)
    bench.look()
    bench.send()
    with pytest.raises(OperationRefused) as refused:
        bench.alerts.test("ops", bench.channels)
    assert SECRET not in f"{refused.value} {log.getvalue()} {bench.channels!r} {vars(bench.channels)!r}"
    assert "it answered with 500" in log.getvalue()
    tables = [row[0] for row in bench.bus.run("SELECT tablename FROM pg_tables WHERE schemaname = 'buslog'")]
    with db.connect(bench.dsn) as connection:
        for table in tables:
            cursor = connection.execute(f"SELECT t::text FROM buslog.{table} t")
            assert SECRET not in str(cursor.fetchall()), table


@pytest.mark.parametrize(
    "text", [f"json://h/{SECRET}", f"a b=json://h/{SECRET}", f"a=json://h a=json://h/{SECRET}", f"a=none://{SECRET}",
             f"a=slack://{SECRET}"],
)  # fmt: skip
def test_channels_that_cannot_be_read_are_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        Channels(text)
    assert refused.value.field == "BUSLOG_ALERT_CHANNELS"
    assert SECRET not in str(refused.value)


def test_a_url_where_a_name_belongs_is_refused_without_being_repeated() -> None:
    with pytest.raises(InvalidRule) as refused:
        Rule("x", RuleKind.NO_WORKER, threshold=60, channels=(f"slack://{SECRET}",))
    assert SECRET not in str(refused.value)


# ── operations ──────────────────────────────────────────────────────────────────


def test_each_change_of_a_rule_is_audited_with_what_it_was(bench: Bench) -> None:
    rule = Rule("the rule", RuleKind.NO_WORKER, threshold=60)
    bench.alerts.set_rule(rule, is_new=True, reason="new")
    with pytest.raises(OperationRefused):
        bench.alerts.set_rule(rule, is_new=True)
    bench.alerts.set_rule(Rule("the rule", RuleKind.NO_WORKER, threshold=90))
    bench.alerts.remove_rule("the rule")
    with pytest.raises(NotFound):
        bench.alerts.remove_rule("the rule")
    audited = bench.bus.run(
        """SELECT verb, outcome -> 'from' ->> 'threshold', outcome -> 'to' ->> 'threshold', reason
           FROM buslog.operations ORDER BY id"""
    )
    assert audited == [
        ("set alert", None, "60", "new"), ("set alert", "60", "90", None), ("remove alert", "90", None, None)
    ]  # fmt: skip


def test_only_an_admin_changes_rules(bench: Bench) -> None:
    theirs = Alerts(bench.dsn, ANNA)
    rule = bench.rule(RuleKind.NO_WORKER, threshold=60)
    attempts: list[Callable[[], object]] = [
        lambda: theirs.set_rule(rule), lambda: theirs.remove_rule(rule.name), lambda: theirs.test("ops", bench.channels)
    ]  # fmt: skip
    for attempt in attempts:
        with pytest.raises(RoleTooLow):
            attempt()
    denied = bench.bus.run("SELECT verb FROM buslog.operations WHERE outcome ? 'denied' ORDER BY id")
    assert denied == [("set alert",), ("remove alert",), ("test alert",)]
    assert bench.bus.run("SELECT count(*) FROM buslog.alert_rules") == [(1,)]


def test_a_rule_that_is_changed_or_removed_ends_its_alerts_untold(bench: Bench, receiver: Received) -> None:
    no_worker(bench, channels=("ops",))
    bench.look()
    bench.alerts.remove_rule("the rule")
    assert bench.send() == 0
    (alert,) = bench.history()
    assert alert.resolved_at is not None
    assert [notice.state for notice in alert.notices] == ["suppressed"]


def test_a_test_arrives(bench: Bench, receiver: Received) -> None:
    bench.alerts.test("ops", bench.channels)
    assert receiver.titles == ["buslog: a test"]
    with pytest.raises(NotFound):
        bench.alerts.test("nowhere", bench.channels)


@pytest.mark.parametrize(
    "options",
    [
        {"kind": RuleKind.FAILURE_RATE, "threshold": 0.0},
        {"kind": RuleKind.FAILURE_RATE, "threshold": 1.1},
        {"kind": RuleKind.FAILURE_RATE, "threshold": float("nan")},
        {"kind": RuleKind.FAILURE_RATE, "threshold": 0.5, "window": timedelta(days=2)},
        {"kind": RuleKind.FAILURE_RATE, "threshold": 0.5, "at_least": 0},
        {"kind": RuleKind.BACKLOG_AGE, "threshold": 0.0},
        {"kind": RuleKind.BACKLOG_AGE, "threshold": 90_000.0},
        {"kind": RuleKind.NO_WORKER, "threshold": 60, "remind": timedelta(seconds=1)},
        {"kind": RuleKind.NO_WORKER, "threshold": 60, "subscription": "a\nb"},
        {"kind": RuleKind.NO_WORKER, "threshold": 60, "quiet": Quiet(clock_time(1), clock_time(2), "Mars/Base")},
        {"kind": RuleKind.NO_WORKER, "threshold": 60, "quiet": Quiet(clock_time(1), clock_time(1))},
        {"kind": RuleKind.NO_WORKER, "threshold": 60, "name": "a\nb"},
    ],
)
def test_a_rule_that_cannot_be_kept_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidRule):
        Rule(**{"name": "x", **options})


def test_a_rule_written_by_sql_that_is_none_does_not_stop_the_others(bench: Bench) -> None:
    no_worker(bench)
    bench.bus.run(
        """INSERT INTO buslog.alert_rules (rule, kind, threshold, at_least, window_seconds, channels, zone, enabled)
           VALUES ('bad', 'failure rate', 7, 1, 60, '{}', 'UTC', true)"""
    )
    assert bench.occasions() == ["fired"]


# ── what is kept ────────────────────────────────────────────────────────────────


def test_an_alert_is_kept_for_so_many_days_after_it_was_over_and_goes_with_what_was_told_of_it(bench: Bench) -> None:
    for days, told in ((31, "old"), (29, "young"), (None, "not over")):
        bench.bus.run(
            """WITH alert AS (
                   INSERT INTO buslog.alerts (rule, what, since, fired_at, told_at, resolved_at)
                   SELECT 'the rule', %s, at, at, at, now() - make_interval(days => %s::integer)
                   FROM (SELECT now() - interval '60 days' AS at) AS long_ago RETURNING id)
               INSERT INTO buslog.alert_notices (alert_id, channel, occasion, title, body, made_at, due_at, is_held)
               SELECT id, 'ops', 'fired', %s, '', now(), now() + interval '1 day', false FROM alert""",
            told, days, told,
        )  # fmt: skip
    watch = Watch(bench.dsn, Channels(""), Settings(dsn=bench.dsn, alert_days=30))
    assert watch.once() == []  # nor is there a rule that is switched on
    assert [alert.what for alert in bench.history()] == ["not over", "young"]
    assert bench.bus.run("SELECT title FROM buslog.alert_notices ORDER BY id") == [("young",), ("not over",)]
