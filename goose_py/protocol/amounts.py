"""Amounts as a person reads them, the same in every consumer."""


def counted(count: int, noun: str) -> str:
    """"1 file", "2 files": `noun` is one whose plural ends in s."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def dollars(cost: float, *, unpriced: bool) -> str:
    """`unpriced`: for a part of it no price is known, so that what is known is the least that it was."""
    if unpriced and not cost:
        return "no price known"
    return f"${cost:.4f}" + (" or more" if unpriced else "")
