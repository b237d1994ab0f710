"""runs: replay, run now or cancel of all that a filter finds, through `replays`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from buslog.cli import filtering
from buslog.cli.common import JSON_OPTION, examples, give, opened, say
from buslog.desk import Actor
from buslog.filter import Range

if TYPE_CHECKING:
    from buslog.replays import Preview, Replays, Run

VERBS = ("replay", "run-now", "cancel")  # as the commands that do it to one are called


def replays(dsn: str) -> Replays:
    from buslog.replays import Replays  # noqa: PLC0415  (SQLAlchemy takes half a second to import)

    return Replays(dsn, Actor.local("cli"))


@click.group(
    epilog=examples(
        "buslog runs preview replay --state failed --name shipmentDeparted --from 2026-11-01",
        'buslog runs start 12 --reason "the carrier is back"',
        "buslog runs stop 12",
    )
)
def runs() -> None:
    """Replay, run now or cancel all that a filter finds: preview, start, show, stop.

    Workers carry a run on; nobody has to stay for it.
    """


@runs.command(epilog=examples("buslog runs preview replay --state failed --subscription freight.emails:send"))
@click.argument("verb", type=click.Choice(VERBS))
@filtering.options()
def preview(verb: str, **given: Any) -> None:
    """Freeze what a filter finds, and say what a run would do; prints the run's number first.

    Nothing is sent. A preview that is not started within an hour is forgotten.
    """
    from buslog.replays import Verb  # noqa: PLC0415

    with opened() as database:
        found = replays(database.dsn).preview(filtering.filter_of(database.dsn, given), Verb(verb.replace("-", " ")))
    _give_preview(found)


@runs.command(epilog=examples("buslog runs again 12"))
@click.argument("run", type=int)
def again(run: int) -> None:
    """Preview a replay of what failed again in a run."""
    with opened() as database:
        found = replays(database.dsn).preview_failed(run)
    _give_preview(found)


@runs.command(epilog=examples("buslog runs rest 12"))
@click.argument("run", type=int)
def rest(run: int) -> None:
    """Preview what a stopped run did not send, with the same verb."""
    with opened() as database:
        found = replays(database.dsn).preview_rest(run)
    _give_preview(found)


@runs.command(epilog=examples('buslog runs start 12 --reason "the carrier is back" --rate 20'))
@click.argument("run", type=int)
@click.option("--reason", default="", help="Why; kept in the audit. A cancel, and what had succeeded, need one.")
@click.option("--canary", type=int, default=5, show_default=True, help="So many first; the rest once they succeeded.")
@click.option("--rate", type=float, help="Sent in a second.")
@click.option("--undo", type=float, default=10.0, show_default=True, help="Seconds in which a stop prevents all of it.")
@click.option("--leave-superseded", is_flag=True, help="Do not send what a newer message has overtaken.")
def start(run: int, **values: Any) -> None:
    """Start a previewed run."""
    with opened() as database:
        found = replays(database.dsn).start(run, **values)
    _give_run(found)


@runs.command(epilog=examples("buslog runs stop 12"))
@click.argument("run", type=int)
@click.option("--reason", default="", help="Why; kept in the audit.")
def stop(run: int, reason: str) -> None:
    """Send nothing more of a run; what was sent goes on."""
    with opened() as database:
        found = replays(database.dsn).stop(run, reason=reason)
    _give_run(found)


@runs.command(epilog=examples("buslog runs show 12 --json"))
@click.argument("run", type=int)
def show(run: int) -> None:
    """How far a run is."""
    with opened() as database:
        found = replays(database.dsn).run(run)
    _give_run(found)


@runs.command("list", epilog=examples("buslog runs list", "buslog runs list --before 40 --json"))
@click.option("--before", type=int, metavar="RUN", help="Only those older than this one.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="So many.")
def list_(before: int | None, limit: int) -> None:
    """The runs that were started, newest first: number, state, what it does, to how many, who and when."""
    with opened() as database:
        found = replays(database.dsn).runs(before=before, places=limit)
    give({"runs": [_document(run) for run in found]}, *(_line(run) for run in found),
         none="No run was started yet." if before is None else "None is older.")  # fmt: skip


for command in runs.commands.values():
    command.params.append(JSON_OPTION)


def _give_preview(found: Preview) -> None:
    skipped = {reason: str(count) for reason, count in found.skipped.items()}
    more = " (the filter finds more; these are the oldest)" if found.is_capped else ""
    superseded = "not found out in time" if found.superseded is None else f"{found.superseded:,}"
    oldest = f"{found.oldest:%Y-%m-%dT%H:%M:%SZ}" if found.oldest else "none"
    give(
        {**_document(found), "skipped": skipped},
        str(found.run),
        f"eligible\t{found.eligible:,}{more}",
        f"oldest\t{oldest}",
        f"superseded\t{superseded}",
        f"caused\t{_caused(found)}",
        *(f"skipped, {reason}\t{count}" for reason, count in skipped.items()),
    )
    say(
        f"Nothing is sent yet: `buslog runs start {found.run}` does it."
        if found.eligible
        else "There is nothing to do."
    )


def _caused(found: Preview) -> str:
    if found.caused is None:
        return "not found out in time"
    return ", ".join(f"{each.messages:,} {each.name}" for each in found.caused) or "nothing"


def _line(run: Run) -> str:
    started = f"{run.started_at:%Y-%m-%dT%H:%M:%SZ}" if run.started_at else ""
    progress = f"{run.settled:,} of {run.deliveries:,} settled"
    return "\t".join((str(run.id), run.state, run.verb, progress, run.actor, started))


def _give_run(found: Run) -> None:
    is_stopped = found.state == "stopped"
    numbers = ("waiting", "sent", "succeeded", "failed_again", "cancelled", "skipped")
    labels = {"waiting": "not sent" if is_stopped else "waiting"}
    why = f": {found.stopped_why}" if found.stopped_why else ""
    give(
        _document(found),
        f"{found.id}\t{found.verb}\t{found.state}{why}",
        *(f"{labels.get(name, name.replace('_', ' '))}\t{getattr(found, name):,}" for name in numbers),
    )


def _document(found: Preview | Run) -> dict[str, Any]:
    return {**asdict(found), "filter": found.filter.to_params(default=Range.ALL)}
