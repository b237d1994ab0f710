"""Settings, read once from the environment (`BUSLOG_…`)."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from buslog.errors import Misconfigured
from buslog.masking import FIELD

MOST_REF_FIELDS = 20
_DOTTED = re.compile(r"[^.\s]+(\.[^.\s]+)*")


class Settings(BaseSettings):
    """Every setting of buslog. `docs/operating.md` lists them for people."""

    model_config = SettingsConfigDict(env_prefix="BUSLOG_", env_ignore_empty=True, frozen=True)

    dsn: str | None = Field(
        default=None, description="PostgreSQL 16 or later, as a URL or conninfo string; unset: embedded"
    )
    home: Path | None = Field(
        default=None, description="Folder of the embedded PostgreSQL; unset: .buslog/, found upwards"
    )
    pg_version: int = Field(default=18, description="PostgreSQL the embedded server is made with: 16 or 18")
    key_field: str | None = Field(
        default=None, description="Dotted path in the payload that holds the key (shipmentId)"
    )
    key_url: str | None = Field(
        default=None, description="Address of a key in a system of yours, such as https://erp.example/shipments/{key}"
    )
    mask_fields: Annotated[tuple[str, ...] | None, NoDecode] = Field(
        default=None, description="Payload fields that are masked, such as customer.email,*.phone; none: none is"
    )
    ref_fields: Annotated[tuple[str, ...] | None, NoDecode] = Field(
        default=None,
        description="Dotted paths of more values to find a message by, separated by commas (containers.*.number)",
    )
    tz: str = Field(default="UTC", description="Time zone of the dashboard, such as Europe/Berlin")
    host: str = Field(
        default="127.0.0.1", description="Address the dashboard listens on; beyond loopback only with a login"
    )
    port: int = Field(default=8501, ge=1, le=65535, description="Port the dashboard listens on")
    allowed_hosts: str = Field(default="", description="Host names the dashboard is reached by, separated by commas")
    oidc_metadata_url: str = Field(default="", description="The provider's …/.well-known/openid-configuration")
    oidc_client_id: str = Field(default="", description="The dashboard's id at the provider")
    oidc_client_secret: SecretStr = Field(default=SecretStr(""), description="Its secret there")
    oidc_redirect_url: str = Field(default="", description="Where the provider sends people back: …/oauth2callback")
    oidc_cookie_secret: SecretStr = Field(default=SecretStr(""), description="Signs the login's cookie")
    oidc_scope: str = Field(default="openid email profile", description="What is asked of the provider")
    oidc_person_claim: str = Field(default="email", description="The claim that names somebody in roles and audit")
    oidc_role_claim: str = Field(default="groups", description="The claim that roles are read from; dots lead inwards")
    oidc_operators: str = Field(default="", description="Its values that make an operator, separated by commas")
    oidc_admins: str = Field(default="", description="Its values that make an admin, separated by commas")
    concurrency: int = Field(default=20, ge=1, le=1000, description="Deliveries a worker runs at once")
    lease: float = Field(default=15.0, ge=1.0, le=3600.0, description="Seconds a worker's lease lasts without a beat")
    sync_wait: float = Field(
        default=30.0, gt=0, description="Seconds an emit waits for a sync subscriber hosted elsewhere"
    )
    version: str = Field(default="", max_length=100, description="Release of your code; kept with every attempt")
    log_format: Literal["text", "json"] = Field(
        default="text", description="How worker, up and dashboard log: text, or one JSON object a line"
    )
    rerun_minutes: float = Field(
        default=10.0, ge=0, le=1440, description="Minutes in which a command that ran for the same key is asked about"
    )
    poll: float = Field(default=1.0, ge=0.05, le=1.0, description="Seconds between looks when no notification comes")
    alert_channels: SecretStr = Field(
        default=SecretStr(""), description="Where alerts are sent: name=url pairs, separated by blanks"
    )
    alert_every: float = Field(default=15.0, ge=0.1, le=300.0, description="Seconds between looks at the alert rules")
    alert_days: float = Field(
        default=365.0, ge=1.0, le=36500.0, description="Days that an alert is kept after it was over"
    )
    dashboard_url: str = Field(default="", description="Where people reach the dashboard, for links in alerts")
    grace: float = Field(
        default=20.0, ge=0.0, le=3600.0, description="Seconds a stopping worker lets its subscribers finish"
    )

    @field_validator("key_field")
    @classmethod
    def _dotted_path(cls, value: str | None) -> str | None:
        if value is not None and not _DOTTED.fullmatch(value):
            raise ValueError("is a field name, or names joined by dots")
        return value

    @field_validator("key_url")
    @classmethod
    def _address_with_a_place(cls, value: str | None) -> str | None:
        if value is not None:
            scheme, found, rest = value.partition("://")
            host, _, path = rest.partition("/")
            # The key is data: it may not choose the host.
            if scheme not in {"http", "https"} or not found or not host or "{" in host or "{key}" not in path:
                raise ValueError("is an http or https address with {key} after its host")
        return value

    @field_validator("mask_fields", mode="before")
    @classmethod
    def _dotted_paths(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        fields = tuple(dict.fromkeys(field.strip() for field in value.split(",") if field.strip()))
        if fields == ("none",):
            return ()
        if not all(FIELD.fullmatch(field) for field in fields) or any(set(field) <= {"*", "."} for field in fields):
            raise ValueError("is dotted paths with commas between them, such as customer.email,*.phone; or none")
        return fields

    @field_validator("ref_fields", mode="before")
    @classmethod
    def _dotted_ref_paths(cls, value: str | None) -> tuple[str, ...] | None:
        if value is None:
            return None
        paths = tuple(dict.fromkeys(path.strip() for path in value.split(",") if path.strip()))
        if len(paths) > MOST_REF_FIELDS or not all(_DOTTED.fullmatch(path) for path in paths):
            raise ValueError(f"is at most {MOST_REF_FIELDS} field names, or names joined by dots, separated by commas")
        return paths

    @field_validator("tz")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            return ZoneInfo(value).key
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("is the name of a time zone, such as Europe/Berlin") from None

    @field_validator("pg_version")
    @classmethod
    def _carried_version(cls, value: int) -> int:
        if value not in {16, 18}:
            raise ValueError("is 16 or 18")
        return value


@cache
def settings() -> Settings:
    """The process's settings. Raises `Misconfigured` naming the variable that is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        variable = "BUSLOG_" + "_".join(str(part) for part in first["loc"]).upper()
        raise Misconfigured(
            field=variable,
            rule=first["msg"].removeprefix("Value error, "),
            was=repr(first["input"]),
            mend=f"Set {variable} anew, or unset it.",
        ) from None
