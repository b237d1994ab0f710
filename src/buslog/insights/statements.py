"""Composed statements: each is made once, and kept. Why so: docs/decisions/0024-kept-statements.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, ParamSpec, cast

from sqlalchemy import BindParameter, bindparam
from sqlalchemy.dialects.postgresql import psycopg as dialect
from sqlalchemy.sql.selectable import GenerativeSelect
from sqlalchemy.types import TypeEngine

from buslog import db

P = ParamSpec("P")

KEPT = 256  # statements of each read: people ask in a few dozen ways

_DIALECT = dialect.dialect()  # type: ignore[no-untyped-call]


class Statement(NamedTuple):
    """The text of a query for the driver, and the values that are always the same in it."""

    text: bytes
    fixed: Mapping[str, Any]

    def on(self, connection: db.Connection, values: Mapping[str, Any], *, prepare: bool | None = None) -> db.Cursor:
        """Carries it out with the values of everything that is `bound` in it: one that is missing is refused.

        prepare: plan it for all values, after a few times. Only for what reads little whatever they are.
        """
        return connection.execute(self.text, {**self.fixed, **values}, prepare=prepare)


def bound(name: str, value: Any, type_: TypeEngine[Any]) -> BindParameter[Any]:
    """A value in a query, by a name that it has in every statement."""
    return bindparam(name, value, type_=type_)


def composed(query: GenerativeSelect, *, with_values: bool = True) -> Statement:
    """A query with the values that were put into it; or without those that are `bound`."""
    compiled = query.compile(dialect=_DIALECT)
    fixed = {name: compiled.params[name] for bind, name in compiled.bind_names.items() if with_values or bind.unique}
    return Statement(str(compiled).encode(), fixed)


def kept(compose: Callable[P, GenerativeSelect]) -> Callable[P, Statement]:
    """Composes once for each combination of arguments: shapes and choices, never values."""

    @lru_cache(maxsize=KEPT)
    def statement(*arguments: Any, **choices: Any) -> Statement:
        return composed(compose(*arguments, **choices), with_values=False)

    return cast("Callable[P, Statement]", statement)
