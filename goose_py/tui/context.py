"""What the screens see of the app: the state to draw, the ways to act on it. The app knows the screens; they know only this."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from goose_py.protocol.changes import ChangeSet
from goose_py.protocol.commands import AnyCommand
from goose_py.protocol.errors import GooseError
from goose_py.tui.appearance import Look
from goose_py.tui.chrome import Chrome
from goose_py.tui.review.open_review import OpenReview
from goose_py.tui.services import Options, Services
from goose_py.tui.state.task_line import TaskLine
from goose_py.tui.state.view_state import Queued, ViewState
from goose_py.tui.widgets.question import Option, Question

T = TypeVar("T")


class AppContext(Protocol):
    """`reviewing` is the review of the attached task, None until its changes are known. `answered` is the question whose
    answer is on its way. `tasks` are all that are known."""

    look: Look
    options: Options
    services: Services
    task_id: str | None
    changes: ChangeSet | None
    reviewing: OpenReview | None
    tasks: tuple[TaskLine, ...]
    answered: str

    @property
    def state(self) -> ViewState: ...

    def chrome(self, tab: str = "chat") -> Chrome: ...

    def say(self, text: str, seconds: float = 4) -> None:
        """Tell the user something in passing."""

    def complain(self, error: GooseError) -> None: ...

    def copy(self, text: str) -> None: ...

    def send(self, *commands: AnyCommand, on_refused: Callable[[str], None] | None = None) -> None:
        """To the attached task, in order. A refusal is shown, by `on_refused` where it is given, and what follows is not
        sent."""

    def outside(self, work: Callable[[], T]) -> T:
        """Do something with the terminal to itself. Raises GooseError where there is none to give."""
        ...

    # What belongs to the conversation.

    def submit(self, text: str, *, queue: bool) -> None: ...

    def answer(self, question: Question, option: Option, variant: int, note: str = "") -> None: ...

    def interrupt(self) -> None: ...

    def take_back(self, queued: Queued) -> None: ...

    def next_mode(self) -> None: ...

    def show_plan(self) -> None: ...

    # Going elsewhere.

    def attach(self, task: str) -> None: ...

    def begin_another(self) -> None: ...

    def review_when_loaded(self) -> None: ...

    def open_tab(self, x: int, header: str) -> None: ...

    def refresh_tasks(self) -> None: ...

    def refresh_changes(self) -> None: ...
