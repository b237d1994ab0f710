"""Declared events: a name with the type of its payload, for programs that want both checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic

from pydantic import TypeAdapter

from buslog.message import PayloadT
from buslog.payload import check_name


@dataclass(frozen=True)
class Event(Generic[PayloadT]):
    """A name and what its payload is. Declare it where publisher and subscriber can both import it; no bus is needed.

        departed = Event("shipmentDeparted", ShipmentDeparted)

    payload: a pydantic model, dataclass or TypedDict. Taken wherever a name is: `on(departed)` hands the subscriber a
    `Message[ShipmentDeparted]`, `emit(departed, …)` checks the payload before it is stored, and a type checker knows
    both. Raises `InvalidMessage` for a bad name.
    """

    name: str
    payload: type[PayloadT]

    def __post_init__(self) -> None:
        check_name(self.name)

    @cached_property
    def payload_type(self) -> TypeAdapter[PayloadT]:
        """Parses and describes the payload; made when first asked for."""
        return TypeAdapter(self.payload)


def name_of(name: str | Event[Any]) -> str:
    """The name alone."""
    return name.name if isinstance(name, Event) else name


def listed(names: str | Event[Any] | Sequence[str | Event[Any]]) -> tuple[str | Event[Any], ...]:
    """One name or several, as several."""
    return (names,) if isinstance(names, str | Event) else tuple(names)
