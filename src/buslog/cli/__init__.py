"""The command `buslog`. `main` turns what goes wrong into one line on stderr and an exit code."""

from __future__ import annotations

import os
import signal
import sys
from importlib import metadata
from typing import NoReturn

import click

from buslog.cli.alerts import alerts
from buslog.cli.causes import failures
from buslog.cli.common import JSON_OPTION, complain, examples, place_of, silence_stdout, verbatim, wants_json
from buslog.cli.files import export, import_, migrate
from buslog.cli.finding import refs, views
from buslog.cli.looking import doctor, metrics
from buslog.cli.many import runs
from buslog.cli.noting import note
from buslog.cli.operating import cancel, emit, pause, replay, resume, run, run_now, unregister
from buslog.cli.people import people
from buslog.cli.privacy import audit, duty, erase
from buslog.cli.processes import dashboard, up, worker
from buslog.errors import (
    BuslogError,
    InvalidFilter,
    InvalidImport,
    InvalidMessage,
    InvalidRule,
    InvalidSubscription,
    Misconfigured,
    UnknownCommand,
)

FAILED, MISUSED, INTERRUPTED = 1, 2, 130

# Wrong whatever the state of the bus: asking again in the same words cannot help.
MISUSES = (
    Misconfigured,
    InvalidMessage,
    InvalidImport,
    InvalidFilter,
    InvalidRule,
    InvalidSubscription,
    UnknownCommand,
)


EXIT_CODES = verbatim(
    "Exit codes:",
    "  0    done",
    "  1    failed: the database broke off, the state of a delivery does not allow it, a command failed,",
    "       doctor has found something",
    "  2    misuse or configuration: wrong arguments, payload, file or settings, no database to begin with",
)


class InOrder(click.Group):
    """Lists its commands in the order they are given, not in the alphabet's."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (click's signature)
        return list(self.commands)


def _version() -> str:
    try:
        return metadata.version("buslog")
    except metadata.PackageNotFoundError:
        return "of a source folder that is not installed"


@click.group(
    cls=InOrder,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog=examples(
        "buslog up examples.freight:bus",
        'buslog emit shipmentDeparted \'{"shipmentId": "S-42"}\'',
        'buslog run resyncTracking \'{"shipmentId": "S-42"}\' --wait 10',
        "buslog export --state failed --from 2026-11-01 > failed.csv",
    )
    + "\n\n"
    + EXIT_CODES,
)
@click.version_option(_version())
def buslog() -> None:
    """An event bus with a memory, and the control room over it.

    The database is BUSLOG_DSN (PostgreSQL 16 or later); when it is unset, an embedded PostgreSQL in .buslog/, looked
    for from the working directory upwards and made on first use. Every command says on stderr which one it uses.

    With --json a command gives one JSON document on stdout (export: one a line), and nothing on stderr but, when
    something is wrong, an object with field, rule, was, limit and mend. The exit codes are the same. What runs until
    it is told to stop logs one JSON object a line instead, as with BUSLOG_LOG_FORMAT=json.
    """


# Where the first sentence of a command's own help is too long for a line of the list.
SHORT = {
    "up": "Bring up the whole system: database, worker, dashboard.",
    "metrics": "Print what Prometheus scrapes.",
    "emit": "Emit a message.",
    "run": "Run a registered command by hand.",
    "replay": "Send ended deliveries of a message again.",
    "run-now": "Make waiting deliveries of a message due at once.",
    "cancel": "End open or failed deliveries of a message.",
    "runs": "Replay, run now or cancel all that a filter finds.",
    "failures": "What has failed, by cause.",
    "pause": "Hold a subscription until it is resumed.",
    "people": "Who has which role on the dashboard; give one.",
    "alerts": "Who is told when something is wrong.",
    "export": "Write the log to stdout: CSV, Excel or Parquet.",
    "import": "Take over an existing history, never executed.",
    "note": "Write a note about a key or a message.",
    "audit": "Write who did what, when and why to stdout, as CSV.",
    "duty": "Who is on duty; take it, hand it over.",
    "erase": "Erase what is kept about a key.",
    "views": "Saved filters, for oneself or for the team.",
    "refs": "More values to find a message by (BUSLOG_REF_FIELDS).",
}

for command in (
    up, worker, dashboard, migrate, doctor, metrics, emit, run, replay, run_now, cancel, runs, failures, pause,
    resume, people, alerts, export, import_, note, audit, erase, duty, views, refs, unregister,
):  # fmt: skip
    command.params.append(JSON_OPTION)
    command.short_help = SHORT.get(command.name or "")
    buslog.add_command(command)


def main() -> NoReturn:
    """The console script. Ends the process with 0, 1, 2 or, interrupted, 130."""
    # A polite end for every command, so that the embedded server is let go: an exception, like Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if sys.stdout is None:  # closed by whoever started us
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    sys.exit(_run())


def _run() -> int:
    try:
        code = buslog(prog_name="buslog", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        silence_stdout()
        return 0
    except click.ClickException as error:
        if wants_json():
            mend = "`buslog COMMAND --help` has examples."
            complain(BuslogError(field="command line", rule=error.format_message(), mend=mend), "")
        else:
            error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        complain(BuslogError(field="command", rule="comes to its end", was="interrupted"), "Interrupted.")
        return INTERRUPTED
    except BuslogError as error:
        complain(error, f"Error: {error}")
        return MISUSED if isinstance(error, MISUSES) else FAILED
    except OSError as error:
        was = f"{error.strerror or type(error).__name__}{f': {error.filename}' if error.filename else ''}"
        complain(BuslogError(field="file", rule="can be read and written", was=was), f"Error: {was}")
        return FAILED
    except Exception as error:  # noqa: BLE001  (its text and its trace may hold a payload)
        was = f"{type(error).__name__} at {place_of(error)}"
        unforeseen = BuslogError(field="buslog", rule="foresees what goes wrong", was=was, mend="Please report it.")
        complain(unforeseen, f"Internal error: {was}. Please report it.")
        return FAILED
    return code if isinstance(code, int) else 0
