"""What a model is told when it sends the same failing change again: the file as it is now."""

from ..display import numbered, plural
from ..files import existing
from ..refusal import Refused
from ..workspace import Workspace
from .encoding import decode
from .ledger import Ledger
from .lines import Lines

_LINES = 400
_CHARS = 16_000


def with_fresh_content(workspace: Workspace, ledger: Ledger, name: str, request: str, refusal: Refused) -> Refused:
    """`refusal` as it is the first time `request` fails for the file `name`, and with the file's content after that."""
    times = ledger.failed(name, request)
    if times < 2:
        return refusal
    try:
        stored = existing(workspace, name)
        lines = Lines(decode(stored.data, name).text) if stored else None
    except Refused:
        return refusal
    if stored is None or lines is None:
        return refusal
    ledger.saw(name, stored.data)
    return Refused(
        f"{refusal}\nThis same change has now failed {times} times in a row. Do not send it again: {name} is now\n"
        f"{listing(lines, 0, _LINES)}"
    )


def listing(lines: Lines, first: int, last: int) -> str:
    """The lines [first, last), from 0, as `read` shows them, within bounds, with how to read on."""
    shown: list[str] = []
    room = _CHARS
    for line in lines.texts[first:last]:
        room -= len(line) + 8
        if room < 0:
            break
        shown.append(line)
    more = len(lines.texts) - first - len(shown)
    read_on = f"read on with offset={first + len(shown) + 1}"
    below = f"\n[{plural(more, 'line')} below not shown; {read_on}]" if more > 0 else ""
    return numbered(shown, first + 1) + below
