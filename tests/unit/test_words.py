"""The words of the screens: each name stands for one text."""

from __future__ import annotations

import ast
import inspect
from collections import Counter

from buslog.console import words
from buslog.console.shortcuts import Shortcut


def test_no_name_is_given_twice() -> None:
    names: Counter[str] = Counter()
    for statement in ast.parse(inspect.getsource(words)).body:
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        names.update(name.id for target in targets if target for name in ast.walk(target) if isinstance(name, ast.Name))
        if isinstance(statement, ast.FunctionDef):
            names[statement.name] += 1
    assert len(names) > 100
    assert [name for name, times in names.items() if times > 1] == []


def test_every_shortcut_is_said_in_the_list_of_keys() -> None:
    assert set(words.SHORTCUTS) == {shortcut.name for shortcut in Shortcut}
    assert len(set(Shortcut)) == len(Shortcut.__members__), "each key once"
