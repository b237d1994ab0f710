"""The first schema. Its SQL lies in ../0001_initial/, one room a file, run in the order of their names."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    # The driver's own connection: these files hold many statements each, and per cent signs.
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    for file in sorted((Path(__file__).parent.parent / "0001_initial").glob("*.sql")):
        driver.execute(file.read_text(encoding="utf-8"))
