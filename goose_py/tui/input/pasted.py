"""A paste as text."""

from goose_py.protocol.safe_text import safe_text


def pasted_text(text: str) -> str:
    """Line ends are of one kind, and what would act or hide is shown."""
    return safe_text(text.replace("\r\n", "\n").replace("\r", "\n"))
