"""What people do to registrations: take one off the bus that its code has left behind."""

from __future__ import annotations

from buslog import db
from buslog.desk import Desk
from buslog.errors import NotFound, OperationRefused, did_you_mean


class Registrations(Desk):
    """The operations on the records of subscriptions."""

    def unregister(self, subscription: str, *, reason: str = "") -> bool:
        """Take a subscription off the bus that nobody hosts: new messages do not reach it, and no emit waits for it.
        What it was already sent stays. A process that starts with its code registers it again.

        False when it was off the bus already. Raises `NotFound` with "did you mean", and `OperationRefused` while a
        live worker hosts it.
        """
        with self._transaction("unregister", subscription=subscription) as connection:
            rows = connection.execute(db.query("registrations")).fetchall()
            known = {row[0]: row[1:] for row in rows}
            if subscription not in known:
                raise NotFound(
                    field="subscription", rule="exists", was=subscription,
                    mend=did_you_mean(subscription, list(known)),
                )  # fmt: skip
            is_active, names, live_workers = known[subscription]
            if live_workers:
                raise OperationRefused(
                    field="subscription", rule="is hosted by no live worker", was=f"hosted by {live_workers}",
                    mend="Take it out of the code and start the workers anew; or pause it.",
                )  # fmt: skip
            if not is_active:
                return False
            connection.execute(db.query("unregister"), (subscription, names))
            self._audit(connection, "unregister", {"names": names}, subscription=subscription, reason=reason)
            return True
