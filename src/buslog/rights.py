"""Who may do what: the one written table of verbs and the least role that may do each."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What a person may do; each may do what the ones before it may. The order is the order of rank."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        return list(Role).index(self)

    def covers(self, least: Role) -> bool:
        """Whether this role is the other one, or above it."""
        return self.rank >= least.rank


# The verbs of the audit. docs/operating.md shows this table, and so does the page "Your permissions".
RIGHTS: dict[str, Role] = {
    "log in": Role.VIEWER,
    "log out": Role.VIEWER,
    "look": Role.VIEWER,
    "export": Role.VIEWER,
    "emit": Role.OPERATOR,
    "emit edited": Role.OPERATOR,
    "run": Role.OPERATOR,
    "replay": Role.OPERATOR,
    "run now": Role.OPERATOR,
    "cancel": Role.OPERATOR,
    "preview": Role.OPERATOR,
    "replay many": Role.OPERATOR,
    "run now many": Role.OPERATOR,
    "cancel many": Role.OPERATOR,
    "stop": Role.OPERATOR,
    "acknowledge": Role.OPERATOR,
    "assign": Role.OPERATOR,
    "resolve": Role.OPERATOR,
    "reopen": Role.OPERATOR,
    "note": Role.OPERATOR,
    "take duty": Role.OPERATOR,
    "save view": Role.OPERATOR,
    "rename view": Role.OPERATOR,
    "delete view": Role.OPERATOR,
    "pause": Role.ADMIN,
    "resume": Role.ADMIN,
    "unregister": Role.ADMIN,
    "import": Role.ADMIN,
    "refs backfill": Role.ADMIN,
    "unmask": Role.ADMIN,
    "erase": Role.ADMIN,
    "set role": Role.ADMIN,
    "set alert": Role.ADMIN,
    "remove alert": Role.ADMIN,
    "test alert": Role.ADMIN,
}


def least_role(verb: str, demanded: Role | None = None) -> Role:
    """The least role that may do it; `demanded`: what a command asks for beside.

    A verb that is not in the table is a mistake in the program: raises KeyError.
    """
    least = RIGHTS[verb]
    return demanded if demanded is not None and demanded.covers(least) else least
