"""The tables as SQLAlchemy sees them: only the columns that Filter queries read. The truth is in sql/migrations."""

from __future__ import annotations

from sqlalchemy import Boolean, DateTime, Enum, Integer, SmallInteger, Text, Uuid, column, table
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import UserDefinedType

from buslog.message import ENDED_STATES, OPEN_STATES, Kind, Mode

_STATE = Enum(*(OPEN_STATES + ENDED_STATES), name="state", schema="buslog")
_KIND = Enum(*Kind, name="kind", schema="buslog")
_MODE = Enum(*Mode, name="mode", schema="buslog")
_TIME = DateTime(timezone=True)


class XID8(UserDefinedType[str]):
    """The number of a transaction."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        return "xid8"


messages_table = table(
    "messages",
    column("id", Uuid()),
    column("kind", _KIND),
    column("routed", SmallInteger()),
    column("emitted_at", _TIME),
    column("correlation_id", Uuid()),
    column("causation_id", Uuid()),
    column("name", Text()),
    column("key", Text()),
    column("source", Text()),
    column("payload", JSONB()),
    schema="buslog",
)
messages = messages_table.alias("m")

message_refs = table("message_refs", column("message_id", Uuid()), column("ref", Text()), schema="buslog").alias("r")

deliveries = table(
    "deliveries",
    column("message_id", Uuid()),
    column("subscription_id", Integer()),
    column("generation", SmallInteger()),
    column("attempt", Integer()),
    column("repeats", SmallInteger()),
    column("state", _STATE),
    schema="buslog",
).alias("o")

ended_deliveries = table(
    "ended_deliveries",
    column("message_id", Uuid()),
    column("subscription_id", Integer()),
    column("generation", SmallInteger()),
    column("attempts", Integer()),
    column("repeats", SmallInteger()),
    column("state", _STATE),
    column("latest", Boolean()),
    column("finished_at", _TIME),
    column("error_type", Text()),
    column("error", Text()),
    schema="buslog",
).alias("e")

failures = table(
    "failures",
    column("message_id", Uuid()),
    column("subscription_id", Integer()),
    column("generation", SmallInteger()),
    column("fingerprint", Text()),
    schema="buslog",
).alias("w")

attempts_table = table(
    "attempts",
    column("message_id", Uuid()),
    column("subscription_id", Integer()),
    column("generation", SmallInteger()),
    column("attempt", Integer()),
    column("error_type", Text()),
    column("error", Text()),
    schema="buslog",
)
attempts = attempts_table.alias("a")

subscriptions = table(
    "subscriptions",
    column("id", Integer()),
    column("subscription", Text()),
    column("mode", _MODE),
    schema="buslog",
).alias("s")

MEASURES = ("messages", "unrouted", "imported", "succeeded", "failed", "cancelled", "errors")

series = table(
    "series",
    column("width", Integer()),
    column("name", Text()),
    column("subscription_id", Integer()),
    column("at", _TIME),
    *(column(measure, Integer()) for measure in MEASURES),
    schema="buslog",
).alias("t")

durations = table(
    "series_durations",
    column("width", Integer()),
    column("subscription_id", Integer()),
    column("at", _TIME),
    column("bucket", SmallInteger()),
    column("deliveries", Integer()),
    schema="buslog",
).alias("l")

facts = table(
    "series_facts",
    column("xid", XID8()),
    column("message_id", Uuid()),
    column("name", Text()),
    column("subscription_id", Integer()),
    *(column(measure, Integer()) for measure in MEASURES),
    column("bucket", SmallInteger()),
    column("deliveries", Integer()),
    schema="buslog",
).alias("f")
