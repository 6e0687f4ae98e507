import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from command import User
from tui.tmux import Terminal


@pytest.fixture
def socket() -> Iterator[Path]:
    """A path short enough for a socket's name, which pytest's own folders are not everywhere."""
    with tempfile.TemporaryDirectory(prefix="goose") as folder:
        yield Path(folder) / "s"


@pytest.fixture
async def terminal(user: User) -> AsyncIterator[Terminal]:
    terminal = Terminal(user)
    yield terminal
    await terminal.close()
