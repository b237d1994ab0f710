"""alerts: the rules, what they found, and a look by hand."""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import asdict
from datetime import time, timedelta
from typing import TYPE_CHECKING

import click

from buslog.alerting.model import KeptRule, Quiet, Rule, RuleKind
from buslog.cli.common import JSON_OPTION, examples, give, opened, say
from buslog.config import settings
from buslog.desk import Actor
from buslog.errors import did_you_mean

if TYPE_CHECKING:
    from buslog.alerts import Alerts

KINDS = {kind.value.replace(" ", "-"): kind for kind in RuleKind}
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
NEVER = "never"


def operations(dsn: str) -> Alerts:
    from buslog.alerts import Alerts  # noqa: PLC0415

    return Alerts(dsn, Actor.local("cli"))


class Length(click.ParamType[timedelta]):
    """A time such as 90s, 15m, 4h, 7d."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"(\d{1,6})([smhd])", str(value))
        if found is None:
            self.fail(f"{value} is no time, such as 90s, 15m, 4h or 7d.", param, ctx)
        return timedelta(seconds=int(found[1]) * UNITS[found[2]])


class Remind(Length):
    """The same, or never."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        return timedelta(0) if value == NEVER else super().convert(value, param, ctx)


class Threshold(click.ParamType[float]):
    """A share such as 10%, or a time: in the unit of `Rule.threshold`."""

    name = "threshold"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = re.fullmatch(r"(\d{1,3}(?:\.\d{1,3})?)%", str(value))
        if found is None and re.fullmatch(r"[\d.]+", str(value)):
            self.fail(f"{value} is neither a share, such as 10%, nor a time, such as 90s.", param, ctx)
        return float(found[1]) / 100 if found else Length().convert(value, param, ctx).total_seconds()


class Hours(click.ParamType[tuple[time, time]]):
    """Hours of a day such as 22:00-07:00."""

    name = "hours"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[time, time]:
        try:
            start, end = (time.fromisoformat(part) for part in str(value).split("-"))
        except ValueError:
            self.fail(f"{value} is no hours, such as 22:00-07:00.", param, ctx)
        return start, end


@click.group(
    epilog=examples(
        "buslog alerts add mails --kind failure-rate --threshold 10% --window 15m --channel ops",
        "buslog alerts add workers --kind no-live-worker --threshold 60s --channel ops --channel chat",
        "buslog alerts list",
    )
)
def alerts() -> None:
    """Who is told when something is wrong: rules, looked at by workers and dashboards (BUSLOG_ALERT_CHANNELS)."""


@alerts.command("list", epilog=examples("buslog alerts list --json"))
def list_() -> None:
    """The rules: name, kind, whether and since when it fires, channels."""
    from buslog.insights import Insights  # noqa: PLC0415  (SQLAlchemy takes half a second to import)

    with opened() as database:
        insights = Insights(database.dsn)
        try:
            found = insights.alert_rules()
        finally:
            insights.close()
    give(
        {"rules": [asdict(kept) for kept in found]},
        *(f"{kept.rule.name}\t{kept.rule.kind}\t{_state(kept)}\t{','.join(kept.rule.channels)}" for kept in found),
        none="No rule yet: nobody is told when something is wrong. `buslog alerts add --help` has examples.",
    )


def _state(kept: KeptRule) -> str:
    if not kept.rule.enabled:
        return "off"
    if kept.firing_since:
        return f"firing since {kept.firing_since:%Y-%m-%dT%H:%M:%SZ}"
    return "well" if kept.checked_at else "not looked at yet"


@alerts.command(epilog=examples("buslog alerts add mails --kind failure-rate --threshold 10% --channel ops"))
@click.argument("name")
@click.option("--kind", required=True, type=click.Choice(list(KINDS)))
@click.option("--threshold", type=Threshold(), help="failure-rate: 10%; backlog-age, no-live-worker: a time, as 5m.")
@click.option("--window", type=Length(), help="failure-rate: how far back (15m). new-failure-group: unseen for (7d).")
@click.option(
    "--at-least", type=int, default=5, show_default=True, help="failure-rate: with fewer failures it is well."
)
@click.option("--subscription", help="This one alone.")
@click.option("--channel", "channels", multiple=True, help="A name in BUSLOG_ALERT_CHANNELS; repeatable.")
@click.option("--quiet", type=Hours(), help="Nothing is sent in these hours: 22:00-07:00.")
@click.option("--zone", help="Whose clocks the quiet hours are on: Europe/Berlin. The team's (BUSLOG_TZ) otherwise.")
@click.option("--remind", type=Remind(), default="4h", show_default=True, help="Told again while it lasts; or never.")
@click.option("--off", is_flag=True, help="Switched off.")
@click.option("--replace", is_flag=True, help="In place of the rule of that name.")
@click.option("--reason", default="", help="Why; kept in the audit.")
def add(
    name: str, *, kind: str, threshold: float | None, window: timedelta | None, at_least: int,
    subscription: str | None, channels: tuple[str, ...], quiet: tuple[time, time] | None, zone: str | None,
    remind: timedelta, off: bool, replace: bool, reason: str,
) -> None:  # fmt: skip
    """Add the rule NAME, or with --replace change it."""
    chosen = KINDS[kind]
    rule = Rule(
        name, chosen, USUAL_THRESHOLD[chosen] if threshold is None else threshold,
        window or USUAL_WINDOW.get(chosen, timedelta(minutes=15)), at_least, subscription, tuple(channels),
        Quiet(*quiet, zone or settings().tz) if quiet else None, remind or None, not off,
    )  # fmt: skip
    doubts = _doubtful_channels(rule)
    with opened() as database:
        operations(database.dsn).set_rule(rule, is_new=not replace, reason=reason)
        doubts += _doubtful_subscription(database.dsn, rule)
    give({"rule": asdict(rule), "doubts": doubts}, f"{name}\t{chosen}")
    for doubt in doubts:
        say(doubt)


def _doubtful_channels(rule: Rule) -> list[str]:
    """A channel may be known to the workers and dashboards alone: no error, but a slip would be told to nobody."""
    from buslog.alerting.channels import configured  # noqa: PLC0415

    if not rule.channels:
        return ["It is told to nobody: it has no --channel, and what it finds stands on the page Alerts alone."]
    unknown = [channel for channel in rule.channels if channel not in configured()]
    if not unknown:
        return []
    which = " or ".join(unknown)
    more = "a worker or a dashboard has to be started with it, or nobody is told there."
    return [f"BUSLOG_ALERT_CHANNELS has no channel {which} here: {more}"]


def _doubtful_subscription(dsn: str, rule: Rule) -> list[str]:
    if rule.subscription is None:
        return []
    from buslog.insights import Insights  # noqa: PLC0415  (SQLAlchemy takes half a second to import)

    with closing(Insights(dsn)) as insights:
        known = insights.subscription_names()
    if rule.subscription in known:
        return []
    return [f"No subscription is called {rule.subscription} yet. {did_you_mean(rule.subscription, known)}"]


USUAL_THRESHOLD = {
    RuleKind.FAILURE_RATE: 0.1, RuleKind.BACKLOG_AGE: 300.0, RuleKind.NEW_GROUP: 0.0, RuleKind.NO_WORKER: 60.0,
}  # fmt: skip
USUAL_WINDOW = {RuleKind.NEW_GROUP: timedelta(days=7)}


@alerts.command(epilog=examples("buslog alerts remove mails"))
@click.argument("name")
@click.option("--reason", default="", help="Why; kept in the audit.")
def remove(name: str, reason: str) -> None:
    """Remove the rule NAME. What it found stays as history."""
    with opened() as database:
        operations(database.dsn).remove_rule(name, reason=reason)
    give({"removed": name}, name)


@alerts.command(epilog=examples("buslog alerts test ops"))
@click.argument("channel")
def test(channel: str) -> None:
    """Send a test to CHANNEL, from this process."""
    from buslog.alerting.channels import configured  # noqa: PLC0415

    channels = configured()
    with opened() as database:
        operations(database.dsn).test(channel, channels)
    give({"sent": channel}, f"{channel}\tsent")


@alerts.command("run-once", epilog=examples("buslog alerts run-once"))
@click.pass_context
def run_once(ctx: click.Context) -> None:
    """Look at the rules now, and send what is due. Exit code 1 where another process is the one that looks."""
    from buslog.alerting.channels import configured  # noqa: PLC0415
    from buslog.alerting.watch import Watch  # noqa: PLC0415

    channels = configured()
    with opened() as database:
        watch = Watch(database.dsn, channels, settings())
        happened = watch.once()
    if happened is None:
        give({"looked": False, "happened": []}, "Another process looks at the rules.")
        ctx.exit(1)
    give(
        {"looked": True, "happened": [asdict(event) for event in happened]},
        *(f"{event.occasion}\t{event.rule}\t{event.what}" for event in happened),
    )


for command in alerts.commands.values():
    command.params.append(JSON_OPTION)
