"""The review on the screen: marks by hunk and file, what a file is besides its lines, and applying."""

from pathlib import Path

import msgspec
import pytest
from tui.changed import CART, CART_AFTER, change_set, file_change, long_file, shop
from tui.harness import Scene, scene
from tui.recorded import RESULT_TREE, coupon

from goose_py.protocol import commands as cmd
from goose_py.protocol import events as ev
from goose_py.protocol.changes import FileChange
from goose_py.protocol.errors import UserError
from goose_py.protocol.messages import Text
from goose_py.tasks.changes.task_changes import FEEDBACK as tasks_feedback
from goose_py.tasks.history.causes import Cause
from goose_py.tui.review.diff_rows import changed_span, file_diff, notes_of
from goose_py.tui.review.screen import ReviewScreen
from goose_py.tui.state.cases.turns import FEEDBACK

WIDE, NARROW = (120, 35), (80, 24)


def review(app: Scene) -> ReviewScreen:
    assert isinstance(app.app.screen, ReviewScreen)
    return app.app.screen


async def opened(app: Scene) -> ReviewScreen:
    """The review, with every file loaded; the worker logs each decision as the real one does."""

    async def decide(command: cmd.AnyCommand) -> None:
        if isinstance(command, cmd.DecideChange):
            fields = {name: getattr(command, name) for name in command.__struct_fields__}
            app.worker.emit(ev.ChangeDecided(**fields))

    app.worker.answers = app.worker.answers or decide
    await app.shown(lambda: app.app.changes is not None and bool(app.app.changes.files))
    await app.pilot.press("f3")
    await app.shown(lambda: isinstance(app.app.screen, ReviewScreen) and review(app).review.tally().unread == 0)
    return review(app)


@pytest.mark.parametrize("size", [WIDE, NARROW])
async def test_hunks_are_kept_and_dropped_one_by_one_and_the_marks_are_the_logs(socket: Path, size: tuple[int, int]):
    changes, files = shop()
    async with scene(socket, coupon(), size=size, changes=changes, files=files) as app:
        screen = await opened(app)
        assert "src/cart.py" in app.text() and "subtotal -= self.gift_card.balance" in app.text()
        assert "undecided 5" in app.text()
        await app.pilot.press("space", "d")
        first, second = (await app.worker.received(2))[:2]
        hunks = files["src/cart.py"].hunks
        assert hunks is not None
        assert first == cmd.DecideChange(path="src/cart.py", hunk=hunks[0].id, verdict="keep", content=hunks[0].id)
        assert second == cmd.DecideChange(path="src/cart.py", hunk=hunks[1].id, verdict="drop", content=hunks[1].id)
        await app.caught_up()
        assert "kept 1 · dropped 1 · undecided 3" in app.text() and screen.review.settled
        assert screen.review.file is not None and screen.review.file.path == "static/logo.png"


async def test_marks_survive_leaving_and_coming_back(socket: Path):
    changes, files = shop()
    async with scene(socket, coupon(), changes=changes, files=files) as app:
        await opened(app)
        await app.pilot.press("space")
        await app.worker.received(1)
        await app.caught_up()
        await app.pilot.press("escape")
        assert app.app.screen is app.app.conversation
        await opened(app)
        assert "kept 1 · dropped 0 · undecided 4" in app.text() and "1/2" in app.text()


async def test_a_mark_dies_with_the_content_that_it_was_made_on(socket: Path):
    changes, files = shop()
    async with scene(socket, coupon(), changes=changes, files=files) as app:
        screen = await opened(app)
        await app.pilot.press("space")
        await app.worker.received(1)
        await app.caught_up()
        later = CART_AFTER.replace("retries=3", "retries=5").replace("min(", "max(")
        newer, newer_files = change_set(file_change("src/cart.py", CART, later))
        files.clear()
        files.update(newer_files)
        app.app.changes = newer
        app.app.draw()
        await app.shown(lambda: screen.review.tally().unread == 0)
        assert "kept 0 · dropped 0 · undecided 2" in app.text()


async def test_a_whole_file_is_kept_and_the_last_mark_is_undone(socket: Path):
    changes, files = shop()
    async with scene(socket, coupon(), changes=changes, files=files) as app:
        screen = await opened(app)
        await app.pilot.press("A")
        await app.worker.received(3)
        await app.caught_up()
        assert screen.review.tally().keep == 2
        await app.pilot.press("z")
        await app.worker.received(5)
        await app.caught_up()
        assert screen.review.tally().keep == 0 and screen.review.file is not None and screen.review.file.path == "src/cart.py"
        await app.pilot.press("X")
        await app.worker.received(8)
        await app.caught_up()
        assert screen.review.tally().drop == 2


async def test_files_end_at_the_last_and_undecided_hunks_are_walked_round_about(socket: Path):
    changes, files = shop()
    async with scene(socket, coupon(), changes=changes, files=files) as app:
        screen = await opened(app)
        await app.pilot.press("right_square_bracket", "right_square_bracket")
        assert screen.review.file is not None and screen.review.file.path == "tests/test_cart.py"
        assert "new file" in app.text() and "def test_gift_card" in app.text()
        await app.pilot.press("n", "n")
        assert screen.review.file.path == "src/cart.py" and screen.view.unit == 0
        await app.pilot.press("J")
        assert screen.view.unit == 1
        await app.pilot.press("N")
        assert screen.view.unit == 0
        await app.pilot.press("left_square_bracket")
        assert screen.review.file.path == "src/cart.py" and "That is the first file." in app.text()
        await app.pilot.press(*["right_square_bracket"] * 3)
        assert screen.review.file.path == "tools/release.sh"
        await app.pilot.press("right_square_bracket")
        assert screen.review.file.path == "tools/release.sh" and "That is the last file." in app.text()
        assert "mode 100644 → 100755" in app.text() and "becomes a program that can be run" in app.text()


async def test_a_refused_mark_is_taken_back_and_the_reason_is_shown(socket: Path):
    changes, files = shop()
    async with scene(socket, coupon(), changes=changes, files=files) as app:

        async def refuse(command: cmd.AnyCommand) -> None:
            raise UserError("That hunk is no longer there.")

        app.worker.answers = refuse
        await opened(app)
        await app.pilot.press("space")
        await app.shown(lambda: "no longer there" in app.text() and "undecided 5" in app.text())


@pytest.mark.parametrize(
    ("keys", "fields"),
    [
        (("y",), {"how": "worktree", "all": False}),
        (("right", "y"), {"how": "worktree", "all": True}),
        (("c",), {"how": "commits", "all": False}),
        (("s", "enter"), {"how": "squash", "all": False, "message": "coupon and gift card total"}),
    ],
)
async def test_applying_says_exactly_what_will_happen_and_sends_what_was_looked_at(
    socket: Path, keys: tuple[str, ...], fields: dict[str, object]
):
    changes, files = shop()
    async with scene(socket, coupon(), changes=changes, files=files) as app:
        screen = await opened(app)
        await app.pilot.press("space", "d", "M")
        await app.shown(lambda: screen.question.gate.drawn is not None)
        text = app.text()
        assert "Apply to /home/me/src/shop" in text
        assert "M src/cart.py: 1 of 2 kept, 1 dropped, 0 undecided" in text and "A tests/test_cart.py: undecided" in text
        assert "nothing staged or committed" in text and "3 undecided are left out" in text
        assert "One commit on the tip of main, once checked" in text and "Its commits on the tip of main" in text
        await app.pilot.press(*keys)
        sent = (await app.worker.received(3))[2]
        assert sent == cmd.ApplyChanges(base_tree="a" * 40, result_tree=RESULT_TREE, **fields)  # type: ignore[arg-type]


async def test_why_nothing_was_applied_stays_in_view_as_a_sentence_with_the_way_out(socket: Path):
    changes, files = shop()
    async with scene(socket, coupon(), changes=changes, files=files) as app:
        screen = await opened(app)
        await app.pilot.press("space", "M")
        await app.shown(lambda: screen.question.gate.drawn is not None)

        async def refuse(command: cmd.AnyCommand) -> None:
            raise UserError("src/cart.py conflicts with main; nothing was changed.")

        app.worker.answers = refuse
        await app.pilot.press("y")
        await app.shown(lambda: "src/cart.py conflicts with main; nothing was changed." in app.text())
        assert "R brings the task onto main" in app.text()
        app.worker.answers = None
        await app.pilot.press("R")
        assert (await app.worker.received(3))[2] == cmd.Rebase()
        assert "conflicts with main" not in app.text()


async def test_nothing_is_applied_while_the_task_works(socket: Path):
    changes, files = shop()
    async with scene(socket, coupon("edit"), changes=changes, files=files) as app:
        await opened(app)
        await app.pilot.press("M")
        await app.shown(lambda: "still working; interrupt it first" in app.text())
        assert app.worker.commands == []


async def test_what_goes_back_to_the_agent_is_shown_first_and_never_twice(socket: Path):
    changes, files = shop()
    async with scene(socket, coupon(), changes=changes, files=files) as app:
        screen = await opened(app)
        await app.pilot.press("c", "w", "h", "y", "enter")
        await app.worker.received(1)
        await app.caught_up()
        assert "1 comment not sent" in app.text() and "» why" in app.text()
        await app.pilot.press("d", "S")
        await app.shown(lambda: screen.question.gate.drawn is not None)
        assert "comment: why" in app.text() and "rejected, near line" in app.text() and "the next turn" in app.text()
        await app.pilot.press("n")
        await app.pilot.press("b", "e", "enter")
        sent = (await app.worker.received(3))[2]
        assert sent == cmd.SendFeedback(note="be")
        app.worker.emit(ev.PromptReceived(prompt_id=f"{FEEDBACK}1", parts=(Text("why"),)))
        await app.caught_up()
        assert "not sent" not in app.text()
        await app.pilot.press("S")
        await app.shown(lambda: "nothing to send back" in app.text())
    assert tasks_feedback == FEEDBACK


async def test_single_lines_are_kept_and_dropped_and_a_range_at_once(socket: Path):
    changes, files = shop()
    hunk = (files["src/cart.py"].hunks or ())[0]
    changed = [number for number, line in enumerate(hunk.lines) if line[0] != " "]
    async with scene(socket, coupon(), changes=changes, files=files) as app:
        screen = await opened(app)
        await app.pilot.press("a", "space")
        first = (await app.worker.received(1))[0]
        assert first == cmd.DecideChange(
            path="src/cart.py", hunk=hunk.id, lines=(changed[0],), verdict="keep", content=hunk.id
        )
        await app.caught_up()
        assert screen.view.chosen_lines() == (changed[1],) and "by line 1" in app.text()
        assert f"by line: 1 kept, 0 dropped, {len(changed) - 1} undecided" in app.text()
        await app.pilot.press("v", "j", "j", "d")
        second = (await app.worker.received(2))[1]
        assert isinstance(second, cmd.DecideChange) and second.lines == tuple(changed[1:4]) and second.verdict == "drop"
        await app.caught_up()
        assert "3 dropped" in app.text()


async def test_undo_brings_every_line_back_to_what_it_was(socket: Path):
    changes, files = shop()
    async with scene(socket, coupon(), changes=changes, files=files) as app:
        screen = await opened(app)
        await app.pilot.press("a", "space", "d", "a", "K")
        await app.worker.received(2)
        await app.caught_up()
        before = dict(screen.review.marks("src/cart.py") or {})
        screen.view.point(0)
        await app.pilot.press("d")
        await app.worker.received(3)
        await app.caught_up()
        assert (screen.review.marks("src/cart.py") or {})[0].mark == "drop"
        await app.pilot.press("z")
        await app.worker.received(6)
        await app.caught_up()
        assert screen.review.marks("src/cart.py") == before


async def test_a_comment_on_lines_stands_below_them(socket: Path):
    changes, files = shop()
    async with scene(socket, coupon(), changes=changes, files=files) as app:
        screen = await opened(app)
        await app.pilot.press("a", "j", "c", "n", "o", "enter")
        sent = (await app.worker.received(1))[0]
        assert isinstance(sent, cmd.DecideChange) and sent.comment == "no" and len(sent.lines) == 1
        await app.caught_up()
        lines = app.text().split("\n")
        at = next(number for number, line in enumerate(lines) if "» no" in line)
        assert "subtotal = round(subtotal * self.rate, 2)" in lines[at - 1]
        assert screen.view.chosen_lines() == sent.lines


async def test_a_mark_goes_on_to_what_is_below_and_never_back_to_what_was_passed_over(socket: Path):
    changes, files = shop()
    async with scene(socket, coupon(), changes=changes, files=files) as app:
        screen = await opened(app)
        await app.pilot.press(*["right_square_bracket"] * 3, "space")
        assert screen.review.file is not None and screen.review.file.path == "tools/release.sh"
        assert "n goes to those above" in app.text()
        await app.pilot.press("d")
        await app.worker.received(2)
        await app.caught_up()
        assert "kept 0 · dropped 1 · undecided 4" in app.text(), "the same one is marked again, and no other"
        await app.pilot.press("n")
        assert screen.review.file.path == "src/cart.py" and screen.view.unit == 0


async def test_a_comment_is_changed_and_taken_back_until_it_is_sent(socket: Path):
    changes, files = shop()
    async with scene(socket, coupon(), changes=changes, files=files) as app:
        screen = await opened(app)
        await app.pilot.press("c", "n", "o", "enter")
        await app.worker.received(1)
        await app.caught_up()
        await app.pilot.press("c")
        assert screen.writing.value == "no" and "empty takes it back" in app.text()
        await app.pilot.press("t", "enter")
        changed = (await app.worker.received(2))[1]
        assert isinstance(changed, cmd.DecideChange) and changed.comment == "not" and changed.withdraws
        await app.caught_up()
        assert "» not" in app.text() and "» no " not in app.text() and "1 comment not sent" in app.text()
        await app.pilot.press("c", *["backspace"] * 3, "enter")
        taken = (await app.worker.received(3))[2]
        assert isinstance(taken, cmd.DecideChange) and not taken.comment and taken.withdraws > changed.withdraws
        await app.caught_up()
        assert "»" not in app.text() and "not sent" not in app.text() and "undecided 5" in app.text()
        await app.pilot.press("c", "o", "k", "enter")
        await app.worker.received(4)
        app.worker.emit(ev.PromptReceived(prompt_id=f"{FEEDBACK}1", parts=(Text("ok"),)))
        await app.caught_up()
        await app.pilot.press("c")
        assert screen.writing.value == "", "what was sent stands; this is another one"


async def test_an_edit_of_a_hunk_is_shown_as_what_it_will_read(socket: Path):
    changes, files = shop()
    async with scene(socket, coupon(), changes=changes, files=files) as app:
        screen = await opened(app)
        screen._decide(screen.review.editing(0, "only this\nremains\n"))
        sent = (await app.worker.received(1))[0]
        assert isinstance(sent, cmd.DecideChange) and sent.edit == "only this\nremains\n" and sent.verdict == "keep"
        await app.caught_up()
        assert "kept as you edited it" in app.text() and "only this" in app.text() and "kept 1" in app.text()
        await app.pilot.press("z")
        await app.worker.received(2)
        await app.caught_up()
        assert "only this" not in app.text() and "undecided 5" in app.text()


@pytest.mark.case("U13")
@pytest.mark.parametrize("size", [WIDE, NARROW])
async def test_a_diff_carries_the_command_the_exit_code_and_the_tree_that_was_checked(socket: Path, size: tuple[int, int]):
    changes, files = shop()
    async with scene(socket, coupon(), size=size, changes=changes, files=files) as app:
        await opened(app)
        assert f"passed: pytest -q (exit code 0 on tree {RESULT_TREE[:10]})" in app.text()
        app.worker.emit(ev.VerificationFinished(command="pytest -q", exit_code=1, tree=RESULT_TREE, output="2 failed"))
        await app.caught_up()
        assert f"failed: pytest -q (exit code 1 on tree {RESULT_TREE[:10]})" in app.text()
        app.app.changes = msgspec.structs.replace(changes, result_tree="c" * 40)
        app.app.draw()
        await app.pilot.pause()
        assert f"stale: pytest -q (exit code 1 on tree {RESULT_TREE[:10]}, edited afterwards)" in app.text()
        await app.pilot.press("escape")
        assert "ready for review · checks are stale" in app.text()


@pytest.mark.case("U13")
async def test_a_check_that_never_ran_is_said_not_to_have_run(socket: Path):
    changes, files = shop()
    async with scene(socket, coupon("edit"), changes=changes, files=files) as app:
        await opened(app)
        assert "not run: pytest -q" in app.text()


async def test_every_hunk_can_be_asked_for_its_reason(socket: Path):
    changes, files = shop()
    first, _second = (files["src/cart.py"].hunks or ())[:2]
    causes = {
        first.id: (
            Cause(lines=(4,), turn=1, prompt="Fix the total", step="Reorder coupon and gift card", call="edit src/cart.py"),
            Cause(lines=(5,), turn=2, call="sed -i"),
        )
    }
    async with scene(socket, coupon(), changes=changes, files=files, causes=causes) as app:
        await opened(app)
        await app.pilot.press("w")
        await app.shown(lambda: "turn 1 · step: Reorder coupon and gift card · edit src/cart.py" in app.text())
        assert "asked: Fix the total" in app.text() and "turn 2 · sed -i" in app.text()
        await app.pilot.press("J")
        await app.shown(lambda: "nothing is recorded of what made this" in app.text())
        await app.pilot.press("w")
        assert "WHY" not in app.text()


@pytest.mark.case("A34")
@pytest.mark.case("A35")
async def test_hidden_and_control_characters_in_a_diff_are_shown(socket: Path):
    hostile = "u = '\u202e \u2066' # \x1b[2J\rgone \u200b\U000e0041\n"
    changes, files = change_set(file_change("a\x1b[31m\u202e.py", "x\n", hostile, flags=("hidden_unicode",)))
    async with scene(socket, coupon(), changes=changes, files=files) as app:
        await opened(app)
        text = app.text()
        assert "\\u{202e}" in text and "\\x1b[2J\\rgone \\u{200b}\\u{e0041}" in text and "a\\x1b[31m\\u{202e}.py" in text
        assert not {char for char in text if ord(char) < 32 and char != "\n"} and "\u202e" not in text
        assert "characters that do not show" in text


def attributes(**fields: object) -> list[str]:
    plain: dict[str, object] = {"hunks": (), "added": None, "removed": None}
    return notes_of(file_change("f", "x\n", "y\n", **{**plain, **fields}))


@pytest.mark.parametrize(
    ("fields", "note"),
    [
        ({"status": "renamed", "old_path": "old.py"}, "renamed from old.py"),
        ({"status": "added", "new_mode": "120000", "flags": ("symlink",)}, "new symbolic link"),
        ({"status": "type-changed", "new_mode": "120000"}, "file becomes a symbolic link"),
        ({"status": "mode", "new_mode": "100755", "flags": ("executable",)}, "! becomes a program that can be run"),
        ({"binary": True}, "binary content"),
        ({"new_mode": "160000", "old_mode": "160000", "flags": ("submodule",)}, "submodule commit"),
        ({"flags": ("large",)}, "too large to be shown"),
        ({"flags": ("encoding",)}, "not UTF-8"),
        ({}, "no lines differ"),
    ],
)
def test_a_file_is_shown_for_what_it_is(fields: dict[str, object], note: str):
    assert any(line.startswith(note) for line in attributes(**fields))


def test_rows_carry_the_numbers_of_both_sides():
    diff = file_diff(file_change("src/cart.py", CART, CART_AFTER))
    lines = [row for row in diff.rows if row.kind == "line"]
    for row in lines:
        if row.old is not None:
            assert CART.split("\n")[row.old - 1] == row.text
        if row.new is not None:
            assert CART_AFTER.split("\n")[row.new - 1] == row.text
    assert [row.text for row in diff.rows if row.kind == "gap"] == ["10 lines not changed", "2 lines not changed"]


def test_a_missing_line_end_is_a_difference_that_can_be_seen():
    diff = file_diff(file_change("f", "a\nb\n", "a\nb"))
    assert [(row.sign, row.text, row.ended) for row in diff.rows if row.kind == "line"][1:] == [
        ("-", "b", True),
        ("+", "b", False),
    ]


@pytest.mark.parametrize(
    ("old", "new", "span"),
    [
        ("charge(card)", "charge(card, retries=3)", (11, 11, 22)),
        ("abc", "xyz", (0, 0, 0)),
        ("same", "same", (4, 4, 4)),
        ("return a", "return b", (7, 8, 8)),
    ],
)
def test_the_part_of_a_line_that_differs_is_found(old: str, new: str, span: tuple[int, int, int]):
    assert changed_span(old, new) == span


async def test_a_long_diff_opens_at_once_and_is_walked_to_its_end(socket: Path):
    file: FileChange = long_file(4800)
    changes, files = change_set(file)
    async with scene(socket, coupon(), changes=changes, files=files) as app:
        screen = await opened(app)
        assert screen.view.virtual_size.height > 3_000
        await app.pilot.press("G")
        assert "value_4790 = compute(4790, other)" in app.text()
        assert len(screen.view._colored) < 300
