"""The options of a filter: the same for every command that takes one, named as in the addresses of the dashboard."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any, TypeVar
from uuid import UUID

import click

from buslog.desk import Actor
from buslog.errors import InvalidFilter, NotFound, did_you_mean
from buslog.filter import Filter, Range

F = TypeVar("F", bound=Callable[..., Any])

# By the name of the filter's parameter. The argument of the command is called as the option is.
_OPTIONS: dict[str, Callable[[F], F]] = {
    "view": click.option("--view", metavar="NAME", help="A saved view, by its name or id: a whole filter of its own."),
    "find": click.option("--find", help="Id, key or ref; many, separated by commas or blanks."),
    "key": click.option("--key", help="Exactly this key."),
    "name": click.option("--name", multiple=True, help="This name; repeat it for any of several."),
    "subscription": click.option("--subscription", help="Exactly this subscription."),
    "state": click.option("--state", multiple=True, help="This state; repeat it for any of several."),
    "error": click.option("--error", help="Exactly this type of the last error."),
    "error_text": click.option("--error-text", help="The last error contains this."),
    "group": click.option("--group", help="Exactly this failure group: `buslog failures` lists them."),
    "raised": click.option("--raised", is_flag=True, help="At least one attempt raised."),
    "ended": click.option("--ended", metavar="TIME", help="Ended at or after."),
    "correlation": click.option("--correlation", metavar="ID", help="Of this thread."),
    "payload": click.option("--payload", metavar="JSON", help='The payload contains this, such as {"carrier": "MSC"}.'),
    "range": click.option(
        "--range", type=click.Choice([choice.value for choice in Range]), help="Emitted so far back from now."
    ),
    "from": click.option(
        "--from", metavar="TIME", help="Emitted at or after: 2026-01-31, 2026-01-31T14:05Z. Default UTC."
    ),
    "to": click.option("--to", metavar="TIME", help="Emitted before."),
}


def options(*, without: tuple[str, ...] = ()) -> Callable[[F], F]:
    """Puts the options of a filter on a command; `filter_of` takes the arguments that they give."""

    def decorate(command: F) -> F:
        for name, option in reversed(_OPTIONS.items()):
            if name not in without:
                command = option(command)
        return command

    return decorate


def filter_of(dsn: str, given: Mapping[str, Any]) -> Filter:
    """The filter that was asked for; everything, where nothing was. Raises `InvalidFilter`, and `NotFound` for a view
    that nobody sees.
    """
    params: dict[str, str | list[str]] = {
        name: list(value) if isinstance(value, tuple) else "yes" if value is True else str(value)
        for name, value in given.items()
        if value
    }
    view = params.pop("view", None)
    if view is None:
        return Filter.from_params(params, default=Range.ALL)
    if params:
        raise InvalidFilter(
            field="view", rule="stands alone", was=", ".join(params), mend="A saved view is a whole filter."
        )
    return _saved(dsn, str(view))


def _saved(dsn: str, wanted: str) -> Filter:
    from buslog.insights import Insights  # noqa: PLC0415  (SQLAlchemy takes half a second to import)

    with closing(Insights(dsn)) as insights:
        try:
            return insights.view(UUID(wanted)).filter
        except ValueError:
            found = insights.views(Actor.local("cli").name)
    for view in found:  # one's own come first
        if view.name == wanted:
            return view.filter
    mend = did_you_mean(wanted, [view.name or "" for view in found])
    raise NotFound(field="view", rule="exists, and is yours or shared", was=wanted, mend=mend)
