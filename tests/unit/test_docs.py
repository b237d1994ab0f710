from __future__ import annotations

import re
from pathlib import Path

import pytest

import buslog
from buslog.alerting.channels import EXAMPLE, Channels
from buslog.config import Settings
from buslog.message import State
from buslog.subscription import Options

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


@pytest.mark.parametrize("setting", sorted(Settings.model_fields))
def test_every_setting_is_documented(setting: str) -> None:
    assert f"`BUSLOG_{setting.upper()}`" in (DOCS / "operating.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("option", sorted(Options.__annotations__))
def test_every_option_of_a_subscription_is_documented(option: str) -> None:
    assert f"| `{option}` " in (DOCS / "operating.md").read_text(encoding="utf-8")


def test_the_channels_that_docs_and_screens_show_can_be_read() -> None:
    (shown,) = re.findall(
        r"BUSLOG_ALERT_CHANNELS='(.*?)'", (DOCS / "operating.md").read_text(encoding="utf-8"), re.DOTALL
    )
    assert Channels(shown).names == ["chat", "hook", "ops", "teams"]
    assert Channels(EXAMPLE).names == ["chat", "ops"]


@pytest.mark.parametrize("state", sorted(State))
def test_every_state_is_in_the_drawing_or_the_glossary(state: str) -> None:
    assert state in (DOCS / "states.md").read_text(encoding="utf-8")


def test_every_decision_is_in_the_list() -> None:
    listed = set(re.findall(r"\((\d{4}-.*?\.md)\)", (DOCS / "decisions" / "README.md").read_text(encoding="utf-8")))
    assert listed == {file.name for file in (DOCS / "decisions").glob("0*.md")}


PROMISES = (DOCS / "guarantees.md").read_text(encoding="utf-8").split("\n## ")[1:]


@pytest.mark.parametrize("promise", PROMISES, ids=lambda text: text.partition("\n")[0])
def test_every_promise_says_what_it_does_not_promise_and_names_tests_that_exist(promise: str) -> None:
    assert "*Not promised:*" in promise
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", promise)
    assert named
    missing = [f"{file}::{test}" for file, test in named if f"def {test}(" not in (ROOT / file).read_text("utf-8")]
    assert missing == []
    assert len(named) == promise.count("::"), "each on its own, in full"


PAGES = [str(page.relative_to(ROOT)) for page in [*sorted(DOCS.rglob("*.md")), ROOT / "README.md"]]


@pytest.mark.parametrize("page", PAGES)
def test_no_link_of_the_docs_is_broken(page: str) -> None:
    targets = re.findall(r"\]\(([^)#]+?)\)", (ROOT / page).read_text(encoding="utf-8"))
    missing = [t for t in targets if "://" not in t and not (ROOT / page).parent.joinpath(t).exists()]
    assert missing == []


def test_the_public_names_are_what_can_be_imported() -> None:
    names = """Bus BuslogError Cancel Emission Emitted Event Fail Kind Message Mode Off Outage Rate Record Retry
        RetryPolicy State StillPending Stream StreamEnded SubscriberAdded SubscriberRemoved SubscribersFailed
        TimedOut"""
    assert sorted(buslog.__all__) == sorted(names.split())
    assert all(hasattr(buslog, name) for name in buslog.__all__)


def test_the_errors_are_all_drawn_in_their_tree() -> None:
    from buslog import errors

    classes = [n for n, v in vars(errors).items() if isinstance(v, type) and issubclass(v, BaseException)]
    assert [name for name in classes if name not in (errors.__doc__ or "")] == []


@pytest.mark.parametrize("file", sorted(p.name for p in (ROOT / "src/buslog/sql").glob("*.sql")))
def test_every_named_query_opens_with_its_purpose_and_is_called(file: str) -> None:
    assert (ROOT / "src/buslog/sql" / file).read_text(encoding="utf-8").startswith("-- ")
    code = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "src/buslog").rglob("*.py"))
    assert f'"{file.removesuffix(".sql")}"' in code
