"""History that happened elsewhere, taken over into the log as it was: own times, never executed.

A file is JSON Lines: one object a line, UTF-8; a byte order mark and blank lines are passed over.

    {"name": "Ship departed", "key": "S-42", "emitted_at": "2012-01-23T15:42:54.644+01:00", "payload": {…},
     "kind": "event", "correlation_id": "<uuid>", "causation_id": "<uuid>",
     "deliveries": [{"subscription": "mail:send", "state": "failed", "attempts": 8,
                     "finished_at": "2012-01-23T15:50:00+01:00", "error_type": "TimeoutError", "error": "…"}]}

`name`, `emitted_at` and `payload` must be there. Without `key` the payload's key field counts, as at an emit.

**How a line is recognised**: by what it says. Its id is made of `emitted_at` and a hash of the line's content (order
of fields, spacing, escapes and the offset of the times aside), so a line that was imported before, or that stands
twice in a file, adds nothing. A line that differs in any field, its deliveries included, is another message.

Everything is checked and stored in one transaction: a bad line, and nothing of the file is in the log.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from hashlib import blake2b
from typing import IO, Any, NamedTuple, NoReturn
from uuid import UUID

from buslog import db
from buslog.desk import Actor, Desk
from buslog.errors import BuslogError, InvalidImport, InvalidMessage, did_you_mean, shorten
from buslog.message import ENDED_STATES, Kind
from buslog.payload import MAX_DEPTH, MAX_DIGITS, check_key, check_name, encode

MAX_LINE_BYTES = 8_000_000  # a payload of 1 MB may be written six times as long, in \u escapes
MAX_DELIVERIES = 1_000
MAX_ATTEMPTS = 32_767
MAX_ERROR_LENGTH = 64_000
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
TELL_EVERY = 1_000

FIELDS = ("name", "key", "payload", "emitted_at", "kind", "correlation_id", "causation_id", "deliveries")
DELIVERY_FIELDS = ("subscription", "state", "attempts", "finished_at", "error_type", "error")

Progress = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did. `known` lines were in the log already, or stand more than once in the file."""

    lines: int
    added: int
    known: int
    deliveries: int
    first: datetime | None
    last: datetime | None


class Line(NamedTuple):
    """A checked line, in the order of the staging table's columns."""

    number: int
    id: str
    kind: str
    name: str
    key: str | None
    emitted_at: datetime
    correlation_id: str | None
    causation_id: str | None
    document: str
    routed: int
    deliveries: str | None


def import_history(
    dsn: str, lines: Iterable[bytes], actor: Actor, *, origin: str = "", progress: Progress = lambda *_: None
) -> ImportReport:
    """Take lines over into the log, all or none; how they are recognised is told above.

    `origin` names the source in the audit. `progress(step, lines)` is called as they are read ("checking") and once
    before they are stored ("storing"). Raises `InvalidImport` naming the line, `RoleTooLow`, and the database's errors.
    """
    try:
        return _Takeover(dsn, actor).run(lines, origin, progress)
    except InvalidMessage as error:  # what only PostgreSQL minded; the line's number is lost
        raise error.recast(InvalidImport, field="a line") from None


def read_lines(file: IO[bytes]) -> Iterable[bytes]:
    """The lines of a file, none read further than a line may be long: what is too long will be refused."""
    return iter(lambda: file.readline(MAX_LINE_BYTES + 1), b"")


# ── one transaction ─────────────────────────────────────────────────────────────


class _Takeover(Desk):
    def run(self, lines: Iterable[bytes], origin: str, progress: Progress) -> ImportReport:
        with self._transaction("import") as connection:
            connection.execute(db.query("import_stage"))
            _stage(connection, lines, progress)
            _refuse_unfit_keys(connection)
            report = _store(connection, progress)
            told = {"origin": origin, "lines": report.lines, "added": report.added, "known": report.known}
            self._audit(connection, "import", {**told, "deliveries": report.deliveries})
            return report


def _stage(connection: db.Connection, lines: Iterable[bytes], progress: Progress) -> None:
    row = connection.execute("SELECT clock_timestamp() + interval '1 day'").fetchone()
    assert row is not None
    latest: datetime = row[0]
    number = 0
    try:
        with connection.cursor().copy(db.query("import_copy")) as copy:
            for number, raw in enumerate(lines, start=1):
                line = read_line(number, raw, latest)
                if line is not None:
                    copy.write_row(line)
                if number % TELL_EVERY == 0:
                    progress("checking", number)
    finally:
        progress("checking", number)


def _refuse_unfit_keys(connection: db.Connection) -> None:
    row = connection.execute(db.query("import_bad_key")).fetchone()
    if row is not None:
        raise InvalidImport(
            field=f"line {row[0]}, payload.{row[1]}", rule="is fit as a key: 1 to 200 printable characters",
            was=f"{row[2]} characters", limit="200 characters", mend="Give the line a key of its own.",
        )  # fmt: skip


def _store(connection: db.Connection, progress: Progress) -> ImportReport:
    found = connection.execute(db.query("import_summary")).fetchone()
    assert found is not None
    lines, first, last = found
    progress("storing", lines)
    connection.execute(db.query("import_partitions"))
    added = connection.execute(db.query("import_messages")).rowcount
    connection.execute(db.query("import_subscriptions"))
    deliveries = connection.execute(db.query("import_deliveries")).rowcount
    connection.execute(db.query("import_names"))
    return ImportReport(lines, added, lines - added, deliveries, first, last)


# ── one line ────────────────────────────────────────────────────────────────────


def read_line(number: int, raw: bytes, latest: datetime) -> Line | None:
    """Check one line; None when it is blank. `latest` is the last moment that history may name.

    Raises `InvalidImport` whose field is such as `line 17, payload.weight`.
    """
    try:
        text = _decoded(raw, first=number == 1)
        return _checked(number, text, latest) if text else None
    except BuslogError as error:
        field = f"line {number}, {error.field}" if error.field else f"line {number}"
        raise error.recast(InvalidImport, field=field) from None


def _decoded(raw: bytes, *, first: bool) -> str:
    if len(raw) > MAX_LINE_BYTES:
        _refuse(
            "", "is at most 8 MB long", "a longer line", mend="Write one object a line, and large documents elsewhere."
        )
    try:
        text = raw.decode("utf-8-sig" if first else "utf-8")
    except UnicodeDecodeError:
        _refuse("", "is UTF-8", "bytes that are not", mend="Save the file as UTF-8.")
    return text.strip()


def _checked(number: int, text: str, latest: datetime) -> Line:
    said = _parsed(text)
    _only(FIELDS, said, "")
    for field in ("name", "emitted_at", "payload"):
        if field not in said:
            _refuse(field, "is given", "missing", mend=f"Add {field} to the line.")
    payload, name, key = said["payload"], said["name"], said.get("key")
    if not isinstance(payload, dict) or _may_hide_a_fault(text):
        encode(payload)  # refuses, naming the path
    _CHECKED_NAME(name) if isinstance(name, str) else check_name(name)
    if key is not None:
        _CHECKED_KEY(key) if isinstance(key, str) else check_key(key)
    kind = said.get("kind", Kind.EVENT.value)
    if kind not in ("event", "command"):
        _refuse("kind", "is event or command", _shown(kind), mend="Leave it out for an event.")
    emitted_at = _moment("emitted_at", said["emitted_at"], latest)
    correlation_id, causation_id = _uuid("correlation_id", said), _uuid("causation_id", said)
    deliveries = _deliveries(said.get("deliveries"), emitted_at, latest)
    moment = (emitted_at - EARLIEST) // MICROSECOND
    try:
        content = _WRITER.encode((moment, kind, name, key, correlation_id, causation_id, payload, deliveries))
    except ValueError:
        encode(payload)  # refuses, naming the path of the infinite number
        raise
    return Line(
        number, make_id(moment, content), kind, name, key, emitted_at, correlation_id, causation_id, text,
        len(deliveries), json.dumps(deliveries) if deliveries else None,
    )  # fmt: skip


def _may_hide_a_fault(text: str) -> bool:
    """Whether a payload's values need a look: NUL and surrogates come as escapes, the rest needs length or depth."""
    return "\\" in text or len(text) > MAX_DIGITS or text.count("{") + text.count("[") > MAX_DEPTH


# The same names, and the keys of neighbouring lines, come again and again.
_CHECKED_NAME = lru_cache(maxsize=10_000)(check_name)
_CHECKED_KEY = lru_cache(maxsize=10_000)(check_key)


def make_id(moment: int, content: str) -> str:
    """A version 7 UUID for microseconds since 1970, as hex.

    Laid out as by `buslog.new_id` (02_ids.sql), with a hash of the content where that one has random bits.
    """
    digest = int.from_bytes(blake2b(content.encode(), digest_size=8).digest())
    variant = digest & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
    return f"{moment // 1000:012x}7{moment % 1000 * 4096 // 1000:03x}{variant:016x}"


def _parsed(text: str) -> dict[str, Any]:
    try:
        said = _READER.decode(text)
    except json.JSONDecodeError as error:
        _refuse("", "is JSON", f"{error.msg} at column {error.colno}", mend="Write one JSON object a line.")
    except RecursionError:
        _refuse("payload", "is nested at most 64 deep", "many more levels", "64 levels", "Flatten the payload.")
    except ValueError:  # Python reads no integer of more than 4,300 digits
        _refuse_digits()
    if not isinstance(said, dict):
        _refuse("", "is a JSON object", type(said).__name__, mend="Write one JSON object a line.")
    return said


def _number(text: str) -> float:
    value = float(text)
    if value == 0.0 and Decimal(text).adjusted() < -MAX_DIGITS:
        _refuse_digits()
    return value


def _refuse_constant(constant: str) -> NoReturn:
    _refuse("payload", "holds finite numbers", constant, mend="Write null, or text.")


def _refuse_digits() -> NoReturn:
    _refuse("payload", "has numbers of at most 4000 digits", "a longer one", "4000 digits", "Write the number as text.")


_READER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_number)
_WRITER = json.JSONEncoder(sort_keys=True, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def _deliveries(given: Any, emitted_at: datetime, latest: datetime) -> list[dict[str, Any]]:
    if given is None:
        return []
    if not isinstance(given, list) or len(given) > MAX_DELIVERIES:
        was = f"{len(given)} of them" if isinstance(given, list) else type(given).__name__
        _refuse("deliveries", "is a list of deliveries", was, str(MAX_DELIVERIES), "Write [{…}, …].")
    deliveries = [_delivery(f"deliveries[{i}]", one, emitted_at, latest) for i, one in enumerate(given)]
    if len({delivery["subscription"] for delivery in deliveries}) < len(deliveries):
        _refuse("deliveries", "names each subscription once", "one twice", mend="Give the delivery's last state only.")
    return deliveries


def _delivery(where: str, given: Any, emitted_at: datetime, latest: datetime) -> dict[str, Any]:
    if not isinstance(given, dict):
        _refuse(where, "is a JSON object", type(given).__name__, mend='Write {"subscription": …, "state": …}.')
    _only(DELIVERY_FIELDS, given, f"{where}.")
    for field in ("subscription", "state", "finished_at"):
        if field not in given:
            _refuse(f"{where}.{field}", "is given", "missing", mend=f"Add {field} to the delivery.")
    state = given["state"]
    if state not in [ended.value for ended in ENDED_STATES]:
        _refuse(
            f"{where}.state", "is final: succeeded, failed or cancelled", _shown(state),
            mend="Leave out deliveries that have not ended.",
        )  # fmt: skip
    finished_at = _moment(f"{where}.finished_at", given["finished_at"], latest)
    if finished_at < emitted_at:
        _refuse(
            f"{where}.finished_at", "is not before emitted_at", _shown(given["finished_at"]), mend="Correct the times."
        )
    return {
        "subscription": _label(f"{where}.subscription", given["subscription"]),
        "state": state,
        "attempts": _attempts(f"{where}.attempts", given.get("attempts", 1), cancelled=state == "cancelled"),
        "finished_at": finished_at.isoformat(),
        "error_type": _label(f"{where}.error_type", given["error_type"]) if given.get("error_type") else None,
        "error": _error_text(f"{where}.error", given.get("error")),
    }


def _attempts(where: str, given: Any, *, cancelled: bool) -> int:
    least = 0 if cancelled else 1  # what was cancelled in time never ran
    if not isinstance(given, int) or isinstance(given, bool) or not least <= given <= MAX_ATTEMPTS:
        was = shorten(str(given)) if isinstance(given, int) and abs(given) < 10**9 else type(given).__name__
        _refuse(where, "is a number of attempts", was, f"{least} to {MAX_ATTEMPTS}", "Leave it out for 1.")
    return given


def _label(where: str, given: Any) -> str:
    """Text under the rules of a name, told under its own field."""
    try:
        return check_name(given)
    except InvalidMessage as error:
        _refuse(where, error.rule, error.was, error.limit, "Write a short text on one line.")


def _error_text(where: str, given: Any) -> str | None:
    if given is None:
        return None
    if not isinstance(given, str) or len(given) > MAX_ERROR_LENGTH:
        was = f"{len(given)} characters" if isinstance(given, str) else type(given).__name__
        _refuse(where, "is text", was, f"{MAX_ERROR_LENGTH} characters", "Shorten it.")
    try:
        encode({"error": given})
    except InvalidMessage as error:
        _refuse(where, error.rule, error.was, error.limit, error.mend)
    return given


def _moment(where: str, given: Any, latest: datetime) -> datetime:
    mend = "Write it as 2012-01-23T15:42:54.644+01:00."
    try:
        moment = datetime.fromisoformat(given)
    except (TypeError, ValueError):
        _refuse(where, "is a time in ISO 8601", _shown(given), mend=mend)
    if moment.tzinfo is None:
        _refuse(where, "has an offset from UTC", _shown(given), mend=mend)
    if moment < EARLIEST:
        _refuse(where, "is not before 1970", _shown(given), "1970-01-01T00:00:00Z", "Correct the time.")
    if moment > latest:
        _refuse(where, "is not in the future", _shown(given), "a day from now", "Correct the time.")
    return moment.astimezone(UTC)


def _uuid(field: str, said: Mapping[str, Any]) -> str | None:
    given = said.get(field)
    if given is None:
        return None
    try:
        return str(UUID(given))
    except (TypeError, ValueError, AttributeError):
        _refuse(field, "is a UUID", _shown(given), mend="Leave it out if the source had none.")


def _only(known: tuple[str, ...], said: Mapping[str, Any], where: str) -> None:
    for field in said:
        if field not in known:
            _refuse(
                f"{where}{ascii(shorten(field, 60))[1:-1]}", "is a known field", "another", mend=_fields(field, known)
            )


def _fields(field: str, known: tuple[str, ...]) -> str:
    return f"{did_you_mean(field, known)} Everything of the source's own belongs into the payload."


def _shown(value: Any) -> str:
    return ascii(shorten(value, 60)) if isinstance(value, str) else type(value).__name__


def _refuse(field: str, rule: str, was: str, limit: str = "", mend: str = "") -> NoReturn:
    raise InvalidImport(field=field, rule=rule, was=was, limit=limit, mend=mend)
