"""What every case does: put one more item under those that stand."""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from goose_py.tui.state.view_state import AnyItem, NoticeItem, NoticeKind, ViewState

Cases = dict[type, Callable[[ViewState, Any], ViewState]]


def append(state: ViewState, item: AnyItem) -> ViewState:
    return replace(state, items=state.items.append(item))


def notice(state: ViewState, kind: NoticeKind, text: str, detail: str = "") -> ViewState:
    return append(state, NoticeItem(seq=state.seq, kind=kind, text=text, detail=detail))
