"""Addresses that pages lead to: of this app, and of a key in a system of yours."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlencode
from uuid import UUID

from buslog.config import settings
from buslog.console import markup, words

PAYLOAD = "/payload.json"


def message(message_id: UUID, **more: str) -> str:
    return f"message?{urlencode({'id': str(message_id), **more})}"


def key(key: str, **more: str) -> str:
    return f"key?{urlencode({'key': key, **more})}"


def to(page: str, params: Mapping[str, str | list[str]]) -> str:
    """Any other page, with its parameters."""
    return f"{page}?{urlencode(params, doseq=True)}"


def html_of_key(of: str) -> str:
    """A key as a link to its page, and beside it to a system of yours: HTML."""
    address = outside(of)
    beyond = (
        f" {markup.link(address, '↗', is_outside=True, label=words.OPEN_OUTSIDE.format(key=of))}" if address else ""
    )
    return markup.link(key(of), of) + beyond


def payload(message_id: UUID) -> str:
    """The file of a message's whole payload."""
    return f"{PAYLOAD}?{urlencode({'id': str(message_id)})}"


def outside(key: str) -> str | None:
    """Where a key is to be found in a system of yours (`BUSLOG_KEY_URL`), if it is said."""
    template = settings().key_url
    return template.replace("{key}", quote(key, safe="")) if template else None
