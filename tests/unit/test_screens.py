"""What holds for every screen, read from the code: words in one file, a text for each picture, colour never alone."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from buslog.console import words
from buslog.message import State

ROOT = Path(__file__).parents[2]
SCREENS = [
    file for file in [*sorted((ROOT / "pages").glob("*.py")), *sorted((ROOT / "src/buslog/console").glob("*.py"))]
    if file.name != "words.py"
]  # fmt: skip
NOT_SHOWN = {"_log", "access", "words"}  # whose texts are for programs, or are words already
DRAWN = {"plotly_chart", "dataframe", "data_editor", "image", "line_chart", "bar_chart", "area_chart"}
DATE_FORMAT = re.compile(r"[YMDHms:. -]+")
MARKUP = re.compile(r":material/\w+:|<[^>]*>?|^[^<>]*>|[\w-]+=\"|[\w-]+:[^;]*;")


def calls(file: Path) -> Iterator[tuple[str, str, ast.Call]]:
    """Calls of a method or a function of a module: what it is of, its name, the call."""
    for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
            root: ast.expr = call.func.value
            while isinstance(root, ast.Attribute | ast.Call):
                root = root.value if isinstance(root, ast.Attribute) else root.func
            yield (root.id if isinstance(root, ast.Name) else ""), call.func.attr, call


def literals(call: ast.Call) -> Iterator[str]:
    """The texts given to a call, those of a choice or an f-string too; not what is given to a call within it."""
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    while given:
        match given.pop():
            case ast.Constant(value=str(text)):
                yield text
            case ast.JoinedStr(values=parts) | ast.BoolOp(values=parts):
                given += parts
            case ast.IfExp(body=one, orelse=other):
                given += [one, other]


@pytest.mark.parametrize("file", SCREENS, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_no_sentence_of_a_screen_lies_outside_the_file_of_words(file: Path) -> None:
    told = [(name, text) for of, name, call in calls(file) if of not in NOT_SHOWN for text in literals(call)]
    sentences = [
        (name, text) for name, text in told
        if re.search(r"[A-Za-z]{2,} [A-Za-z]{2,}", MARKUP.sub("", text)) and not DATE_FORMAT.fullmatch(text)
    ]  # fmt: skip
    assert sentences == []


@pytest.mark.parametrize("file", SCREENS, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_every_chart_table_and_picture_has_a_text_for_who_does_not_see_it(file: Path) -> None:
    silent = [
        f"line {call.lineno}: {name}" for of, name, call in calls(file)
        if name in DRAWN and of == "st" and "alt" not in {keyword.arg for keyword in call.keywords}
    ]  # fmt: skip
    assert silent == []


def test_every_state_has_a_mark_a_word_and_a_meaning_beside_its_colour() -> None:
    assert set(words.STATES) == set(State)
    for looks in (words.STATES, words.GROUP_STATUSES):
        assert all(look.mark.strip() and look.meaning for look in looks.values())
        assert len({look.mark for look in looks.values()}) == len(looks)


@pytest.mark.parametrize("file", SCREENS, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_no_badge_has_the_colour_of_a_state_without_its_mark(file: Path) -> None:
    badges = [call for _, name, call in calls(file) if name == "badge"]
    coloured = [b for b in badges if any(k.arg == "color" and ".color" in ast.unparse(k.value) for k in b.keywords)]
    assert [b.lineno for b in coloured if not re.search(r"words\.label\(|\.mark", ast.unparse(b.args[0]))] == []
