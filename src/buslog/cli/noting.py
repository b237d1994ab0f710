"""note: what a person writes down about a key or a message, through `notes`."""

from __future__ import annotations

import click

from buslog.cli.common import examples, give, opened
from buslog.desk import Actor


@click.command(
    epilog=examples(
        'buslog note "customer was called, waits for the new ETA" --key S-42',
        'buslog note "sent by hand" --message 019a3c5e-7f10-7abc-8def-0123456789ab',
    )
)
@click.argument("text")
@click.option("--key", help="About this key.")
@click.option("--message", "message_id", type=click.UUID, help="About this message.")
def note(text: str, key: str | None, message_id: object) -> None:
    """Write a note about a key or a message; prints the note's number.

    The dashboard shows it on the page of that key or message, with who wrote it and when.
    """
    if (key is None) == (message_id is None):
        raise click.UsageError("Give --key or --message, one of the two.")
    from buslog.notes import About, Notes  # noqa: PLC0415

    about, subject = (About.KEY, key or "") if key is not None else (About.MESSAGE, str(message_id))
    with opened() as database:
        number = Notes(database.dsn, Actor.local("cli")).add(about, subject, text)
    give({"note": number}, str(number))
