r"""psql: `\copy` of the same rows of buslog.log, in the same columns.

export    copies what was emitted from `since` on, to nowhere               → rows, seconds
"""

from __future__ import annotations

import re
import subprocess
import time

import common

from buslog.embedded import binaries


def export(options: dict) -> None:
    query = f"SELECT * FROM buslog.log WHERE message_id >= buslog.id_floor('{options['since']}')"
    command = rf"\copy ({query}) TO '/dev/null' (FORMAT csv, HEADER)"
    began = time.monotonic()
    done = subprocess.run(
        [str(binaries(18) / "psql"), "-X", options["dsn"], "-c", command], check=True, capture_output=True, text=True
    )
    seconds = time.monotonic() - began
    common.answer(rows=int(re.search(r"COPY (\d+)", done.stdout).group(1)), seconds=seconds)


if __name__ == "__main__":
    common.run({"export": export})
