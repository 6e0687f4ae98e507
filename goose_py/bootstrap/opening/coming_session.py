"""The session for what is made before it: told things early, and asked what it cannot know yet."""

from collections.abc import Iterable

from goose_py.protocol import events as ev
from goose_py.session.session import Session
from goose_py.toolbox import StateChange


class ComingSession:
    """What is said is kept until the session begins, and recorded then."""

    def __init__(self) -> None:
        self._session: Session | None = None
        self._kept: list[ev.DurableEvent] = []

    def begin(self, session: Session) -> None:
        self._session = session
        for event in self._kept:
            session.emit(event)

    def tell(self, event: ev.DurableEvent) -> None:
        if self._session is None:
            self._kept.append(event)
        else:
            self._session.emit(event)

    def warn(self, warnings: Iterable[str]) -> None:
        for warning in warnings:
            self.tell(ev.Warned(text=warning))

    def extension_changed(self, change: StateChange) -> None:
        """What has become of an extension."""
        self.tell(
            ev.ExtensionChanged(extension=change.extension, state=change.state, detail=change.detail, tools=change.tools)
        )
        self.warn(change.warnings)
        if change.late:
            text = f"The tools of the extension {change.extension} are there now: tool_search finds them."
            self.tell(ev.ContextAdded(source="extensions", text=text))

    def base_tree(self) -> str | None:
        return self._session.state.base_tree if self._session is not None else None

    def planning(self) -> bool:
        return self._session is not None and self._session.state.mode == "plan"
