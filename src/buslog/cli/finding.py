"""views, refs: what the dashboard's filters go by."""

from __future__ import annotations

from contextlib import closing
from uuid import UUID

import click

from buslog.cli.common import JSON_OPTION, examples, give, opened, say
from buslog.desk import Actor
from buslog.filter import Filter
from buslog.refs import Backfilled, Refs
from buslog.views import Views


def _views(dsn: str) -> Views:
    return Views(dsn, Actor.local("cli"))


@click.group(
    epilog=examples(
        "buslog views list",
        "buslog views save 'Carrier down' 'state=failed&error=CarrierTimeout&range=24h' --shared",
        "buslog views rename VIEW_ID 'MSC down'",
    )
)
def views() -> None:
    """Saved views: filters under a name, for oneself or for the team."""


@views.command("list", epilog=examples("buslog views list --json"))
def list_() -> None:
    """The views that you see: your own, then what others share. Id, name, whose, filter."""
    from buslog.insights import Insights  # noqa: PLC0415  (SQLAlchemy takes half a second to import)

    who = Actor.local("cli").name
    with opened() as database, closing(Insights(database.dsn)) as insights:
        found = insights.views(who)
    give(
        {"views": [{"id": v.id, "name": v.name, "who": v.who, "shared": v.is_shared, "filter": v.text} for v in found]},
        *("\t".join((str(v.id), v.name or "", f"{v.who}{', shared' if v.is_shared else ''}", v.text)) for v in found),
        none="No view is saved yet.",
    )


@views.command(epilog=examples("buslog views save Failed 'state=failed&range=7d'"))
@click.argument("name")
@click.argument("filter_", metavar="FILTER")
@click.option("--shared", is_flag=True, help="Show it to everybody.")
def save(name: str, filter_: str, *, shared: bool) -> None:
    """Save a filter, written as after the question mark of a Log's address; prints its id.

    A view of yours of that name is replaced.
    """
    wanted = Filter.from_text(filter_)
    with opened() as database:
        view_id = _views(database.dsn).save(name, wanted, is_shared=shared)
    give({"id": view_id}, str(view_id))


@views.command(epilog=examples("buslog views rename 0b1c… 'MSC down'"))
@click.argument("view", type=click.UUID)
@click.argument("name")
def rename(view: UUID, name: str) -> None:
    """Give a view of yours another name."""
    with opened() as database:
        _views(database.dsn).rename(view, name)
    give({"id": view, "name": name}, f"renamed to {name}")


@views.command(epilog=examples("buslog views delete 0b1c…"))
@click.argument("view", type=click.UUID)
def delete(view: UUID) -> None:
    """Delete a view of yours; links to it lead nowhere from then on."""
    with opened() as database:
        _views(database.dsn).delete(view)
    give({"id": view, "deleted": True}, "deleted")


@click.group(
    epilog=examples("BUSLOG_REF_FIELDS=containers.*.number,booking buslog worker my_app:bus", "buslog refs backfill")
)
def refs() -> None:
    """Refs: more values to find a message by, such as its containers. They come from BUSLOG_REF_FIELDS."""


@refs.command(epilog=examples("buslog refs backfill"))
def backfill() -> None:
    """Find the refs of what was said before BUSLOG_REF_FIELDS was set, or by other fields.

    It looks through the whole log in short transactions, while the bus works on. It can be broken off and repeated.
    """

    def tell(done: Backfilled) -> None:
        say(f"{done.messages:,} messages, {done.refs:,} refs")

    with opened() as database:
        done = Refs(database.dsn, Actor.local("cli")).backfill(tell)
    give(
        {"messages": done.messages, "refs": done.refs},
        f"{done.messages:,} messages looked through, {done.refs:,} refs are new",
    )


for command in (*views.commands.values(), *refs.commands.values()):
    command.params.append(JSON_OPTION)
