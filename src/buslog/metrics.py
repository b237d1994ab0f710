"""What Prometheus is told of the bus: read from the database at each scrape, in one bounded query.

Counts of what is done and how long it takes are each worker's own, by OpenTelemetry (telemetry.py): the database does
not count them again.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from buslog import db
from buslog.errors import BuslogError

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"  # what generate_latest writes

# By the first column of sql/metrics.sql: name, what it is, labels.
GAUGES = {
    "open": ("buslog_open_deliveries", "Deliveries that have not ended, by state", ("subscription", "state")),
    "oldest": (
        "buslog_oldest_pending_seconds",
        "How long ago the next pending delivery was emitted",
        ("subscription",),
    ),
    "failed": ("buslog_failed_deliveries", "Deliveries that have failed and wait for a person", ("subscription",)),
    "paused": ("buslog_subscription_paused", "1 while nobody claims the deliveries", ("subscription",)),
    "circuit": ("buslog_circuit_open", "1 while what the subscriber calls is held to be down", ("subscription",)),
    "hosted": ("buslog_subscription_workers", "Live workers that carry the subscriber's code", ("subscription",)),
    "workers": ("buslog_live_workers", "Workers whose lease holds", ()),
}


class DatabaseCollector(Collector):
    """Reads at each scrape. A database that does not answer in time is told as `buslog_up 0`."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Prometheus's face: the metrics of this moment."""
        try:
            with db.connect_to_read(self._dsn) as connection, db.translated(self._dsn):
                rows = connection.execute(db.query("metrics")).fetchall()
        except BuslogError:
            yield GaugeMetricFamily("buslog_up", "1 when the database answered this scrape", value=0)
            return
        yield GaugeMetricFamily("buslog_up", "1 when the database answered this scrape", value=1)
        for kind, (name, said, labels) in GAUGES.items():
            family = GaugeMetricFamily(name, said, labels=labels)
            for found, subscription, state, value in rows:
                if found == kind:
                    family.add_metric([subscription, state][: len(labels)], value)
            yield family


def registry(dsn: str) -> CollectorRegistry:
    """A registry with the database's metrics alone."""
    made = CollectorRegistry()
    made.register(DatabaseCollector(dsn))
    return made


def exposition(dsn: str) -> bytes:
    """The text that Prometheus scrapes."""
    return generate_latest(registry(dsn))
