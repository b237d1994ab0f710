"""What the commands share: the database, payloads from a command line, words to the person or the program."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any

import click
from pydantic_core import to_jsonable_python

from buslog import db, logs
from buslog.config import settings
from buslog.errors import BuslogError, DatabaseUnavailable, InvalidMessage, Misconfigured

log = logging.getLogger("buslog.cli")

MAX_PAYLOAD_BYTES = 8_000_000  # 1 MB may be written six times as long, in \u escapes


JSON_OPTION = click.Option(
    ["--json"], is_flag=True, expose_value=False,
    help="For programs: JSON on stdout, a JSON object on stderr when something is wrong.",
)  # fmt: skip


def wants_json() -> bool:
    """Whether `--json` was given. Asked of the command line itself: click's own errors are JSON too."""
    return "--json" in takewhile(lambda argument: argument != "--", sys.argv[1:])


def give(document: Mapping[str, Any], *lines: str, none: str = "") -> None:
    """The result, on stdout: the document for a program, the lines for a person.

    none: what a person is told, on stderr, where there is no line.
    """
    if wants_json():
        click.echo(as_json(document))
    else:
        for line in lines:
            click.echo(line)
        if none and not lines:
            say(none)


def as_json(document: Mapping[str, Any]) -> str:
    """On one line; times in ISO 8601, ids as text."""
    return json.dumps(to_jsonable_python(document))


def say(text: str) -> None:
    """One line to the person, on stderr: results alone go to stdout. Nothing in it moves the cursor. A program gets it
    as a record of the log, where there is one.
    """
    line = " ".join(text.split())
    line = "".join(character if character.isprintable() else "�" for character in line)
    if logs.are_json():
        log.info(line)
    elif not wants_json():
        click.echo(line, err=True)


def complain(error: BuslogError, text: str) -> None:
    """What went wrong, on stderr: `text` for a person; for a program the error's five fields."""
    five = {"field": error.field, "rule": error.rule, "was": error.was, "limit": error.limit, "mend": error.mend}
    if logs.are_json():
        log.error(text, extra=five)
    elif wants_json():
        click.echo(as_json(five), err=True)
    else:
        say(text)


def start_logging(worker: str | None = None) -> None:
    """For the commands that run until they are told to stop. Raises `Misconfigured`."""
    logs.set_up(as_json=wants_json() or settings().log_format == "json", worker=worker)


def silence_stdout() -> None:
    """Whoever read our output has enough; without this Python complains once more when it closes stdout."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def place_of(error: BaseException) -> str:
    """`file:line` of where an exception was raised."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else "an unknown place"


def examples(*lines: str) -> str:
    """The end of a command's --help."""
    return verbatim("Examples:", *(f"  {line}" for line in lines))


def verbatim(*lines: str) -> str:
    """Lines of a --help that click leaves as they are."""
    return "\n".join(("\b", *lines))


@contextmanager
def opened(*, ready: bool = True) -> Iterator[db.Database]:
    """The database of the settings, held until the end; `ready`: with its schema.

    One that is not there to begin with is a matter of configuration: raises `Misconfigured`.
    """
    with as_configuration():
        database = db.Database(tell=say)
    try:
        say(f"Database: {database}")
        if ready:
            with as_configuration():
                database.prepare()
        yield database
    finally:
        database.close()


@contextmanager
def as_configuration() -> Iterator[None]:
    """A database that does not answer at the start was probably never named rightly."""
    try:
        yield
    except DatabaseUnavailable as error:
        raise error.recast(Misconfigured) from None


def read_payload(given: str) -> Any:
    """The JSON of an argument: itself, `@file`, or `-` for stdin. Raises `InvalidMessage`; never repeats the text."""
    text = _text_of(given)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidMessage(
            field="payload", rule="is JSON", was=f"{error.msg} at line {error.lineno} column {error.colno}",
            mend="""Write it as '{"shipmentId": "S-42"}', @file or -.""",
        ) from None  # fmt: skip
    except RecursionError:
        raise InvalidMessage(
            field="payload", rule="is nested at most 64 deep", was="many more levels", limit="64 levels",
            mend="Flatten the payload.",
        ) from None  # fmt: skip
    except ValueError:  # Python reads no integer of more than 4,300 digits
        raise InvalidMessage(
            field="payload", rule="has numbers of at most 4000 digits", was="a longer one", limit="4000 digits",
            mend="Send the number as text.",
        ) from None  # fmt: skip


def _text_of(given: str) -> str:
    if given != "-" and not given.startswith("@"):
        return given
    if given == "-":
        raw = sys.stdin.buffer.read(MAX_PAYLOAD_BYTES + 1)
    else:
        try:
            with Path(given[1:]).open("rb") as file:
                raw = file.read(MAX_PAYLOAD_BYTES + 1)
        except OSError as error:
            raise click.BadParameter(f"{given[1:]}: {error.strerror}.", param_hint="PAYLOAD") from None
    if len(raw) > MAX_PAYLOAD_BYTES:
        raise InvalidMessage(
            field="payload", rule="is at most 1 MB as JSON text", was=f"more than {MAX_PAYLOAD_BYTES} bytes",
            limit="1000000 bytes", mend="Store the document elsewhere and emit its address.",
        )  # fmt: skip
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidMessage(
            field="payload", rule="is UTF-8", was="bytes that are not", mend="Save the file as UTF-8."
        ) from None
