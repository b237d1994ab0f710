"""The login by OpenID Connect: its settings, who somebody is by their claims, and the cookie that says so.

Streamlit makes the login (`st.login`) and signs the cookie. We read it with its own helpers, which are not public:
tests/dashboard/test_login.py holds them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from buslog.config import settings
from buslog.desk import is_local
from buslog.errors import InvalidMessage, Misconfigured
from buslog.payload import check_name
from buslog.rights import Role

CALLBACK = "/oauth2callback"
SHORTEST_SECRET = 32  # characters

Claims = Mapping[str, Any]


@dataclass(frozen=True)
class Login:
    """How people log in, and what their claims mean."""

    metadata_url: str
    client_id: str
    client_secret: str = field(repr=False)
    cookie_secret: str = field(repr=False)
    redirect_url: str
    scope: str
    person_claim: str
    role_claim: str
    operators: frozenset[str]
    admins: frozenset[str]

    @property
    def origin(self) -> str:
        """Where the dashboard is reached: a cookie of another origin counts for nothing."""
        parts = urlsplit(self.redirect_url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def host(self) -> str:
        return urlsplit(self.redirect_url).hostname or ""

    @property
    def is_https(self) -> bool:
        return self.redirect_url.startswith("https://")

    def as_secrets(self) -> dict[str, Any]:
        """What Streamlit reads as `[auth]` of its secrets."""
        return {
            "auth": {
                "redirect_uri": self.redirect_url,
                "cookie_secret": self.cookie_secret,
                "client_id": self.client_id,
                "client_secret": self.client_secret,
                "server_metadata_url": self.metadata_url,
                "client_kwargs": {"scope": self.scope},
            }
        }

    def claims_of(self, cookies: dict[str, str]) -> Claims | None:
        """What the login's cookie says; None: nobody has logged in, or the cookie is not ours, or too old."""
        from streamlit.web.server.starlette import starlette_server_config, starlette_websocket  # noqa: PLC0415

        signed = starlette_websocket._get_signed_cookie_with_chunks(  # noqa: SLF001  (see above)
            cookies, starlette_server_config.USER_COOKIE_NAME
        )
        if signed is None:
            return None
        claims: Claims = starlette_websocket._parse_decoded_user_cookie(signed, self.origin)  # noqa: SLF001
        return claims if claims.get("is_logged_in") else None

    def person_of(self, claims: Claims) -> str:
        """Who it is, as roles and audit name them. An e-mail that the provider has not verified could be anybody's:
        then the provider's own number counts. Raises `Misconfigured` when the claims name nobody.
        """
        person = claims.get(self.person_claim)
        if self.person_claim == "email":
            person = None if claims.get("email_verified") is False else person and str(person).lower()
        if not person and claims.get("sub"):
            person = f"sub:{claims['sub']}"
        try:
            checked = check_name(str(person or ""))
        except InvalidMessage:
            checked = ""
        if not checked or is_local(checked):
            raise Misconfigured(
                field=f"claim {self.person_claim}", rule="names whoever logs in, in 1 to 200 printable characters",
                was="not there" if not person else "not fit as a name",
                mend="Choose another claim with BUSLOG_OIDC_PERSON_CLAIM.",
            )  # fmt: skip
        return checked

    def role_of(self, claims: Claims) -> Role:
        """The role that the claims give: the highest of those whose values are among them."""
        found = _at(claims, self.role_claim)
        values = {found} if isinstance(found, str) else {str(v) for v in found} if isinstance(found, list) else set()
        if values & self.admins:
            return Role.ADMIN
        return Role.OPERATOR if values & self.operators else Role.VIEWER


def claimed_at(claims: Claims) -> datetime:
    """When the provider said so."""
    moment = claims.get("iat")
    return datetime.fromtimestamp(moment, UTC) if isinstance(moment, int | float) else datetime.now(UTC)


@cache
def configured() -> Login | None:
    """The login of this process's settings; None: nobody logs in. Raises `Misconfigured` for half a login."""
    given = settings()
    needed = {
        "metadata_url": given.oidc_metadata_url,
        "client_id": given.oidc_client_id,
        "client_secret": given.oidc_client_secret.get_secret_value(),
        "cookie_secret": given.oidc_cookie_secret.get_secret_value(),
        "redirect_url": given.oidc_redirect_url,
    }
    if not any(needed.values()):
        return None
    for name, value in needed.items():
        if not value:
            raise Misconfigured(
                field=_variable(name), rule="is given for a login", was="not set",
                mend="Set the five of a login together: docs/operating.md lists them.",
            )  # fmt: skip
    for name in ("metadata_url", "redirect_url"):
        _check_url(name, needed[name])
    if urlsplit(needed["redirect_url"]).path != CALLBACK:
        raise Misconfigured(
            field=_variable("redirect_url"), rule=f"ends in {CALLBACK}", was=needed["redirect_url"],
            mend=f"Write the address at which people reach the dashboard, and {CALLBACK}.",
        )  # fmt: skip
    if len(needed["cookie_secret"]) < SHORTEST_SECRET:
        raise Misconfigured(
            field=_variable("cookie_secret"), rule="is long enough", was=f"{len(needed['cookie_secret'])} characters",
            limit=f"{SHORTEST_SECRET} characters at least",
            mend="Make one: python -c 'import secrets; print(secrets.token_hex(32))'.",
        )  # fmt: skip
    return Login(
        **needed, scope=given.oidc_scope, person_claim=given.oidc_person_claim, role_claim=given.oidc_role_claim,
        operators=frozenset(listed(given.oidc_operators)), admins=frozenset(listed(given.oidc_admins)),
    )  # fmt: skip


def listed(text: str) -> Iterable[str]:
    """The values of a setting that are separated by commas."""
    return [value for part in text.split(",") if (value := part.strip())]


def _check_url(name: str, value: str) -> None:
    parts = urlsplit(value)
    is_ours = parts.hostname in {"localhost", "127.0.0.1", "::1"}
    if not parts.hostname or parts.scheme not in {"http", "https"} or (parts.scheme == "http" and not is_ours):
        raise Misconfigured(
            field=_variable(name), rule="is an https address", was=value, limit="http only on this machine",
            mend="Write https://…; a proxy before the dashboard speaks TLS.",
        )  # fmt: skip


def _variable(name: str) -> str:
    return f"BUSLOG_OIDC_{name.upper()}"


def _at(claims: Claims, path: str) -> Any:
    """The claim of this name; or, where there is none, the one that the dots lead to."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found
