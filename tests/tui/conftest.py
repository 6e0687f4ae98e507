import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def socket() -> Iterator[Path]:
    """A path short enough for a socket's name, which pytest's own folders are not everywhere."""
    with tempfile.TemporaryDirectory(prefix="goose") as folder:
        yield Path(folder) / "s"
