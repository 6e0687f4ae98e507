"""Amounts as they are told."""

import pytest

from goose_py.protocol.amounts import counted, dollars


@pytest.mark.parametrize(("count", "told"), [(0, "0 files"), (1, "1 file"), (2, "2 files")])
def test_one_thing_is_told_as_one(count: int, told: str):
    assert counted(count, "file") == told


@pytest.mark.parametrize(("cost", "unpriced", "told"), [
    (0.0, False, "$0.0000"),
    (0.12345, False, "$0.1235"),
    (0.0, True, "no price known"),
    (0.5, True, "$0.5000 or more"),
])  # fmt: skip
def test_what_has_no_known_price_is_not_told_as_free(cost: float, unpriced: bool, told: str):
    assert dollars(cost, unpriced=unpriced) == told
