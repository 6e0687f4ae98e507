"""Changes to review, made with difflib as git would make them."""

import difflib
import hashlib
from collections.abc import Iterable

import msgspec

from goose_py.protocol.changes import ChangeSet, FileChange, Hunk

NONE = "0" * 40


def digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:40]


def hunks_of(path: str, before: str, after: str) -> tuple[Hunk, ...]:
    old, new = lines_of(before), lines_of(after)
    found: list[Hunk] = []
    for group in difflib.SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(3):
        lines: list[str] = []
        for tag, i1, i2, j1, j2 in group:
            if tag == "equal":
                lines += [" " + line for line in old[i1:i2]]
                continue
            lines += ["-" + line for line in old[i1:i2]]
            lines += ["+" + line for line in new[j1:j2]]
        first, last = group[0], group[-1]
        old_lines, new_lines = last[2] - first[1], last[4] - first[3]
        found.append(
            Hunk(
                id=digest(path, *lines),
                old_start=first[1] + (1 if old_lines else 0),
                old_lines=old_lines,
                new_start=first[3] + (1 if new_lines else 0),
                new_lines=new_lines,
                section="def total(self) -> Decimal:" if first[1] else "",
                lines=tuple(lines),
            )
        )
    return tuple(found)


def lines_of(text: str) -> list[str]:
    """With their line feeds; nothing else ends a line."""
    *whole, last = text.split("\n")
    return [line + "\n" for line in whole] + ([last] if last else [])


def file_change(path: str, before: str | None, after: str | None, **fields: object) -> FileChange:
    """A text change; None for a side on which the file is not there."""
    hunks = hunks_of(path, before or "", after or "")
    lines = [line for hunk in hunks for line in hunk.lines]
    status = "added" if before is None else "deleted" if after is None else "modified"
    made: dict[str, object] = {
        "id": digest(path, before or "", after or ""),
        "attributes_id": digest(path, "attributes"),
        "path": path,
        "status": status,
        "old_mode": "000000" if before is None else "100644",
        "new_mode": "000000" if after is None else "100644",
        "old_oid": NONE if before is None else digest(before),
        "new_oid": NONE if after is None else digest(after),
        "hunks": hunks,
        "added": sum(line.startswith("+") for line in lines),
        "removed": sum(line.startswith("-") for line in lines),
    }
    return FileChange(**{**made, **fields})  # type: ignore[arg-type]


def change_set(*files: FileChange) -> tuple[ChangeSet, dict[str, FileChange]]:
    """(the set without hunks, the files with them)"""
    bare = tuple(msgspec.structs.replace(file, hunks=None) for file in files)
    return ChangeSet(base_tree="a" * 40, result_tree="b" * 40, files=bare), {file.path: file for file in files}


CART = '''from decimal import Decimal


class Cart:
    """What a customer is about to pay for."""

    def __init__(self, lines, coupon=None, gift_card=None):
        self.lines = lines
        self.coupon = coupon
        self.gift_card = gift_card

    def total(self) -> Decimal:
        subtotal = sum(line.total for line in self.lines)
        subtotal -= self.gift_card.balance
        subtotal = round(subtotal * self.rate, 2)
        # shipping is added by the caller
        return subtotal

    def refund(self):
        for line in self.lines:
            line.returned = True

    def _apply_coupon(self, amount):
        return amount * (1 - self.coupon.rate)

    def pay(self, card):
        try:
            charge(card)
        except CardError:
            pass
'''
CART_AFTER = (
    CART.replace("        subtotal -= self.gift_card.balance\n", "        subtotal = self._apply_coupon(subtotal)\n")
    .replace(
        "        subtotal = round(subtotal * self.rate, 2)\n", "        subtotal -= min(subtotal, self.gift_card.balance)\n"
    )
    .replace(
        "    def _apply_coupon(self, amount):\n",
        "    def _apply_coupon(self, amount):\n        if self.coupon is None:\n            return amount\n",
    )
    .replace("            charge(card)\n", "            charge(card, retries=3)\n")
)


def shop() -> tuple[ChangeSet, dict[str, FileChange]]:
    binary = FileChange(
        id=digest("logo"),
        attributes_id=digest("logo a"),
        path="static/logo.png",
        status="modified",
        old_mode="100644",
        new_mode="100644",
        old_oid="1" * 40,
        new_oid="2" * 40,
        binary=True,
        hunks=(),
        flags=("binary",),
    )
    test = "def test_gift_card():\n    cart = Cart([line(100)], coupon(10), gift(50))\n    assert cart.total() == 40\n"
    return change_set(
        file_change("src/cart.py", CART, CART_AFTER),
        binary,
        file_change("tests/test_cart.py", None, test),
        file_change(
            "tools/release.sh", "#!/bin/sh\n", "#!/bin/sh\n", status="mode", new_mode="100755", hunks=(), flags=("executable",)
        ),
    )


def long_file(lines: int) -> FileChange:
    before = "".join(f"value_{number} = compute({number}, 'name')\n" for number in range(lines))
    after = "".join(
        f"value_{number} = compute({number}, {'other' if number % 10 == 0 else chr(39) + 'name' + chr(39)})\n"
        for number in range(lines)
    )
    return file_change("src/long.py", before, after)


def names(files: Iterable[FileChange]) -> list[str]:
    return [file.path for file in files]
