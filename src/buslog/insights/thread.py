"""A thread: all messages of one correlation id as a causation tree, and the part of it that a screen can show."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from buslog import db
from buslog.insights.model import Count
from buslog.insights.story import Story, stories
from buslog.message import Kind, State

READ = 10_000  # messages
SHOWN = 60  # messages: a smaller thread is shown whole
ANCESTORS = 12  # the nearest ones
SIBLINGS_BEFORE, SIBLINGS_AFTER = 4, 16
TROUBLES = 20


@dataclass(frozen=True, slots=True)
class ThreadMessage:
    """A message in its thread: `states` counts its deliveries."""

    id: UUID
    kind: Kind
    name: str
    key: str | None
    emitted_at: datetime
    causation_id: UUID | None
    actor: str | None
    states: Mapping[State, int]

    @property
    def trouble(self) -> State | None:
        """The state in which a delivery of it waits for a person, or for something else than a worker."""
        return next((state for state in (State.FAILED, State.BLOCKED, State.RETRYING) if state in self.states), None)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the tree: a message, or a number of messages that are left out here. `depth`: distance from the root.

    around: a message that is left out; a look around it shows it.
    """

    depth: int
    message: ThreadMessage | None = None
    left_out: int = 0
    states: Mapping[State, int] | None = None
    around: UUID | None = None


@dataclass(frozen=True, slots=True)
class Thread:
    """A thread around one message: the tree's lines in the order of causes, with gaps where it is too large.

    messages: how many it has. states: its deliveries, counted; of the messages read only, as `troubles`: the first
    messages that wait for a person, or for something else than a worker. stories: what became of the messages shown.
    """

    lines: list[Line]
    messages: Count
    states: Mapping[State, int]
    troubles: list[ThreadMessage]
    stories: Mapping[UUID, Story]

    @property
    def is_whole(self) -> bool:
        return not self.messages.is_capped and not any(line.left_out for line in self.lines)


def thread(connection: db.Connection, correlation_id: UUID, around: UUID) -> Thread:
    """The neighbourhood of a message in its thread; the whole of a thread of at most `SHOWN` messages."""
    values = {"correlation_id": correlation_id, "places": READ + 1, "also": [around]}
    rows = connection.execute(db.query("thread"), values)
    found = [
        ThreadMessage(*(row[0], Kind(row[1]), *row[2:7], {State(s): n for s, n in json.loads(row[7]).items()}))
        for row in rows
    ]
    is_capped = len(found) > READ
    tree = _Tree(found)
    lines = list(tree.lines(tree.chosen(around)))
    shown = [line.message.id for line in lines if line.message]
    states: Counter[State] = Counter()
    for message in found:
        states.update(message.states)
    return Thread(
        lines, Count(min(len(found), READ), is_capped=is_capped), states,
        [message for message in found if message.trouble][:TROUBLES], stories(connection, shown),
    )  # fmt: skip


class _Tree:
    """Who caused whom. A message whose cause is not there stands as a root."""

    def __init__(self, messages: list[ThreadMessage]) -> None:
        self.known = {message.id: message for message in messages}
        self.caused: dict[UUID | None, list[UUID]] = defaultdict(list)
        for message in messages:
            self.caused[self._cause(message.id)].append(message.id)
        self.depth: dict[UUID, int] = {}
        waiting = [(root, 0) for root in reversed(self.caused[None])]
        while waiting:
            identity, depth = waiting.pop()
            self.depth[identity] = depth
            waiting.extend((child, depth + 1) for child in reversed(self.caused.get(identity, ())))
        # How many messages hang on each, itself included, and their deliveries by state: from the leaves up.
        self.size: dict[UUID, int] = {}
        self.states: dict[UUID, Counter[State]] = {}
        for identity in reversed(self.depth):
            children = self.caused.get(identity, ())
            self.size[identity] = 1 + sum(self.size[child] for child in children)
            states = Counter(self.known[identity].states)
            for child in children:
                states.update(self.states[child])
            self.states[identity] = states

    def _cause(self, identity: UUID) -> UUID | None:
        cause = self.known[identity].causation_id
        return cause if cause in self.known else None

    def _path(self, identity: UUID) -> list[UUID]:
        """From a message up to its root."""
        path = [identity]
        while (cause := self._cause(path[-1])) is not None and len(path) <= len(self.known):
            path.append(cause)
        return path

    def chosen(self, around: UUID) -> set[UUID]:
        """The messages to show: the nearest of kin first, as long as there is room."""
        if len(self.known) <= SHOWN or around not in self.depth:
            return set(list(self.depth)[:SHOWN])
        path = self._path(around)
        shown = {*path[: ANCESTORS + 1], path[-1]}
        siblings = self.caused[self._cause(around)]
        place = siblings.index(around)
        shown.update(siblings[max(place - SIBLINGS_BEFORE, 0) : place + SIBLINGS_AFTER + 1])
        # Then what it caused, level by level.
        level = [around]
        while level and len(shown) < SHOWN:
            level = [child for identity in level for child in self.caused.get(identity, ())]
            shown.update(level[: SHOWN - len(shown)])
        return shown

    def lines(self, shown: set[UUID]) -> Iterator[Line]:
        """The tree's lines, depth first: a run of messages that are not shown is one line."""
        leads: set[UUID] = set()  # not shown, but something below it is
        for identity in shown:
            for above in self._path(identity)[1:]:
                if above in leads:
                    break
                if above not in shown:
                    leads.add(above)
        waiting: list[UUID | Line] = list(reversed(list(self._children(None, 0, shown, leads))))
        while waiting:
            item = waiting.pop()
            if isinstance(item, Line):
                yield item
            else:
                depth = self.depth[item]
                yield Line(depth, self.known[item])
                waiting.extend(reversed(list(self._children(item, depth + 1, shown, leads))))

    def _children(self, cause: UUID | None, depth: int, shown: set[UUID], leads: set[UUID]) -> Iterator[UUID | Line]:
        left_out: list[UUID] = []
        for child in self.caused.get(cause, ()):
            if child not in shown and child not in leads:
                left_out.append(child)
                continue
            if left_out:
                yield self._gap(depth, left_out)
                left_out = []
            if child in shown:
                yield child
            else:
                yield from self._below(child, depth, shown, leads)
        if left_out:
            yield self._gap(depth, left_out)

    def _below(self, top: UUID, depth: int, shown: set[UUID], leads: set[UUID]) -> Iterator[UUID | Line]:
        """Past messages that are not shown, down to the ones that are."""
        between, level, below = Counter(self.states[top]), [top], []
        while level:
            children = [child for identity in level for child in self.caused.get(identity, ())]
            below += [child for child in children if child in shown]
            level = [child for child in children if child in leads]
        left_out = self.size[top]
        for child in below:
            left_out -= self.size[child]
            between.subtract(self.states[child])
        yield Line(depth, left_out=left_out, states=+between, around=top)
        yield from below

    def _gap(self, depth: int, left_out: list[UUID]) -> Line:
        states: Counter[State] = Counter()
        for identity in left_out:
            states.update(self.states[identity])
        return Line(depth, left_out=sum(self.size[i] for i in left_out), states=states, around=left_out[0])
