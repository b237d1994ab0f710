from __future__ import annotations

import pytest

from buslog import Bus
from buslog.config import Settings


@pytest.fixture
def bus(test_settings: Settings) -> Bus:
    """Not started: a test registers its subscribers first."""
    return Bus(settings=test_settings)
