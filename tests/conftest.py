"""What holds for all tests."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import User, user_at

# Some tests limit the size of files, as a full disk would: byte code written meanwhile would be cut short, and stay.
sys.dont_write_bytecode = True


@pytest.fixture
def user(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[User]:
    """Where a module says `FOUND_CHECKS = True`, the checks that a project gives away run as they do for a new user."""
    with user_at(tmp_path) as user:
        user.found_checks = getattr(request.module, "FOUND_CHECKS", False)
        yield user
