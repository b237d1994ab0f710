"""Names → subscribers: what a Bus knows of those who react, before any database is asked."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack, get_args

from pydantic import TypeAdapter

from buslog.errors import InvalidMessage, InvalidSubscription
from buslog.event import Event, listed, name_of
from buslog.flow import Outage, Rate, check_range
from buslog.message import Kind, Message, Mode
from buslog.payload import check_name
from buslog.retry import RetryPolicy
from buslog.rights import Role

Subscriber = Callable[[Message[Any]], Any]
OnFailure = Literal["block", "skip"]
ANYTHING = "*"  # in a name: any characters, none included
MAX_TIMEOUT = 86_400.0


class CommandOptions(TypedDict, total=False):
    """What `Bus.command` takes beside name and payload."""

    id: str
    """Names the subscription; `module:qualname` by default. It outlives the process."""
    retry: RetryPolicy
    """When to try again after an error."""
    retry_by_error: Mapping[type[BaseException], RetryPolicy]
    """Another policy for certain errors; the nearest class of an error decides."""
    fail_on: type[BaseException] | Sequence[type[BaseException]]
    """Errors that are not worth retrying."""
    timeout: float | None
    """Seconds that a coroutine may take; 60 by default, None for no limit."""
    concurrency: int | None
    """How many of its deliveries may run at once, over all workers together; None: as many as there are places."""
    rate: Rate | None
    """How many of its attempts may start in a time, over all workers together."""
    priority: int
    """Whose deliveries a worker takes first when it has few places: the higher, -100 to 100."""
    outage: Outage | None
    """When to believe that what it calls is down: see `Outage`."""
    unsafe_to_replay: str | None
    """Why no bulk replay may send its deliveries again; None: it may. A person still replays one by one."""
    role: Literal["operator", "admin"] | None
    """The least role of a person who runs, replays, runs now or cancels it; None: an operator."""


class Options(CommandOptions, total=False):
    """What `Bus.on` takes beside names and payload."""

    mode: Literal["async", "sync", "serial"]
    """`async`: the publisher does not wait. `sync`: it does. `serial`: one after the other."""
    order: int
    """Place among the serial subscribers of a message; then by registration."""
    ordered_by_key: bool
    """One delivery at a time for each key, in the order in which the messages became visible."""
    on_failure: OnFailure
    """What the rest of a serial chain, or of a key, does once a delivery has failed for good: wait (`block`), or go
    on without it (`skip`)."""


@dataclass(frozen=True)
class Subscription:
    """A subscriber's registered record. What the options mean: `Options`."""

    id: str
    names: tuple[str, ...]
    subscriber: Subscriber
    kind: Kind = Kind.EVENT
    mode: Mode = Mode.ASYNC
    order: int = 0
    position: int = 0
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    retry_by_error: Mapping[type[BaseException], RetryPolicy] = field(default_factory=dict)
    fail_on: tuple[type[BaseException], ...] = ()
    timeout: float | None = 60.0
    concurrency: int | None = None
    rate: Rate | None = None
    priority: int = 0
    outage: Outage | None = None
    ordered_by_key: bool = False
    on_failure: OnFailure = "block"
    unsafe_to_replay: str | None = None
    role: str | None = None
    payload_type: TypeAdapter[Any] | None = None

    @property
    def description(self) -> str:
        """The first paragraph of the subscriber's docstring."""
        return (inspect.getdoc(self.subscriber) or "").split("\n\n", 1)[0]

    def hears(self, name: str) -> bool:
        """Whether one of its names, or patterns, is this."""
        return any(matches(heard, name) for heard in self.names)

    def policy_for(self, error: BaseException) -> RetryPolicy:
        """The policy of the nearest class of an error, or the subscription's own."""
        policies = (self.retry_by_error.get(kind) for kind in type(error).__mro__)
        return next((policy for policy in policies if policy is not None), self.retry)

    def as_columns(self) -> dict[str, Any]:
        """What its author chose, as columns of `buslog.subscriptions`."""
        return {
            "mode": self.mode.value,
            "chain_order": self.order,
            "position": self.position,
            "policy": {
                **self.retry.as_json(),
                "timeout": self.timeout,
                **({"role": self.role} if self.role else {}),
            },
            "ordered_by_key": self.ordered_by_key,
            "skips_failed": self.on_failure == "skip",
            "priority": self.priority,
            "concurrency": self.concurrency,
            "rate_count": self.rate and self.rate.count,
            "rate_per": self.rate and self.rate.per,
            "outage_after": self.outage and self.outage.after,
            "outage_probe": self.outage and self.outage.probe_every,
            "unsafe_to_replay": self.unsafe_to_replay,
        }

    @cached_property
    def runs_in_thread(self) -> bool:
        """Whether the subscriber is a plain function, which nothing can stop once it runs."""
        return not inspect.iscoroutinefunction(inspect.unwrap(self.subscriber))

    @cached_property
    def holds_back(self) -> bool:
        """Whether some of its deliveries, or of its chain, wait until another has ended."""
        return self.mode is Mode.SERIAL or self.ordered_by_key or self.holds_back_everywhere

    @property
    def holds_back_everywhere(self) -> bool:
        """Whether other workers' claims wait for it too."""
        return self.concurrency is not None or self.outage is not None

    @property
    def payload_schema(self) -> dict[str, Any] | None:
        """The JSON Schema (2020-12) of the declared payload type."""
        return self.payload_type.json_schema() if self.payload_type else None


class Registry:
    """The subscriptions of one Bus, in the order of their registration."""

    def __init__(self) -> None:
        self._by_id: dict[str, Subscription] = {}
        self._registered = 0

    def __iter__(self) -> Iterator[Subscription]:
        return iter(list(self._by_id.values()))

    def get(self, subscription: str) -> Subscription | None:
        return self._by_id.get(subscription)

    def command(self, name: str) -> Subscription | None:
        """The subscription that carries out a command; None when no such command is registered here."""
        found = (s for s in self._by_id.values() if s.kind is Kind.COMMAND and name in s.names)
        return next(found, None)

    def reached_by(self, name: str) -> list[Subscription]:
        """The subscriptions that a message of this name reaches. No pattern reaches a command."""
        command = self.command(name)
        if command is not None:
            return [command]
        return [s for s in self._by_id.values() if s.hears(name)]

    def add(self, new: Subscription) -> Subscription:
        """Take a subscription in, or add names to the one that the same subscriber has with the same options.

        Raises `InvalidSubscription` for an id that is taken, and where a command would not have exactly one.
        """
        old = self._by_id.get(new.id)
        if old is not None:
            new = self._merged(old, new)
        for other in self._by_id.values():
            shared = set(other.names) & set(new.names)
            if other.id != new.id and shared and Kind.COMMAND in {other.kind, new.kind}:
                raise InvalidSubscription(
                    field="subscription", rule="is the only one of a command",
                    was=f"{new.id} for {min(shared)}, which has {other.id}", limit="one",
                    mend="Use an event where several react.",
                )  # fmt: skip
        if old is None:
            self._registered += 1
            new = replace(new, position=self._registered)
        self._by_id[new.id] = new
        return new

    def remove(self, subscription: str, names: Collection[str]) -> tuple[str, ...]:
        """Take names away from a subscription; returns those that it had."""
        old = self._by_id.get(subscription)
        gone = tuple(name for name in old.names if name in names) if old is not None else ()
        if old is not None and gone:
            kept = tuple(name for name in old.names if name not in names)
            if kept:
                self._by_id[subscription] = replace(old, names=kept)
            else:
                del self._by_id[subscription]
        return gone

    @staticmethod
    def _merged(old: Subscription, new: Subscription) -> Subscription:
        options = replace(new, names=old.names, position=old.position, payload_type=old.payload_type)
        if options != old or (new.payload_schema != old.payload_schema):
            raise InvalidSubscription(
                field="id", rule="is used once", was=new.id, mend="Give this subscriber an id of its own: id=…"
            )
        return replace(old, names=tuple(dict.fromkeys(old.names + new.names)))


def make_subscription(
    names: str | Event[Any] | Sequence[str | Event[Any]],
    subscriber: Subscriber,
    kind: Kind,
    *,
    payload: Any = None,
    **options: Unpack[Options],
) -> Subscription:
    """A checked subscription. Raises `InvalidSubscription`, or TypeError for what cannot be called."""
    if not callable(subscriber):
        raise TypeError(f"a subscriber is a function, not {type(subscriber).__name__}")
    if unknown := options.keys() - Options.__annotations__.keys():
        raise TypeError(f"unknown option {min(unknown)!r}")
    given: dict[str, Any] = dict(options)
    fail_on = given.pop("fail_on", ())
    payload = _declared_type(names) if payload is None else payload
    new = Subscription(
        id=checked_id(given.pop("id", None) or default_id(subscriber)),
        names=checked_names(names),
        subscriber=subscriber,
        kind=kind,
        mode=_checked_mode(given.pop("mode", "async")),
        fail_on=(fail_on,) if isinstance(fail_on, type) else tuple(fail_on),
        payload_type=TypeAdapter(payload) if payload is not None else None,
        **{name: value for name, value in given.items() if not (name == "retry" and value is None)},
    )
    _check_limits(new)
    return new


def _checked_mode(mode: str) -> Mode:
    if mode not in set(Mode):
        raise InvalidSubscription(
            field="mode", rule="is one of async, sync, serial", was=str(mode), mend="Choose one of the three."
        )
    return Mode(mode)


def _check_limits(new: Subscription) -> None:
    if new.timeout is not None and not 0 < new.timeout <= MAX_TIMEOUT:
        raise InvalidSubscription(
            field="timeout", rule="is in its range", was=str(new.timeout), limit=f"over 0 to {MAX_TIMEOUT} seconds",
            mend="Give seconds, or None for no limit.",
        )  # fmt: skip
    check_range("priority", new.priority, -100, 100)
    if new.concurrency is not None:
        check_range("concurrency", new.concurrency, 1, 100_000)
    if new.on_failure not in get_args(OnFailure):
        raise InvalidSubscription(
            field="on_failure", rule="is block or skip", was=str(new.on_failure), mend="Choose one of the two."
        )
    if new.unsafe_to_replay is not None:
        try:
            check_name(new.unsafe_to_replay)
        except InvalidMessage as error:
            mend = "Say in a sentence why, or leave it out."
            raise error.recast(InvalidSubscription, field="unsafe_to_replay", mend=mend) from None
    if new.ordered_by_key and new.mode is not Mode.ASYNC:
        raise InvalidSubscription(
            field="ordered_by_key", rule="goes with mode async", was=f"mode {new.mode}",
            mend="A publisher cannot wait for its turn in a key, nor a chain: leave one of the two away.",
        )  # fmt: skip
    if new.role not in {None, Role.OPERATOR, Role.ADMIN}:
        raise InvalidSubscription(
            field="role", rule="is operator or admin", was=str(new.role), mend="Choose one of the two, or leave it out."
        )
    patterns = [name for name in new.names if ANYTHING in name]
    if patterns and new.kind is Kind.COMMAND:
        raise InvalidSubscription(
            field="name", rule="names one command", was=patterns[0], mend="Write the command's name without *."
        )


def checked_names(names: str | Event[Any] | Sequence[str | Event[Any]]) -> tuple[str, ...]:
    """One name or several, each fit for a message. Raises `InvalidSubscription`."""
    given = listed(names)
    if not given:
        raise InvalidSubscription(field="name", rule="is given", was="none", mend="Name at least one event.")
    try:
        return tuple(dict.fromkeys(check_name(name_of(name)) for name in given))
    except InvalidMessage as error:
        raise error.recast(InvalidSubscription) from None


def _declared_type(names: str | Event[Any] | Sequence[str | Event[Any]]) -> Any:
    """The payload type that the names declare, all the same or none of them any."""
    types = [name.payload if isinstance(name, Event) else None for name in listed(names)]
    if any(one is not types[0] for one in types):
        raise InvalidSubscription(
            field="names", rule="declare one type of payload", was=", ".join(name_of(name) for name in listed(names)),
            mend="Give payload=…, or a subscriber of its own to each.",
        )  # fmt: skip
    return types[0] if types else None


@lru_cache(maxsize=1_000)
def _expression(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in pattern.split(ANYTHING)), re.DOTALL)


def matches(pattern: str, name: str) -> bool:
    """Whether a subscribed name, which may hold `*`, is or covers a message's name."""
    return pattern == name or (ANYTHING in pattern and _expression(pattern).fullmatch(name) is not None)


def checked_id(subscription: str) -> str:
    """A subscription's id is 1 to 200 printable characters, like a name."""
    try:
        return check_name(subscription)
    except InvalidMessage as error:
        raise error.recast(InvalidSubscription, field="id", mend="Give an id of your own: id=…") from None


def default_id(subscriber: Subscriber) -> str:
    """`module:qualname`: where the code is, so that it survives a restart. A program's own file goes by the name under
    which others would import it, not as `__main__`.
    """
    named = subscriber if hasattr(subscriber, "__qualname__") else type(subscriber)
    return f"{_importable(named.__module__)}:{named.__qualname__}"


def _importable(module: str) -> str:
    if module != "__main__":
        return module
    main = sys.modules["__main__"]
    if main.__spec__ is not None:
        return main.__spec__.name.removesuffix(".__main__")
    file: str | None = getattr(main, "__file__", None)
    return Path(file).stem if file else module
