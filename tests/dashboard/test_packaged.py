"""What a user gets who has the wheel and no checkout: installed into a bare environment, run from an empty folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tarfile
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from buslog.console import frame
from tests.acceptance.conftest import wait_until
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
SHOP = """
from buslog import Bus, Message

bus = Bus()

@bus.on("ordered", id="ship")
async def ship(message: Message) -> str:
    return "shipped"
"""
TITLES = {
    "": "Overview", "failures": "Failures", "log": "Log", "key": "Key", "commands": "Commands",
    "subscribers": "Subscribers", "replays": "Replays", "audit": "Audit", "alerts": "Alerts",
    "permissions": "Your permissions",
    "message": "Message",
}  # fmt: skip


def uv(*arguments: str | Path) -> None:
    subprocess.run([sys.executable, "-m", "uv", *arguments], check=True, timeout=300, cwd=ROOT)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source distribution, and the wheel that was built of it."""
    folder = tmp_path_factory.mktemp("dist")
    uv("build", "--quiet", "--no-build-isolation", "--python", sys.executable, "--out-dir", folder)
    return folder


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the commands of an environment that holds the wheel and what is locked for it, and nothing else."""
    home = tmp_path_factory.mktemp("installed") / "venv"
    (wheel,) = built.glob("*.whl")
    uv("venv", "--quiet", "--python", sys.executable, home)
    python = home / "bin" / "python"
    uv("pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", "requirements/run.txt")
    uv("pip", "install", "--quiet", "--python", python, "--no-deps", wheel)
    return python.parent


@contextmanager
def run(command: Path, folder: Path, *arguments: str) -> Iterator[str]:
    """A command that serves the dashboard, in a folder, with an embedded database; gives the dashboard's address."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BUSLOG_", "PYTHON"))}
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(
            [command, *arguments, "--port", str(port)], cwd=folder, env=kept, stdout=said, stderr=said
        )
    try:
        wait_until(lambda: process.poll() is not None or _answers(address))
        assert process.poll() is None, (folder / "said").read_text()
        yield address
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)
    assert (process.returncode, "Traceback" in (folder / "said").read_text()) == (0, False)


def _answers(address: str) -> bool:
    try:
        urllib.request.urlopen(f"{address}/_stcore/health", timeout=1).close()
    except OSError:
        return False
    return True


def test_the_wheel_carries_the_dashboard_within_the_package_and_installs_no_other_module(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"buslog"}
    pages = {file.name for file in (ROOT / "pages").glob("*.py")}
    assert {name.removeprefix("buslog/_app/") for name in names if name.startswith("buslog/_app/")} == {
        "app.py", *(f"pages/{page}" for page in pages),
    }  # fmt: skip
    inside = {str(path.relative_to(ROOT / "src")) for path in (ROOT / "src/buslog").rglob("*") if path.suffix in
              {".py", ".sql", ".svg", ".mako", ".typed"} and "__pycache__" not in path.parts}  # fmt: skip
    assert inside - set(names) == set()


def test_the_source_distribution_holds_what_builds_tests_and_explains_it(built: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as taken:
        names = {name.partition("/")[2] for name in taken.getnames()}
    assert {"app.py", "pages/overview.py", "README.md", "docs/operating.md", "requirements/run.txt",
            "tests/conftest.py", "examples/freight/traffic.py"} <= names  # fmt: skip
    assert [name for name in names if name.startswith((".venv", ".buslog", "tests/clients/node_modules"))] == []


def test_from_the_wheel_alone_every_page_opens_on_an_embedded_database(
    installed: Path, tmp_path: Path, page: Page
) -> None:
    with run(installed / "buslog", tmp_path, "dashboard") as address:
        for path in ("", *frame.PATHS):
            page.goto(f"{address}/{path}")
            expect(page.get_by_role("heading", level=1)).to_have_text(TITLES[path])
            expect(page.get_by_text("Times in")).to_be_visible()
            expect(page.get_by_text("This page could not be shown")).to_have_count(0)
        logo = page.get_by_test_id("stHeaderLogo")
        assert logo.evaluate("picture => picture.naturalWidth") > 0


def test_from_the_wheel_alone_a_whole_system_comes_up(installed: Path, tmp_path: Path, page: Page) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    command = installed / "buslog"
    with run(command, tmp_path, "up", "shop:bus") as address:
        wait_until(lambda: "The worker runs" in (tmp_path / "said").read_text())
        subprocess.run([command, "emit", "ordered", '{"shipmentId": "S-1"}'], cwd=tmp_path, check=True, timeout=60)
        page.goto(f"{address}/key?key=S-1")
        expect(page.get_by_role("heading", level=1)).to_contain_text("S-1")
        expect(page.get_by_text("ordered").first).to_be_visible()
    assert sorted(file.name for file in tmp_path.iterdir()) == [".buslog", "__pycache__", "said", "shop.py"]
