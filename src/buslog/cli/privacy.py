"""erase, audit, duty: what is confidential, who did what, who is there."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from buslog.cli.common import JSON_OPTION, examples, give, opened, say, silence_stdout, wants_json
from buslog.desk import Actor
from buslog.filter import Range

if TYPE_CHECKING:
    from buslog.duty import Duty


@click.command(
    epilog=examples(
        'buslog erase --key S-42 --reason "GDPR request 118"',
        'buslog erase --key S-42 --confirm S-42 --reason "GDPR request 118"',
    )
)
@click.option("--key", required=True, help="The key, exactly.")
@click.option("--reason", required=True, help="Why; kept in the audit.")
@click.option("--confirm", metavar="KEY", help="The key once more; without it you are asked to type it.")
def erase(key: str, reason: str, confirm: str | None) -> None:
    """Erase payloads, errors and results of all messages of a key. There is no way back.

    Ids, names, times, states and the audit stay. Refused while a delivery of the key is unfinished: cancel it first.
    Broken off, it is carried on by the same command. Prints how many messages, deliveries and attempts were erased.
    """
    from buslog.privacy import Privacy  # noqa: PLC0415

    if confirm is None and wants_json():
        raise click.UsageError("With --json nobody is asked: give --confirm KEY.")
    with opened() as database:
        typed = click.prompt("Type the key again", err=True) if confirm is None else confirm
        done = Privacy(database.dsn, Actor.local("cli")).erase(
            key, typed=typed, reason=reason, progress=lambda messages: say(f"{messages:,} messages so far")
        )
    give(
        asdict(done),
        f"messages\t{done.messages:,}",
        f"deliveries\t{done.deliveries:,}",
        f"attempts\t{done.attempts:,}",
        *([f"views\t{done.views:,}"] if done.views else []),
        *([f"left, sent again meanwhile\t{done.left:,}"] if done.left else []),
    )


@click.command(
    epilog=examples("buslog audit > audit.csv", "buslog audit --actor local:anna --verb erase --from 2026-11-01")
)
@click.option("--actor", help="Exactly this person.")
@click.option("--verb", "verbs", multiple=True, help="This verb; repeat it for any of several.")
@click.option("--message", help="On this message.")
@click.option("--key", help="On messages of this key.")
@click.option("--subscription", help="On exactly this subscription.")
@click.option("--denied", is_flag=True, help="Only what was denied.")
@click.option("--from", "since", metavar="TIME", help="At or after: 2026-01-31, 2026-01-31T14:05Z. Default UTC.")
@click.option("--to", "until", metavar="TIME", help="Before.")
def audit(verbs: tuple[str, ...], *, denied: bool, since: str | None, until: str | None, **given: str | None) -> None:
    """Write the audit as CSV to stdout, newest first: who did what, when, why, to which. That is itself audited.

    Times are ISO 8601 in UTC. A text that a spreadsheet would take for a formula begins with an apostrophe. With --json
    each row is a JSON object on a line of its own.
    """
    from buslog.export import Format, stream_audit  # noqa: PLC0415  (SQLAlchemy takes half a second to import)
    from buslog.insights import AuditFilter  # noqa: PLC0415
    from buslog.privacy import Privacy  # noqa: PLC0415

    params: dict[str, str | list[str]] = {name: value or "" for name, value in given.items()}
    params |= {"verb": list(verbs), "outcome": "denied" if denied else "", "from": since or "", "to": until or ""}
    filter_ = AuditFilter.from_params(params, default=Range.ALL)
    with opened() as database:
        Privacy(database.dsn, Actor.local("cli")).exported("audit", {"filter": filter_.to_params(default=Range.ALL)})
        with closing(stream_audit(database.dsn, filter_, Format.JSON if wants_json() else Format.CSV)) as chunks:
            try:
                for chunk in chunks:
                    sys.stdout.buffer.write(chunk)
                sys.stdout.buffer.flush()
            except BrokenPipeError:
                silence_stdout()


@click.group(
    invoke_without_command=True,
    epilog=examples("buslog duty", "buslog duty take", 'buslog duty hand-over "carrier is down, replay nothing"'),
)
@click.pass_context
def duty(ctx: click.Context) -> None:
    """Who is on duty, and the note to them; take it, hand it over."""
    if ctx.invoked_subcommand is None:
        with opened() as database:
            shifts = _duty(database.dsn).shifts()
        lines = [
            f"{shift.who}\t{shift.since:%Y-%m-%dT%H:%M:%SZ}\t"
            f"{f'{shift.until:%Y-%m-%dT%H:%M:%SZ}' if shift.until else 'now'}\t{' '.join((shift.note or '').split())}"
            for shift in shifts
        ]
        give({"shifts": [asdict(shift) for shift in shifts]}, *(lines or ["nobody, so far"]))


@duty.command(epilog=examples("buslog duty take"))
def take() -> None:
    """Be on duty from now on; whoever was, no longer is."""
    with opened() as database:
        before = _duty(database.dsn).take()
    give({"from": before}, f"on duty, after {before}" if before else "on duty")


@duty.command("hand-over", epilog=examples('buslog duty hand-over "all is quiet"'))
@click.argument("note")
def hand_over(note: str) -> None:
    """End your duty, with a NOTE to the next person."""
    with opened() as database:
        _duty(database.dsn).hand_over(note)
    give({"handed_over": True}, "handed over")


for command in duty.commands.values():
    command.params.append(JSON_OPTION)


def _duty(dsn: str) -> Duty:
    from buslog.duty import Duty  # noqa: PLC0415

    return Duty(dsn, Actor.local("cli"))
