"""`results.json`: a list of rows. Each target of the Makefile that measures keeps its own rows in it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One figure: `spread` is the largest run less the smallest, in the unit. Without a median, `absent` says why."""

    work: str
    subject: str
    median: float | None
    spread: float | None
    unit: str
    runs: int
    absent: str | None = None

    def as_json(self) -> dict[str, object]:
        rounded = {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(self).items()}
        return {name: value for name, value in rounded.items() if name != "absent" or value is not None}


def read(path: Path) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    return rows


def merge(path: Path, new: list[Row]) -> list[dict[str, object]]:
    """Put rows in the place of those of the same work and subject; the others stay. Returns all."""
    replaced = {(row.work, row.subject): row.as_json() for row in new}
    kept = [replaced.pop((str(old["work"]), str(old["subject"])), old) for old in read(path)]
    rows = [*kept, *replaced.values()]
    lines = ",\n".join(f"  {json.dumps(row)}" for row in rows)
    path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    return rows
