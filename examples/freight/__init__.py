"""A small freight-forwarding monolith on buslog. Each module reacts; none knows the others. See README.md."""

from examples.freight import billing, emails, statuses, tasks, tracking
from examples.freight.shared import bus

__all__ = ["billing", "bus", "emails", "statuses", "tasks", "tracking"]
