"""The half of a Bus that faces those who react: on, command, off, clear, and who hears of it."""

from __future__ import annotations

import inspect
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, Unpack, cast, overload

from buslog.errors import InvalidSubscription
from buslog.event import Event, listed, name_of
from buslog.message import Kind, Message
from buslog.subscription import (
    CommandOptions,
    Options,
    Registry,
    Subscriber,
    Subscription,
    checked_names,
    make_subscription,
)

log = logging.getLogger("buslog")

SubscriberT = TypeVar("SubscriberT", bound=Subscriber)
P = TypeVar("P")
R = TypeVar("R")
Decorator = Callable[[Callable[[Message[P]], R]], Callable[[Message[P]], R]]


@dataclass(frozen=True, slots=True)
class SubscriberAdded:
    """A subscriber now reacts to names that it did not react to before. `subscription` is its id."""

    names: tuple[str, ...]
    subscriber: Subscriber
    subscription: str


@dataclass(frozen=True, slots=True)
class SubscriberRemoved:
    """A subscriber no longer reacts to these names."""

    names: tuple[str, ...]
    subscriber: Subscriber
    subscription: str


Watcher = Callable[[SubscriberAdded | SubscriberRemoved], object]


class Off:
    """Undoes what returned it: call it, or leave it as a context manager. A second call does nothing."""

    def __init__(self, undo: Callable[[], None]) -> None:
        self._undo: Callable[[], None] | None = undo

    def __call__(self) -> None:
        undo, self._undo = self._undo, None
        if undo is not None:
            undo()

    def __enter__(self) -> Off:
        return self

    def __exit__(self, *_: object) -> None:
        self()


@dataclass(eq=False)
class _Hook:
    """What to do before a name's first subscription and after its last."""

    name: str
    init: Callable[[], object]
    deinit: Callable[[], object] | None
    done: bool = False  # `init` has run, and `deinit` not since


class Subscribing(ABC):
    """Subscriptions in memory. What a started bus tells the database of them is `_register_soon`'s and
    `_unregister_soon`'s.
    """

    def __init__(self, debug: logging.Logger | None = None) -> None:
        self._registry = Registry()
        self._hooks: dict[str, _Hook] = {}
        self._watchers: list[Watcher] = []
        self._debug = debug

    # ── on and off ──────────────────────────────────────────────────────────────

    @overload
    def on(
        self, names: Event[P] | Sequence[Event[P]], subscriber: Callable[[Message[P]], Any], **options: Unpack[Options]
    ) -> Off: ...

    @overload
    def on(
        self, names: str | Sequence[str | Event[Any]], subscriber: Callable[[Message[P]], Any], *, payload: type[P],
        **options: Unpack[Options],
    ) -> Off: ...  # fmt: skip

    @overload
    def on(
        self, names: str | Sequence[str | Event[Any]], subscriber: Subscriber, **options: Unpack[Options]
    ) -> Off: ...

    @overload
    def on(  # type: ignore[overload-overlap]  # an empty list of names is refused anyway
        self, names: Event[P] | Sequence[Event[P]], **options: Unpack[Options]
    ) -> Decorator[P, R]: ...

    @overload
    def on(
        self, names: str | Sequence[str | Event[Any]], *, payload: type[P], **options: Unpack[Options]
    ) -> Decorator[P, R]: ...

    @overload
    def on(
        self, names: str | Sequence[str | Event[Any]], **options: Unpack[Options]
    ) -> Callable[[SubscriberT], SubscriberT]: ...

    def on(
        self,
        names: str | Event[Any] | Sequence[str | Event[Any]],
        subscriber: Subscriber | None = None,
        *,
        payload: Any = None,
        **options: Unpack[Options],
    ) -> Any:
        """React to events. As a decorator returns the function; called with a subscriber returns its `off`.

        names: one or several, declared (`Event`) or plain; a `*` stands for any characters, so `"*"` is every event,
        and such a subscriber starts after those that name theirs. Commands are not events: no pattern reaches them.
        payload: a pydantic model, dataclass or TypedDict that the payload is parsed into; a declared event brings its
        own. options: see `Options`. Raises `InvalidSubscription`; TypeError for a subscriber that cannot be called;
        what a hook's `init` raises.
        """

        def subscribe(function: Subscriber) -> Off:
            new = make_subscription(names, function, Kind.EVENT, payload=payload, **options)
            self._add(new)
            return Off(lambda: self._remove(new.id, new.names))

        return _decorator(subscribe) if subscriber is None else subscribe(subscriber)

    @overload
    def command(self, name: str, *, payload: type[P], **options: Unpack[CommandOptions]) -> Decorator[P, R]: ...

    @overload
    def command(self, name: str, **options: Unpack[CommandOptions]) -> Callable[[SubscriberT], SubscriberT]: ...

    def command(self, name: str, *, payload: Any = None, **options: Unpack[CommandOptions]) -> Any:
        """Carry out a command: it has exactly one subscriber, and a form on the dashboard made from `payload`, a
        pydantic model, dataclass or TypedDict; its schema travels with it.

        options: see `CommandOptions`. Raises `InvalidSubscription`.
        """
        return _decorator(
            lambda function: self._add(make_subscription(name, function, Kind.COMMAND, payload=payload, **options))
        )

    def off(self, names: str | Event[Any] | Sequence[str | Event[Any]], subscriber: Subscriber) -> None:
        """Take a subscriber off the bus, for every process: messages emitted from now on do not reach it, and this
        process starts no more of its deliveries. What it was already sent waits until somebody hosts it again.
        Does nothing for an unknown subscriber.
        """
        gone = [name_of(name) for name in listed(names)]
        for subscription in self._registry:
            if subscription.subscriber == subscriber:
                self._remove(subscription.id, gone)

    def clear(self, names: str | Event[Any] | Sequence[str | Event[Any]] | None = None) -> None:
        """Take all subscribers off these names, or off the bus altogether, as `off` does; what follows them by
        `events` or `once` ends. Names are meant literally: `clear("departed")` leaves a subscriber to `"*"` alone.
        """
        gone = None if names is None else [name_of(name) for name in listed(names)]
        for subscription in self._registry:
            self._remove(subscription.id, subscription.names if gone is None else gone)
        self._end_streams(gone)

    def subscriber_count(self, names: str | Event[Any] | Sequence[str | Event[Any]] | None = None) -> int:
        """How many subscribers of this bus a message of one of these names reaches, those by pattern included. Without
        names: all, each as often as it has names.
        """
        if names is None:
            return sum(len(subscription.names) for subscription in self._registry)
        wanted = [name_of(name) for name in listed(names)]
        return len({subscription.id for name in wanted for subscription in self._registry.reached_by(name)})

    # ── who hears of it ─────────────────────────────────────────────────────────

    def watch(self, watcher: Watcher) -> Off:
        """Hear of each subscriber that is added to or removed from this bus, right after it. What a watcher raises is
        logged and stops nobody. These are no messages: they are not stored, and nobody can emit them.
        """
        self._watchers.append(watcher)
        return Off(lambda: self._watchers.remove(watcher))

    def hook(
        self, name: str | Event[Any], init: Callable[[], object], deinit: Callable[[], object] | None = None
    ) -> Off:
        """Run `init` before the first subscription to a name on this bus (now, if it has one), and `deinit` after the
        last. The name is meant literally, and has one hook. When `init` raises there is no subscription. The `off` of a
        hook runs `deinit` where `init` has run.

        Both are plain functions, run by whoever subscribes. Raises `InvalidSubscription`, and what `init` raises.
        """
        (name,) = checked_names(name)
        if inspect.iscoroutinefunction(init) or inspect.iscoroutinefunction(deinit):
            raise TypeError("init and deinit are plain functions: whoever subscribes does not wait")
        if name in self._hooks:
            raise InvalidSubscription(
                field="hook", rule="is the only one of its name", was=name, mend="Take the other one off first."
            )
        hook = _Hook(name, init, deinit)
        if any(name in subscription.names for subscription in self._registry):
            init()
            hook.done = True
        self._hooks[name] = hook

        def off() -> None:
            del self._hooks[name]
            self._deinit(hook)

        return Off(off)

    def _init(self, names: Collection[str]) -> None:
        """Runs the hooks of names that become used; all of them, or none when one raises."""
        done: list[_Hook] = []
        try:
            for hook in [hook for hook in self._hooks.values() if hook.name in names and not hook.done]:
                hook.init()
                hook.done = True
                done.append(hook)
        except BaseException:
            for hook in done:
                self._deinit(hook)
            raise

    def _deinit(self, hook: _Hook) -> None:
        if not hook.done:
            return
        hook.done = False
        try:
            if hook.deinit is not None:
                hook.deinit()
        except Exception:
            log.exception("the deinit of %s raised", hook.name)

    def _tell(self, change: SubscriberAdded | SubscriberRemoved) -> None:
        if self._debug:
            verb = "subscribe" if isinstance(change, SubscriberAdded) else "unsubscribe"
            self._debug.info("%s %s: %s", verb, change.subscription, ", ".join(change.names))
        for watcher in list(self._watchers):
            try:
                watcher(change)
            except Exception:
                log.exception("a watcher raised")

    # ── one way in, one way out ─────────────────────────────────────────────────

    def _add(self, new: Subscription) -> None:
        old = self._registry.get(new.id)
        subscription = self._registry.add(new)
        added = tuple(name for name in subscription.names if old is None or name not in old.names)
        if not added:
            return
        try:
            self._init(added)
        except BaseException:
            self._registry.remove(new.id, added)
            raise
        self._register_soon(subscription, added)
        self._tell(SubscriberAdded(added, subscription.subscriber, subscription.id))

    def _remove(self, subscription: str, names: Collection[str]) -> None:
        old = self._registry.get(subscription)
        gone = self._registry.remove(subscription, names)
        if old is None or not gone:
            return
        self._unregister_soon(old, gone)
        used = set(self._names())
        for hook in list(self._hooks.values()):
            if hook.name in gone and hook.name not in used:
                self._deinit(hook)
        self._tell(SubscriberRemoved(gone, old.subscriber, subscription))

    def _names(self) -> Iterator[str]:
        return (name for subscription in self._registry for name in subscription.names)

    @abstractmethod
    def _register_soon(self, subscription: Subscription, added: tuple[str, ...]) -> None: ...

    @abstractmethod
    def _unregister_soon(self, old: Subscription, names: tuple[str, ...]) -> None: ...

    @abstractmethod
    def _end_streams(self, names: Collection[str] | None) -> None: ...


def _decorator(subscribe: Callable[[Subscriber], object]) -> Callable[[SubscriberT], SubscriberT]:
    def decorate(function: SubscriberT) -> SubscriberT:
        subscribe(cast("Subscriber", function))
        return function

    return decorate
