"""emit, run, replay, run-now, cancel, pause, resume, unregister: what a person does to the bus, through operations."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import IO, TYPE_CHECKING
from uuid import UUID

import click

from buslog.cli.common import as_json, complain, examples, give, opened, read_payload, say, wants_json
from buslog.desk import Actor
from buslog.errors import BuslogError, InvalidImport, NotFound, OperationRefused, UnknownCommand, did_you_mean
from buslog.message import ENDED_STATES, OPEN_STATES, DeliveryRef, State
from buslog.operations import Operations
from buslog.registrations import Registrations

if TYPE_CHECKING:
    from buslog.insights import DeliveryDetail, Insights

LOOK_EVERY = 0.1  # seconds

key_option = click.option("--key", help="The business key; by default the payload's shipmentId (BUSLOG_KEY_FIELD).")
payload_argument = click.argument("payload", default="{}")


def operations(dsn: str) -> Operations:
    return Operations(dsn, Actor.local("cli"))


@click.command(
    epilog=examples(
        'buslog emit shipmentDeparted \'{"shipmentId": "S-42"}\'',
        'buslog emit "T02 Check confirmation" @payload.json --key case-891',
        "jq .event message.json | buslog emit shipmentDeparted -",
    )
)
@click.argument("name")
@payload_argument
@key_option
def emit(name: str, payload: str, key: str | None) -> None:
    """Emit a message; prints its id.

    PAYLOAD is a JSON object, @FILE to read it from a file, or - to read it from stdin; without it, {}.
    """
    content = read_payload(payload)
    with opened() as database:
        message_id = operations(database.dsn).emit(name, content, key=key)
    give({"message_id": message_id}, str(message_id))


@click.command(
    epilog=examples(
        'buslog run resyncTracking \'{"shipmentId": "S-42"}\'',
        'buslog run resyncTracking \'{"shipmentId": "S-42"}\' --wait 10 | tail -1 | jq .',
        'buslog run resyncTracking --csv shipments.csv --reason "the carrier is back"',
    )
)
@click.argument("command")
@payload_argument
@key_option
@click.option("--wait", type=click.FloatRange(min=0), metavar="SECONDS", help="Wait for the result and print it.")
@click.option("--reason", default="", help="Why; kept in the audit.")
@click.option(
    "--csv", "file", type=click.File("rb"), help="Once for each row of a CSV file (- is stdin), or not at all."
)
@click.pass_context
def run(
    ctx: click.Context, *, command: str, payload: str, key: str | None, wait: float | None, reason: str,
    file: IO[bytes] | None,
) -> None:  # fmt: skip
    """Run a registered command by hand; prints the message's id.

    PAYLOAD is checked against the command's schema: a JSON object, @FILE, or - for stdin. With --wait the result is
    printed as JSON on the next line; the exit code is 1 when the command fails or does not end in time.

    With --csv the columns are the payload's fields (carrier.scac for one inside another) and, if need be, key. What is
    wrong is named by row and column, and nothing is run. Prints the batch: the correlation id of all of its messages.
    """
    if file is not None:
        if payload != "{}" or key is not None or wait is not None:
            raise click.UsageError("--csv goes without PAYLOAD, --key and --wait.")
        _run_file(command, file, reason)
        return
    content = read_payload(payload)
    with opened() as database:
        message_id = operations(database.dsn).run_command(command, content, key=key, reason=reason)
        if wait is None or not wants_json():
            give({"message_id": message_id}, str(message_id))
        if wait is not None and not _print_result(database.dsn, message_id, wait):
            ctx.exit(1)


def _run_file(command: str, file: IO[bytes], reason: str) -> None:
    from buslog.console import batch, forms  # noqa: PLC0415  (slow to import; only here)
    from buslog.insights import Insights  # noqa: PLC0415

    data = file.read(batch.MAX_BYTES + 1)
    with opened() as database:
        insights = Insights(database.dsn)
        try:
            schemas = {one.name: one.schema for one in insights.commands()}
        finally:
            insights.close()
        if command not in schemas:
            mend = did_you_mean(command, list(schemas))
            raise UnknownCommand(field="command", rule="is registered", was=command, mend=mend)
        read = batch.read_csv(data, forms.fields_of(schemas[command]), schemas[command])
        if read.faults:
            for fault in read.faults[1:]:
                say(f"row {fault.row}, column {fault.column}: {fault.told}")
            first = read.faults[0]
            raise InvalidImport(field=f"row {first.row}, column {first.column}", rule=first.told,
                                mend="Nothing was run: correct the file.")  # fmt: skip
        started = operations(database.dsn).run_many(command, read.asked, reason=reason)
    give({"batch": started.batch, "count": len(read.asked)}, str(started.batch))


def _print_result(dsn: str, message_id: UUID, wait: float) -> bool:
    """Whether the command succeeded within `wait` seconds; its result is printed then. A program is told either way."""
    give_up_at = time.monotonic() + wait
    from buslog.insights import Insights  # noqa: PLC0415  (SQLAlchemy takes half a second to import)

    insights = Insights(dsn)
    try:
        while True:
            delivery = _latest(insights, message_id)[0]
            if delivery.state in ENDED_STATES or time.monotonic() >= give_up_at:
                break
            time.sleep(LOOK_EVERY)
    finally:
        insights.close()
    result = _on_one_line(delivery.result or "null")
    if wants_json():
        known = {"message_id": message_id, "state": delivery.state, "attempts": delivery.attempts,
                 "error_type": delivery.error_type, "error": delivery.error}  # fmt: skip
        click.echo(f'{as_json(known)[:-1]}, "result": {result}}}')  # as text: its numbers stay what they are
    elif delivery.state is State.SUCCEEDED:
        click.echo(result)
    if delivery.state is State.SUCCEEDED:
        return True
    was = f"{delivery.error_type}: {delivery.error}"
    if delivery.state in ENDED_STATES:
        error = BuslogError(field="command", rule="succeeds", was=f"{delivery.state}: {was}")
        complain(error, f"The command ended {delivery.state}: {was}")
    else:
        last = f" Its last error: {was}" if delivery.error_type else ""
        why = "" if delivery.is_hosted else " No live worker runs it."
        error = BuslogError(
            field="command", rule="ends within the wait", was=f"{delivery.state}.{why}{last}", limit=f"{wait:g} s"
        )
        complain(error, f"The command has not ended within {wait:g} s; it is {delivery.state}.{why}{last}")
    return False


def _on_one_line(pretty: str) -> str:
    """Indented JSON on one line, its numbers untouched: a line end inside a text would be an escape."""
    return " ".join(line.strip(" ") for line in pretty.split("\n"))


reason_option = click.option("--reason", default="", help="Why; kept in the audit.")
message_argument = click.argument("message_id", type=click.UUID)
subscription_argument = click.argument("subscription", required=False)


@click.command(
    epilog=examples(
        "buslog replay 019a3c5e-7f10-7abc-8def-0123456789ab",
        'buslog replay 019a3c5e-7f10-7abc-8def-0123456789ab freight.emails:send --reason "mail server is back"',
    )
)
@message_argument
@subscription_argument
@reason_option
def replay(message_id: UUID, subscription: str | None, reason: str) -> None:
    """Send an ended delivery again: of SUBSCRIPTION, or every failed one of the message.

    Prints a line for each delivery that was sent: message id and subscription. Only what failed runs again, unless
    you name a subscription that succeeded: that wants a reason.
    """
    _move(message_id, subscription, lambda acting: acting.replay, _REPLAYED, reason)


@click.command("run-now", epilog=examples("buslog run-now 019a3c5e-7f10-7abc-8def-0123456789ab"))
@message_argument
@subscription_argument
@reason_option
def run_now(message_id: UUID, subscription: str | None, reason: str) -> None:
    """Make a retrying or scheduled delivery due at once: of SUBSCRIPTION, or every such one of the message.

    Prints a line for each. No extra attempt is charged.
    """
    _move(message_id, subscription, lambda acting: acting.run_now, _MADE_DUE, reason)


@click.command(
    epilog=examples(
        'buslog cancel 019a3c5e-7f10-7abc-8def-0123456789ab freight.emails:send --reason "customer has left"'
    )
)
@message_argument
@subscription_argument
@reason_option
def cancel(message_id: UUID, subscription: str | None, reason: str) -> None:
    """End an open or failed delivery as cancelled: of SUBSCRIPTION, or every such one of the message.

    Prints a line for each. An attempt under way is not stopped; its outcome is refused. What has failed is cancelled
    only with a reason.
    """
    _move(message_id, subscription, lambda acting: acting.cancel, _CANCELLED, reason)


@click.command(epilog=examples('buslog pause emails:send --reason "mail server is being moved"'))
@click.argument("subscription")
@click.option("--reason", default="", help="Why; it is kept in the audit.")
def pause(subscription: str, reason: str) -> None:
    """Hold a subscription: nobody claims its deliveries until it is resumed.

    What runs goes on, what is emitted waits.
    """
    with opened() as database:
        moved = operations(database.dsn).pause(subscription, reason=reason)
    document = {"subscription": subscription, "paused": True, "changed": moved}
    give(document, f"{subscription}\t{'paused' if moved else 'was paused already'}")


@click.command(epilog=examples("buslog resume emails:send"))
@click.argument("subscription")
@click.option("--reason", default="", help="Why; it is kept in the audit.")
def resume(subscription: str, reason: str) -> None:
    """Let a paused subscription's deliveries go on."""
    with opened() as database:
        moved = operations(database.dsn).resume(subscription, reason=reason)
    document = {"subscription": subscription, "paused": False, "changed": moved}
    give(document, f"{subscription}\t{'resumed' if moved else 'was not paused'}")


@click.command(epilog=examples('buslog unregister emails:send_old --reason "moved to billing"'))
@click.argument("subscription")
@click.option("--reason", default="", help="Why; it is kept in the audit.")
def unregister(subscription: str, reason: str) -> None:
    """Take a subscription off the bus that its code has left behind.

    New messages do not reach it, and no publisher waits for it; what it was already sent stays. Refused while a live
    worker hosts it. A process that starts with its code registers it again.
    """
    with opened() as database:
        moved = Registrations(database.dsn, Actor.local("cli")).unregister(subscription, reason=reason)
    document = {"subscription": subscription, "registered": False, "changed": moved}
    give(document, f"{subscription}\t{'off the bus' if moved else 'was off the bus already'}")


Move = Callable[..., list[DeliveryRef]]

_REPLAYED, _MADE_DUE, _CANCELLED = (State.FAILED,), (State.RETRYING, State.SCHEDULED), (*OPEN_STATES, State.FAILED)
_WITHOUT: dict[tuple[State, ...], str] = {  # what one does where no delivery of the message is in these states
    _REPLAYED: "To send again what has succeeded or was cancelled, name its subscription; the first wants a reason.",
    _MADE_DUE: "What has ended is sent again by `buslog replay`; what is pending waits for a worker.",
    _CANCELLED: "What has succeeded or was cancelled has ended: there is nothing to cancel.",
}


def _move(
    message_id: UUID,
    subscription: str | None,
    move: Callable[[Operations], Move],
    states: Sequence[State],
    reason: str,
) -> None:
    with opened() as database:
        if subscription:
            wanted = [DeliveryRef(message_id, subscription)]
        else:
            wanted = _in_states(database.dsn, message_id, states)
        moved = move(operations(database.dsn))(wanted, reason=reason)
    give({"deliveries": moved}, *(f"{ref.message_id}\t{ref.subscription}" for ref in moved))


def _in_states(dsn: str, message_id: UUID, states: Sequence[State]) -> list[DeliveryRef]:
    from buslog.insights import Insights  # noqa: PLC0415  (SQLAlchemy takes half a second to import)

    insights = Insights(dsn)
    try:
        if insights.message(message_id) is None:
            raise NotFound(field="message", rule="exists", was=str(message_id), mend="Look for it in the Log.")
        deliveries = _latest(insights, message_id)
    finally:
        insights.close()
    found = [delivery.ref for delivery in deliveries if delivery.state in states]
    if not found:
        raise OperationRefused(
            field="message", rule=f"has a delivery that is {' or '.join(states)}",
            was=", ".join(sorted({delivery.state for delivery in deliveries})) or "without deliveries",
            mend=_WITHOUT[tuple(states)],
        )  # fmt: skip
    return found


def _latest(insights: Insights, message_id: UUID) -> list[DeliveryDetail]:
    return [delivery for delivery in insights.deliveries(message_id) if delivery.is_latest]
