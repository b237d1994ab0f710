"""people: who has which role, and giving one."""

from __future__ import annotations

from dataclasses import asdict

import click

from buslog.cli.common import JSON_OPTION, examples, give, opened
from buslog.desk import Actor
from buslog.rights import Role

CLAIMED = "claimed"  # in place of a role: what the login says


@click.group(
    epilog=examples(
        "buslog people list",
        'buslog people set-role anna@example.com operator --reason "on duty from Monday"',
        "buslog people set-role anna@example.com claimed",
    )
)
def people() -> None:
    """Who has which role on the dashboard, and giving one: viewer, operator or admin."""


@people.command("list", epilog=examples("buslog people list --json"))
def list_() -> None:
    """Whoever has logged in or was given a role: person, role, how they got it, when they were last seen."""
    from buslog.insights import Insights  # noqa: PLC0415  (SQLAlchemy takes half a second to import)

    with opened() as database:
        insights = Insights(database.dsn)
        try:
            found = insights.people()
        finally:
            insights.close()
    give(
        {"people": [asdict(person) for person in found]},
        *(
            f"{person.person}\t{person.role}\t{'given' if person.given else 'claimed'}\t"
            f"{f'{person.last_seen:%Y-%m-%dT%H:%M:%SZ}' if person.last_seen else 'never seen'}"
            for person in found
        ),
        none="Nobody has logged in yet, or was given a role.",
    )


@people.command("set-role", epilog=examples("buslog people set-role anna@example.com admin"))
@click.argument("person")
@click.argument("role", type=click.Choice([*(role.value for role in Role), CLAIMED]))
@click.option("--reason", default="", help="Why; kept in the audit.")
def set_role(person: str, role: str, reason: str) -> None:
    """Give PERSON a role, which wins over what their login claims; `claimed`: their login decides again.

    They need not have logged in yet. It counts from their next click on.
    """
    from buslog.people import People  # noqa: PLC0415

    with opened() as database:
        given = None if role == CLAIMED else Role(role)
        People(database.dsn, Actor.local("cli")).set_role(person, given, reason=reason)
    give({"person": person, "role": given}, f"{person}\t{role}")


for command in people.commands.values():
    command.params.append(JSON_OPTION)
