"""failures: what has failed, by cause, and what people do about it, through `groups`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from buslog.cli import filtering
from buslog.cli.common import JSON_OPTION, examples, give, opened
from buslog.desk import Actor

if TYPE_CHECKING:
    from buslog.groups import Groups
    from buslog.insights import FailureGroup

STATUSES = ("open", "acknowledged", "resolved")


class WithList(click.Group):
    """A group of commands that is one itself: without a command it lists."""

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(ctx.command_path, "[OPTIONS] [COMMAND]")


@click.group(
    cls=WithList,
    invoke_without_command=True,
    epilog=examples(
        "buslog failures",
        "buslog failures --status acknowledged --from 2026-11-01",
        'buslog failures assign 3f9a0c51d2e87b46 "Berta"',
        'buslog failures resolve 3f9a0c51d2e87b46 --reason "release 1.4 mends it"',
    ),
)
@click.option("--status", type=click.Choice(STATUSES), help="Only these; all of them otherwise.")
@filtering.options(without=("state", "group"))
@click.pass_context
def failures(ctx: click.Context, /, *, status: str | None, **given: Any) -> None:
    """What has failed, by cause: one line a group, the largest first.

    Each line: the group, how many are failed now, status, owner, when it came last, the error. Deliveries of a group
    are replayed with `buslog runs preview replay --group GROUP`, and listed with `buslog export --group GROUP`.
    """
    if ctx.invoked_subcommand is not None:
        return
    from buslog.insights import GroupStatus, Insights  # noqa: PLC0415  (SQLAlchemy takes half a second to import)

    with opened() as database:
        insights = Insights(database.dsn)
        try:
            filter_ = filtering.filter_of(database.dsn, given)
            found = insights.failure_groups(filter_, status=GroupStatus(status) if status else None)
        finally:
            insights.close()
    document = {"groups": found.groups, "by_status": found.by_status}
    give(document, *map(_line, found.groups), none="No failure is waiting, by this filter.")


def _line(group: FailureGroup) -> str:
    told = (group.fingerprint, str(group.count), group.status, group.owner or "-",
            f"{group.last_seen:%Y-%m-%dT%H:%M:%SZ}", f"{group.error_type}: {group.sample}")  # fmt: skip
    return "\t".join("".join(c if c.isprintable() else " " for c in part) for part in told)


group_argument = click.argument("group")
reason_option = click.option("--reason", default="", help="Why; kept in the audit.")


@failures.command(epilog=examples("buslog failures ack 3f9a0c51d2e87b46"))
@group_argument
@reason_option
def ack(group: str, reason: str) -> None:
    """Say that a group has been seen, and that somebody is on it."""
    _do(group, "acknowledged", lambda groups: groups.acknowledge(group, reason=reason))


@failures.command(epilog=examples('buslog failures assign 3f9a0c51d2e87b46 "Berta"'))
@group_argument
@click.argument("owner")
@reason_option
def assign(group: str, owner: str, reason: str) -> None:
    """Give a group to a person, by name; to nobody with an empty one."""
    done = f"assigned to {owner.strip()}" if owner.strip() else "assigned to nobody"
    _do(group, done, lambda groups: groups.assign(group, owner, reason=reason))


@failures.command(epilog=examples('buslog failures note 3f9a0c51d2e87b46 "The carrier is down until noon."'))
@group_argument
@click.argument("text")
def note(group: str, text: str) -> None:
    """Write down what is known about a group, in place of the note before."""
    _do(group, "noted", lambda groups: groups.note(group, text))


@failures.command(epilog=examples('buslog failures resolve 3f9a0c51d2e87b46 --reason "release 1.4 mends it"'))
@group_argument
@reason_option
def resolve(group: str, reason: str) -> None:
    """Say that a group's cause is mended. It opens by itself when it fails again."""
    _do(group, "resolved", lambda groups: groups.resolve(group, reason=reason))


@failures.command(epilog=examples("buslog failures reopen 3f9a0c51d2e87b46"))
@group_argument
@reason_option
def reopen(group: str, reason: str) -> None:
    """Open a group that was acknowledged or resolved."""
    _do(group, "open", lambda groups: groups.reopen(group, reason=reason))


for command in failures.commands.values():
    command.params.append(JSON_OPTION)


def _do(group: str, done: str, change: Callable[[Groups], bool]) -> None:
    from buslog.groups import Groups  # noqa: PLC0415  (SQLAlchemy takes half a second to import)

    with opened() as database:
        changed = change(Groups(database.dsn, Actor.local("cli")))
    give({"group": group, "now": done, "changed": changed}, f"{group}\t{'' if changed else 'was already '}{done}")
