"""What holds for all tests."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import User, user_at

# Some tests limit the size of files, as a full disk would: byte code written meanwhile would be cut short, and stay.
sys.dont_write_bytecode = True


@pytest.fixture
def user(tmp_path: Path) -> Iterator[User]:
    with user_at(tmp_path) as user:
        yield user
