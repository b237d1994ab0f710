"""Reads DCSA track-and-trace events, versions 2.2 and 3.0, as far as the freight modules need them.

What breaks the standard is refused here, so that a subscriber sees sound events only.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasPath,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    Field,
    ModelWrapValidatorHandler,
    StringConstraints,
    model_validator,
)

FIRST_YEAR = 2019  # DCSA was founded then: nothing was told in its format before
USER_ASSIGNED = {"AA", "ZZ", *(f"Q{c}" for c in "MNOPQRSTUVWXYZ"), *(f"X{c}" for c in "ABCDEFGHIJLMNOPQRSTUVWXY")}


def _in_a_country(code: str) -> str:
    """UN/LOCODE opens with an ISO 3166 country; XK and XZ (high seas) are the user-assigned codes it does use."""
    if not re.fullmatch(r"[A-Z]{2}[A-Z2-9]{3}", code):
        raise ValueError(f"{code[:20]} is no UN/LOCODE: two letters of the country and three of the place, like NLRTM")
    if code[:2] in USER_ASSIGNED:
        raise ValueError(f"{code} is no UN/LOCODE: {code[:2]} is no country")
    return code


def _plausible(told: datetime) -> datetime:
    if told.year < FIRST_YEAR or told > datetime.now(UTC) + timedelta(days=365):
        raise ValueError(f"{told:%Y-%m-%d} is not between {FIRST_YEAR} and a year from now")
    return told


UnLocode = Annotated[str, AfterValidator(_in_a_country)]
Code = Annotated[str, StringConstraints(pattern=r"^[A-Z]{4}$")]
ToldAt = Annotated[AwareDatetime, AfterValidator(_plausible)]

KINDS = ("shipment", "transport", "equipment", "iot", "reefer")


class TrackedEvent(BaseModel):
    """One event of either version. `as_sent` is the carrier's own JSON."""

    event_id: str = Field(validation_alias="eventID", min_length=1)
    kind: Literal["SHIPMENT", "TRANSPORT", "EQUIPMENT", "IOT", "REEFER"] = Field(
        validation_alias=AliasChoices("eventType", AliasPath("eventClassification", "eventTypeCode"))
    )
    classifier: Literal["PLN", "EST", "ACT"] = Field(
        validation_alias=AliasChoices("eventClassifierCode", AliasPath("eventClassification", "eventClassifierCode"))
    )
    code: Code = Field(
        validation_alias=AliasChoices(
            *(f"{kind}EventTypeCode" for kind in KINDS),
            *(AliasPath("eventClassification", f"{kind}EventTypeCode") for kind in KINDS),
        )
    )
    happened_at: AwareDatetime = Field(validation_alias="eventDateTime")
    told_at: ToldAt = Field(validation_alias=AliasChoices("eventCreatedDateTime", "eventUpdatedDateTime"))
    port: UnLocode | None = Field(
        None,
        validation_alias=AliasChoices(
            AliasPath("transportCall", "UNLocationCode"),
            AliasPath("transportCall", "location", "UNLocationCode"),
            AliasPath("eventLocation", "UNLocationCode"),
        ),
    )
    container: str | None = Field(
        None, validation_alias=AliasChoices("equipmentReference", AliasPath("equipmentDetails", "equipmentReference"))
    )
    vessel: str | None = Field(
        None,
        validation_alias=AliasChoices(
            AliasPath("transportCall", "vessel", "vesselName"),
            AliasPath("transportDetails", "transportCall", "vesselTransport", "vesselName"),
        ),
    )
    document: str | None = Field(
        None,
        validation_alias=AliasChoices(
            "documentTypeCode", AliasPath("shipmentDetails", "documentReference", "typeCode")
        ),
    )
    as_sent: dict[str, Any] = Field({}, exclude=True)

    @property
    def happened(self) -> bool:
        """It did happen; otherwise it is planned or estimated."""
        return self.classifier == "ACT"

    @model_validator(mode="wrap")
    @classmethod
    def _keep_as_sent(cls, sent: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        return read(sent).model_copy(update={"as_sent": sent})

    @model_validator(mode="after")
    def _only_a_bill_of_lading_is_voided(self) -> Self:
        if self.kind == "SHIPMENT" and self.code in {"SURR", "VOID"} and self.document != "TRD":
            raise ValueError(f"{self.code} is said of a transport document (TRD), not of {self.document}")
        return self


def _each(document: Any) -> Any:
    """One event, 2.2's list of events, or 3.0's `{"events": [...]}`, as a list of events. Nothing told: none."""
    if document is None:
        return []
    if isinstance(document, dict):
        return document.get("events", [document])
    return document


Events = Annotated[
    list[TrackedEvent],
    BeforeValidator(_each, json_schema_input_type=dict[str, Any] | list[dict[str, Any]] | None),
]


def newest(events: list[TrackedEvent]) -> TrackedEvent | None:
    """The event that happened last, if any."""
    return max(events, key=lambda event: event.happened_at, default=None)
