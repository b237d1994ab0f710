"""Where alerts go: channels by name, each with a URL that is a secret. The only room that imports apprise.

The URL stays in this room: not in the database, on no screen, in no log and in no error.
"""

from __future__ import annotations

import logging
import re
from contextvars import ContextVar
from functools import cache
from typing import Any

from pydantic import SecretStr

from buslog.alerting.model import NAME_OF_CHANNEL
from buslog.config import settings
from buslog.errors import Misconfigured

EXAMPLE = (
    "ops=mailtos://user:password@example.com?smtp=mail.example.com&to=ops@example.com chat=slack://T0000/B0000/XXXX"
)
ANSWER_SECONDS = 10.0  # to connect, and to answer; what a URL itself says counts (?cto=…&rto=…)
_SHORT = 4.0  # the library's own, too short for some mail servers
_is_sending = ContextVar("buslog_alert_is_sending", default=False)
_STATUS = re.compile(r"\berror=(\d{3})\b")


class Channels:
    """Channels by name. Raises `Misconfigured` for a text that is not name=url pairs."""

    def __init__(self, text: str = "") -> None:
        self._urls: dict[str, SecretStr] = {}
        for place, entry in enumerate(text.split(), start=1):
            name, _, url = entry.partition("=")
            if not NAME_OF_CHANNEL.fullmatch(name) or not re.match(r"[A-Za-z0-9]+://.", url):
                raise _misconfigured("is name=url pairs, separated by blanks", f"another text at place {place}")
            if name in self._urls:
                raise _misconfigured("names each channel once", f"two of {name}")
            self._urls[name] = SecretStr(url)
        for name in self._urls:
            if self._service(name) is None:
                raise _misconfigured("has URLs that Apprise can read", f"another one, of {name}")

    @property
    def names(self) -> list[str]:
        return sorted(self._urls)

    def __contains__(self, name: object) -> bool:
        return name in self._urls

    def send(self, name: str, title: str, body: str, *, is_good: bool = False) -> str:
        """Sends a text, within a few times `ANSWER_SECONDS`. Empty, or why it was not taken: never with the URL."""
        import apprise  # noqa: PLC0415

        is_ours = _is_sending.set(True)
        try:
            sender = apprise.Apprise(asset=_asset())
            sender.add(self._service(name))
            result = sender.notify(
                title=title, body=body, body_format=apprise.NotifyFormat.TEXT,
                notify_type=apprise.NotifyType.SUCCESS if is_good else apprise.NotifyType.FAILURE,
            )  # fmt: skip
        except Exception as error:  # noqa: BLE001  (its text may hold the URL)
            return f"it could not be sent: {type(error).__name__}"
        finally:
            _is_sending.reset(is_ours)
        return "" if result else _reason(result)

    def _service(self, name: str) -> Any:
        import apprise  # noqa: PLC0415  (takes a fifth of a second; only who has channels needs it)

        _silence()
        try:
            service: Any = apprise.Apprise.instantiate(self._urls[name].get_secret_value(), asset=_asset())
        except Exception:  # noqa: BLE001  (as above)
            return None
        if service:
            for limit in ("socket_connect_timeout", "socket_read_timeout"):
                if getattr(service, limit) == _SHORT:
                    setattr(service, limit, ANSWER_SECONDS)
        return service or None


@cache
def configured() -> Channels:
    """The channels of the settings. Raises `Misconfigured`."""
    return Channels(settings().alert_channels.get_secret_value())


def _asset() -> Any:
    import apprise  # noqa: PLC0415

    return apprise.AppriseAsset(
        app_id="buslog", app_desc="buslog", app_url="", image_url_mask="", image_url_logo="", async_mode=False,
        storage_mode=apprise.PersistentStoreMode.MEMORY, pgp_autogen=False, pem_autogen=False,
    )  # fmt: skip


def _silence() -> None:
    """What the libraries log may hold addresses and paths; the second one also serves others, whose log is theirs."""
    logger = logging.getLogger("apprise")
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    logging.getLogger("urllib3.connectionpool").addFilter(_is_of_others)


def _is_of_others(_record: logging.LogRecord) -> bool:
    return not _is_sending.get()


def _reason(result: Any) -> str:
    for service in result:
        for entry in service.logs():
            if found := _STATUS.search(entry.message):
                return f"it answered with {found[1]}"
    return "it could not be reached, or did not take it"


def _misconfigured(rule: str, was: str) -> Misconfigured:
    return Misconfigured(
        field="BUSLOG_ALERT_CHANNELS", rule=rule, was=was, mend=f"Write it as: {EXAMPLE}",
    )  # fmt: skip
