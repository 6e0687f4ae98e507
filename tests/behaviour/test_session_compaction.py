"""A window that is full: before a request, after a provider's refusal, by hand, after a resume, and taken back."""

import asyncio
import itertools

import pytest
from session_rig import Hang, TestModel, call, done, everything, plan, reply, rig, strict_complaint, text_of

from goose_py.agent.compaction import SUMMARY_SYSTEM, estimate
from goose_py.agent.history import CLEARED
from goose_py.protocol import commands as cmd
from goose_py.protocol import events as ev
from goose_py.protocol.errors import ContextOverflow, ProviderUnavailable, UserError
from goose_py.protocol.messages import ModelRef, Usage

WINDOW = 20_000
FILES = {"README.md": "hello\n", "AGENTS.md": "Use tabs.\n", **{f"f{n}.txt": f"{n} word word\n" * 700 for n in range(12)}}
CHEAP = ModelRef(provider="test", model="cheap")


def reading(n):
    return reply(f"I read file {n}.", call("read", path=f"f{n}.txt"))


def tokens(request):
    return estimate(request.messages)


def compactions(it):
    return [event.method for event in it.events(ev.ContextCompacted)]


class Small(TestModel):
    """A provider whose window is a number of tokens, whatever we believe."""

    def __init__(self, window, *steps, **options):
        super().__init__(*steps, **options)
        self.window = window
        self.refused = 0

    async def stream(self, request):
        if tokens(request) > self.window:
            self.refused += 1
            raise ContextOverflow("prompt is too long")
        async for item in super().stream(request):
            yield item


@pytest.mark.case("U14")
async def test_old_results_are_given_up_first_and_without_a_model(tmp_path):
    steps = [*(reading(n) for n in range(8)), reply("I have read all.")]
    async with rig(tmp_path, *steps, files=FILES, context_window=WINDOW * 2) as it:
        assert (await it.prompt("Read them all.")).outcome == "done"
        assert set(compactions(it)) == {"clear_results"}
        last = everything(it.model.last)
        assert CLEARED in last and "7 word word" in last and "0 word word" not in last
        assert all(tokens(request) < WINDOW * 2 for request in it.model.requests)


@pytest.mark.case("U14")
async def test_a_full_window_is_summed_up_by_the_model_of_that_phase_and_the_work_goes_on(tmp_path):
    cheap = TestModel(after=reply("Goal: read everything. Files 0 to 5 are dull.", usage=Usage(input_tokens=7)))
    talk = [reply(f"Thought {n}: " + "because " * 1500, call("read", path=f"f{n}.txt")) for n in range(8)]
    steps = [reply(plan("read all", "report")), *talk, reply(done("read all", "report")), reply("The files are dull.")]
    async with rig(
        tmp_path, *steps, files=FILES, context_window=WINDOW, planning=True, phases={"summarise": (cheap, CHEAP)}
    ) as it:
        it.session.emit(ev.ContextAdded(source="environment", text="Linux, bash"))
        it.session.emit(ev.ContextAdded(source="conventions", text="Use tabs.\nNo new dependencies."))
        await it.say("Read them all, and never open f11.txt.\n\n  Keep  my  spacing.")
        await it.idle()
        assert it.outcome.outcome == "done"
        assert "summary" in compactions(it)
        assert all(request.system == SUMMARY_SYSTEM and request.model == "cheap" for request in cheap.requests)
        seen = everything(it.model.last)
        for kept in (
            "Linux, bash",
            "Use tabs.\nNo new dependencies.",
            "Read them all, and never open f11.txt.\n\n  Keep  my  spacing.",
            "[>] read all\n[ ] report",
            "Files you read: f0.txt",
            "Files 0 to 5 are dull.",
        ):
            assert kept in seen
        spent = [event for event in it.events(ev.UsageRecorded) if event.phase == "summarise"]
        assert [event.model for event in spent] == [CHEAP] * len(cheap.requests)
        assert all(tokens(request) < WINDOW for request in it.model.requests)


@pytest.mark.case("U14")
@pytest.mark.parametrize(
    "broken",
    [ProviderUnavailable("It is down."), ContextOverflow("Too long."), reply("cut", stop="length"), reply(stop="end")],
)
async def test_where_no_summary_can_be_had_a_window_is_kept_without_a_model(tmp_path, broken):
    talk = [reply(f"Thought {n}: " + "because " * 1500, call("read", path=f"f{n}.txt")) for n in range(8)]
    phases = {"summarise": (TestModel(after=broken), CHEAP)}
    async with rig(tmp_path, *talk, reply("Done."), files=FILES, context_window=WINDOW, phases=phases) as it:
        assert (await it.prompt("Read them all.")).outcome == "done"
        assert "window" in compactions(it) and "summary" not in compactions(it)
        seen = everything(it.model.last)
        assert "Read them all." in seen and "Read f0.txt" in seen and "The last that you said" in seen


@pytest.mark.case("U14")
async def test_the_size_is_looked_at_before_the_first_request_of_a_resumed_session(tmp_path):
    talk = [reply(f"Thought {n}: " + "because " * 1500, call("read", path=f"f{n}.txt")) for n in range(8)]
    async with rig(tmp_path, *talk, reply("Done."), files=FILES, phases={"summarise": (TestModel(), CHEAP)}) as it:
        await it.prompt("Read them all.")
        assert compactions(it) == []
        it.setup.context_window = WINDOW
        it.setup.phases = {"summarise": (TestModel(after=reply("They were dull.")), CHEAP)}
        await it.restart(reply("On we go."))
        assert (await it.prompt("Go on.")).outcome == "done"
        assert tokens(it.model.requests[0]) < WINDOW and compactions(it) == ["summary"]
        assert text_of(it.model.requests[0].messages[-1]).endswith("Go on.")


async def test_what_was_compacted_only_grows_at_its_end_afterwards(tmp_path):
    steps = [*(reading(n) for n in range(10)), reply("Done.")]
    async with rig(tmp_path, *steps, files=FILES, context_window=WINDOW * 2) as it:
        await it.prompt("Read them all.")
        moved = sum(
            after.messages[: len(before.messages)] != before.messages for before, after in itertools.pairwise(it.model.requests)
        )
        assert moved == len(compactions(it)) <= 3


@pytest.mark.case("R15")
@pytest.mark.case("U14")
async def test_a_request_that_the_provider_finds_too_long_is_compacted_once_and_sent_again(tmp_path):
    model = Small(12_000, *(reading(n) for n in range(8)), reply("Done."))
    cheap = TestModel(after=reply("They are dull."))
    async with rig(tmp_path, model=model, files=FILES, phases={"summarise": (cheap, CHEAP)}) as it:
        assert (await it.prompt("Read them all.")).outcome == "done"
        assert model.refused == len(compactions(it)) > 0
        assert model.unused == 0


@pytest.mark.case("R15")
async def test_one_result_that_is_too_long_for_any_window_is_cut(tmp_path):
    huge = call("shell", command="seq 1 9000; echo the end")
    model = Small(3_000, reply(huge), reply("Done."))
    async with rig(tmp_path, model=model, phases={"summarise": (TestModel(after=reply("So far.")), CHEAP)}) as it:
        assert (await it.prompt("Look.")).outcome == "done"
        assert "characters were cut here to make room" in everything(model.last)
        assert "the end" in everything(model.last)
        assert model.refused <= 2


@pytest.mark.case("R15")
@pytest.mark.parametrize("context_window", [None, 8_000])
async def test_a_message_that_fits_no_window_fails_cleanly_on_the_first_turn_and_never_loops(tmp_path, context_window):
    model = Small(8_000, reply("Now it fits."))
    phases = {"summarise": (TestModel(after=reply("So far.")), CHEAP)}
    async with rig(tmp_path, model=model, context_window=context_window, phases=phases) as it:
        ended = await it.prompt("x" * 2_000_000)
        assert (ended.outcome, ended.detail) == ("provider_error", "prompt is too long")
        assert model.refused <= 3
        await it.restart(model=model)
        assert strict_complaint(it.session.state.conversation.messages()) == ""


async def test_room_is_not_made_again_and_again_where_none_can_be_gained(tmp_path):
    """The floor itself is over the threshold: what must stay word for word takes nearly all of the window."""
    cheap = TestModel(after=reply("Short."))
    steps = [reply(call("shell", command=f"echo {n}")) for n in range(10)]
    async with rig(
        tmp_path, *steps, reply("Done."), context_window=8_000, max_output_tokens=1_000, phases={"summarise": (cheap, CHEAP)}
    ) as it:
        it.session.emit(ev.ContextAdded(source="conventions", text="rule " * 4_500))
        assert (await it.prompt("Do it.")).outcome == "done"
        assert len(compactions(it)) <= 2


async def test_no_summary_is_asked_for_once_the_budget_is_spent(tmp_path):
    cheap = TestModel(after=reply("never"))
    talk = [reply("because " * 1500, call("read", path=f"f{n}.txt")) for n in range(4)]
    phases = {"summarise": (cheap, CHEAP)}
    async with rig(tmp_path, *talk, files=FILES, context_window=WINDOW, limits=ev.Limits(max_turns=2), phases=phases) as it:
        assert (await it.prompt("Read.")).outcome == "limit"
        assert cheap.requests == []


# By hand


async def test_a_conversation_is_compacted_by_hand_and_taken_back_word_for_word(tmp_path):
    steps = [*(reading(n) for n in range(4)), reply("Done."), reply("After."), reply("Before.")]
    phases = {"summarise": (TestModel(reply("We read four files.")), CHEAP)}
    async with rig(tmp_path, *steps, files=FILES, phases=phases) as it:
        await it.prompt("Read them.")
        whole = it.session.state.conversation.messages()
        await it.perform(cmd.Compact())
        (event,) = it.events(ev.ContextCompacted)
        assert event.method == "summary" and event.tokens_after < event.tokens_before
        await it.prompt("And?")
        assert "We read four files." in everything(it.model.last) and "0 word word" not in everything(it.model.last)
        await it.perform(cmd.Compact(undo=True))
        await it.restart(reply("Before."))
        await it.prompt("And now?")
        assert it.model.last.messages[: len(whole)] == whole
        with pytest.raises(UserError, match="no compaction to undo"):
            await it.perform(cmd.Compact(undo=True))


async def test_there_is_nothing_to_compact_in_an_empty_conversation(tmp_path):
    async with rig(tmp_path) as it:
        with pytest.raises(UserError, match="nothing to compact"):
            await it.perform(cmd.Compact())


async def test_a_compaction_by_hand_is_refused_while_a_turn_runs_and_can_be_interrupted(tmp_path):
    hang, slow = Hang(), Hang()
    phases = {"summarise": (TestModel(slow), CHEAP)}
    async with rig(tmp_path, reading(1), reply("Done."), hang, files=FILES, phases=phases) as it:
        await it.prompt("Read.")
        compacting = asyncio.ensure_future(it.perform(cmd.Compact()))
        await slow.begun.wait()
        await it.perform(cmd.Interrupt())
        with pytest.raises(UserError, match="interrupted"):
            await compacting
        assert compactions(it) == []
        await it.say("next")
        await hang.begun.wait()
        for command in (cmd.Compact(), cmd.Compact(undo=True)):
            with pytest.raises(UserError, match="A turn is running"):
                await it.perform(command)
