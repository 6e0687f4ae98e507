"""Keeping a session's requests within the model's window: before each one by estimate, and after a provider's refusal.

Every step is an event that the conversation's view applies; what each gives up is decided in `goose_py.agent.compaction`.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing

import msgspec

from goose_py.agent import compaction
from goose_py.agent.compaction import Room
from goose_py.agent.history import KEPT_SOURCES, Entry, view
from goose_py.agent.ports import Emit, Model
from goose_py.protocol import events as ev
from goose_py.protocol.deltas import ModelDelta
from goose_py.protocol.errors import ContextOverflow, GooseError
from goose_py.protocol.messages import Text, UserMessage
from goose_py.protocol.model_io import ModelReply, ModelRequest
from goose_py.session.ports import Answering
from goose_py.session.state import SessionState

KEPT_SHARE = 0.25
"""Of what a request may hold, how much of the newest conversation a summary leaves alone."""

MAX_SUMMARY_TOKENS = 4000


class CompactionPorts(msgspec.Struct, frozen=True, kw_only=True):
    """`summariser` is who answers the phase "summarise". `check_limits` raises LimitReached before a request is sent."""

    emit: Emit
    summariser: Callable[[], Awaitable[Answering]]
    check_limits: Callable[[], None]


class Compaction:
    """Makes room in the window of whoever answers. None of its methods fails for lack of a model: they do with less."""

    def __init__(self, state: SessionState, ports: CompactionPorts) -> None:
        self._state = state
        self._ports = ports

    async def fit(self, answering: Answering) -> None:
        """Before a request: makes room where the window is nearly full. Does nothing where the window is unknown, or where
        little has been said since room was last made: what is left is then what must stay."""
        if answering.context_window is None:
            return
        room = compaction.room_of(answering.context_window, answering.max_output_tokens)
        tokens = self.tokens()
        last = self._state.conversation.compactions()[-1:]
        if tokens <= room.full or (last and tokens < last[0].tokens_after + self._prefix_tokens() + room.limit * 0.1):
            return
        await self._make_room(room)

    async def after_overflow(self, answering: Answering) -> None:
        """After the provider refused a request as too long: its word counts, whatever the estimate says."""
        limit = int(self.tokens() * 0.7)
        if answering.context_window is not None:
            limit = min(limit, compaction.room_of(answering.context_window, answering.max_output_tokens).limit)
        await self._make_room(Room(window=limit, reserve=0))

    async def compact(self) -> bool:
        """Because the user asks for it, however much room there is. False where nothing is gained."""
        return await self._summarise(Room(window=self.tokens(), reserve=0))

    def cut(self) -> bool:
        """Cuts the largest result that is left. False where there is none to speak of."""
        event = compaction.cut_largest_result(self._entries(), self._state.conversation.compactions())
        if event is not None:
            self._ports.emit(event)
        return event is not None

    def tokens(self) -> int:
        """What a request would hold now: as the provider counted it, and our estimate of what has come since. A count that is
        far below our own estimate is not believed: some servers count only what they had not seen before."""
        whole = self._prefix_tokens() + compaction.estimate(self._state.conversation.messages())
        if self._state.measured is None:
            return whole
        counted, upto = self._state.measured
        since = compaction.estimate(entry.message for entry in self._entries()[upto:])
        return max(counted + since, whole // 2)

    async def _make_room(self, room: Room) -> None:
        cleared = compaction.clear_old_results(self._entries(), self._state.conversation.compactions())
        if cleared is not None and cleared.tokens_after + self._prefix_tokens() <= room.roomy:
            self._ports.emit(cleared)
            return
        await self._summarise(room)
        while self.tokens() > room.full and self.cut():
            pass

    async def _summarise(self, room: Room) -> bool:
        entries = self._entries()
        keep_from = compaction.boundary(entries, int(room.limit * KEPT_SHARE))
        hidden = compaction.hidden_before(entries, keep_from)
        if not compaction.worth_hiding(hidden, room):
            return False
        said = await self._summary_of(hidden)
        kept = compaction.kept_word_for_word(hidden, self._state.plan.plan, limit=int(room.limit * KEPT_SHARE * 3.5))
        event = compaction.measured(
            ev.ContextCompacted(
                summary="\n\n".join(part for part in (said or compaction.digest(hidden), kept) if part),
                keep_from=keep_from,
                method="summary" if said else "window",
            ),
            entries,
            self._state.conversation.compactions(),
        )
        if event is not None:
            self._ports.emit(event)
        return event is not None

    async def _summary_of(self, hidden: Sequence[Entry]) -> str:
        """A model's summary, "" where none could be had: a compaction must not fail because a request does."""
        try:
            answering = await self._ports.summariser()
            self._ports.check_limits()
            return await self._ask(answering, hidden)
        except GooseError:
            return ""

    async def _ask(self, answering: Answering, hidden: Sequence[Entry]) -> str:
        window = compaction.room_of(answering.context_window or 32_000, MAX_SUMMARY_TOKENS)
        entries = [entry for entry in hidden if entry.source not in KEPT_SOURCES]
        text = compaction.transcript(
            view(entries, self._state.conversation.compactions()), int(window.limit * 0.8 * compaction.CHARS_PER_TOKEN)
        )
        request = ModelRequest(
            model=answering.ref.model,
            system=compaction.SUMMARY_SYSTEM,
            messages=(UserMessage((Text(f"<conversation>\n{text}\n</conversation>\n\nWrite the summary."),)),),
            effort=answering.ref.effort,
            temperature=answering.temperature,
            max_output_tokens=min(MAX_SUMMARY_TOKENS, answering.max_output_tokens or MAX_SUMMARY_TOKENS),
        )
        said = ""
        async with aclosing(answering.model.stream(request)) as stream:
            async for item in stream:
                if isinstance(item, ModelReply):
                    said = item.message.text().strip() if item.message.stop_reason == "end" else ""
                    cost = answering.cost(item.usage)
                    self._ports.emit(ev.UsageRecorded(model=answering.ref, usage=item.usage, cost=cost, phase="summarise"))
        return said

    def _entries(self) -> Sequence[Entry]:
        return self._state.conversation.entries()

    def _prefix_tokens(self) -> int:
        prefix = self._state.prefix
        if prefix is None:
            return 0
        return compaction.estimate_text(len(prefix.system) + len(msgspec.json.encode(prefix.tools)))


class FittingModel:
    """A wrapper of Model: a request that the provider refuses as too long is made smaller and sent again, as long as
    `make_room` (given the number of refusals) says that there is something to be gained. `rebuild` gives the request anew."""

    def __init__(
        self,
        model: Model,
        make_room: Callable[[int], Awaitable[bool]],
        rebuild: Callable[[], ModelRequest],
    ) -> None:
        self._model = model
        self._make_room = make_room
        self._rebuild = rebuild

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelDelta | ModelReply]:
        attempt = 0
        while True:
            try:
                async with aclosing(self._model.stream(request)) as stream:
                    async for item in stream:
                        yield item
                return
            except ContextOverflow:
                attempt += 1
                if not await self._make_room(attempt):
                    raise
                request = self._rebuild()
