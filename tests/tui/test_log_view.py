"""The conversation log: what is laid out, what is kept, what is rendered again, and at what cost."""

import random
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tui.harness import scene
from tui.recorded import Log, call, prompt, reply, started, tool

from goose_py.protocol import events as ev
from goose_py.tui.appearance import PALETTES, ROLES, Look
from goose_py.tui.conversation.block_heights import Heights
from goose_py.tui.conversation.blocks import call_diff, item_rows
from goose_py.tui.state.reducer import reduce
from goose_py.tui.state.view_state import NoticeItem, TextItem, ToolItem, UserItem, ViewState
from goose_py.tui.widgets.markdown import StreamedMarkdown, markdown_rows
from goose_py.tui.widgets.text_layout import ago_text, clock_text, count_text, fitted, fitted_start, seconds_text, spread

LOOK = Look()


def plain(rows: list) -> list[str]:  # type: ignore[type-arg]
    return [LOOK.strip(row).text.rstrip() for row in rows]


ANSWER = """# What I found

The **discount** is taken off `total` twice:

- once in `cart.py`
- once in `refund.py`

  with a note

1. first
2. second

| file | lines |
|---|---|
| cart.py | 12 |

```python
def total(self):
    return "# not a heading"


x = 1
```
> quoted
> text

Done."""


def test_markdown_is_laid_out_as_it_is_meant():
    text = "\n".join(plain(markdown_rows(ANSWER, LOOK, 60)))
    for wanted in ("  What I found", "   • once in cart.py", "   1 first", "▌ quoted text", "   def total(self):"):
        assert wanted in text, wanted
    assert text.endswith("  Done.")
    assert "**" not in text and "```" not in text


@pytest.mark.parametrize("step", [1, 3, 7, 50])
def test_a_text_that_grows_ends_as_the_text_that_was_there_at_once(step: int):
    stream = StreamedMarkdown(LOOK, 60)
    for end in range(0, len(ANSWER) + step, step):
        stream.update(ANSWER[:end])
    assert plain(stream.rows) == plain(markdown_rows(ANSWER, LOOK, 60))


PIECES = ["word ", "\n", "\n\n", "- item\n", "```py\n", "```\n", "x = 1\n", "    code\n", "# head\n", "> q\n", "`a` "]


@given(st.lists(st.sampled_from(PIECES)))
@settings(max_examples=150, deadline=None)
def test_growing_by_any_pieces_gives_what_the_whole_gives(pieces: list[str]):
    stream, text = StreamedMarkdown(LOOK, 40), ""
    for piece in pieces:
        text += piece
        stream.update(text)
    assert plain(stream.rows) == plain(markdown_rows(text, LOOK, 40))


def test_settled_rows_are_never_rendered_again():
    stream, seen = StreamedMarkdown(LOOK, 60), []
    text = "".join(f"Paragraph {number}.\n\n" for number in range(50)) + "```python\n" + "x = 1\n" * 200
    for end in range(0, len(text), 11):
        stream.update(text[:end])
        for row, kept in zip(stream.rows, seen, strict=False):
            assert row is kept
        seen = stream.rows[: stream.settled]
    assert stream.settled > 250


@pytest.mark.case("A34")
@pytest.mark.case("A36")
def test_markdown_makes_nothing_that_acts():
    text = "![a](http://127.0.0.1/x) [b](javascript:alert(1)) [c](file:///etc/passwd) <script>x</script> &#27;[2J &#x9b;31m"
    rows = markdown_rows(text, LOOK, 200)
    shown = " ".join(plain(rows))
    assert "\x1b" not in shown and "\x9b" not in shown and "&#27;[2J" in shown and "<script>x</script>" in shown
    assert all(segment.style is None or segment.style.link is None for row in rows for segment in row)
    assert all(segment.style is None or not segment.style.meta for row in rows for segment in row)


@pytest.mark.case("A36")
def test_markup_in_foreign_text_is_text():
    attack = "[@click=app.quit]x[/] [link=file:///]y[/] [/] [red"
    made = ToolItem(call=call("k", "shell", command=attack), state="ok", result=attack)
    for item in (made, UserItem(prompt_id="p", text=attack), NoticeItem(kind="error", text=attack, detail=attack)):
        assert attack in " ".join(plain(item_rows(item, 120, LOOK, True)))


def test_a_control_character_that_was_forgotten_does_not_pass_the_last_gate():
    from rich.segment import Segment

    assert LOOK.strip([Segment("a\x1b[2J\tb\nc\x9b")]).text == "a\\x1b[2J    b ⏎ c\\x9b"


def test_an_edit_shows_what_it_changes_and_a_patch_too():
    edit = ToolItem(
        call=call("k", "edit", path="a.py", old_string="a\nb\nc\n", new_string="a\nB\nc\n"), state="ok", result="done"
    )
    assert call_diff(edit) == [" a", "-b", "+B", " c"]
    patch = "*** Begin Patch\n*** Update File: a.py\n@@\n-b\n+B\n*** End Patch"
    made = ToolItem(call=call("k", "apply_patch", patch=patch), state="ok", result="done")
    assert call_diff(made) == ["-b", "+B"]
    assert (
        plain(item_rows(made, 60, LOOK, False))[0].startswith("✓ Patch  a.py")
        and "+1 −1" in plain(item_rows(made, 60, LOOK, False))[0]
    )


def test_a_failed_call_shows_its_end_and_what_it_found_is_kept_for_those_who_ask():
    output = "\n".join(f"line {n}" for n in range(20))
    made = ToolItem(call=call("k", "shell", command="make"), state="failed", result=output, seconds=2.0)
    rows = plain(item_rows(made, 60, LOOK, False))
    assert rows[1].strip() == "└  line 17" and "… 17 more lines" in rows[-1]
    listing = ToolItem(call=call("k", "read", path="a.py"), state="ok", result="one\ntwo\n")
    assert len(item_rows(listing, 60, LOOK, False)) == 1 and "2 lines" in plain(item_rows(listing, 60, LOOK, False))[0]
    assert plain(item_rows(listing, 60, LOOK, True))[-1].strip() == "two"


@pytest.mark.parametrize("width", [20, 40, 79, 120])
def test_no_row_is_wider_than_the_screen(width: int):
    from rich.cells import cell_len

    wide = "字" * 50 + " " + "x" * 300 + "\tend 👩‍💻"
    items = [
        UserItem(prompt_id="p", text=wide),
        ToolItem(call=call("k", "shell", command=wide), state="failed", result=wide, seconds=1.0),
        NoticeItem(kind="warning", text=wide, detail=wide),
    ]
    for item in items:
        for row in item_rows(item, width, LOOK, True):
            assert sum(cell_len(segment.text) for segment in row) <= width
    for row in markdown_rows(f"{wide}\n\n```\n{wide}\n```\n\n- {wide}", LOOK, width):
        assert sum(cell_len(segment.text) for segment in row) <= width


def test_heights_find_the_block_of_every_line():
    generator = random.Random(7)
    heights, expected = Heights(), []
    for _ in range(300):
        expected.append(generator.randrange(0, 5))
        heights.append(expected[-1])
    for _ in range(200):
        index = generator.randrange(len(expected))
        expected[index] = generator.randrange(0, 5)
        heights.set(index, expected[index])
    for _ in range(40):
        assert heights.pop() == expected.pop()
    heights.append(3)
    expected.append(3)
    lines = [(block, row) for block, height in enumerate(expected) for row in range(height)]
    assert heights.total == len(lines)
    assert [heights.find(line) for line in range(len(lines))] == lines
    assert heights.find(len(lines)) == (len(expected), 0)
    for index in range(len(expected)):
        assert heights.before(index) == sum(expected[:index])


def long_conversation(count: int) -> ViewState:
    log = Log().add(started(), prompt("go"), ev.TurnStarted(turn=1))
    for number in range(count):
        made = call(f"k{number}", "shell", command=f"pytest tests/test_{number}.py")
        log.add(reply(f"Message {number} with **text** and `code`.\n\nA second paragraph.", made), *tool(made, "line\n" * 12))
    state = ViewState()
    for record in log.records:
        state = reduce(state, record)
    return state


async def test_twenty_thousand_items_open_in_a_second_of_cpu_time_and_cost_little_to_append_to(socket: Path):
    state = long_conversation(10_000)
    assert len(state.items) > 20_000
    async with scene(socket, Log().add(started()).records) as app:
        log = app.app.conversation.log_view
        begun = time.process_time()
        app.show(state)
        await app.pilot.pause()
        assert time.process_time() - begun < 1.0
        assert "Message 9999" in app.text()
        begun = time.process_time()
        for number in range(10):
            log.sync(state.items, (TextItem(text=f"more {number}", open=True),))
            await app.pilot.pause()
        assert (time.process_time() - begun) / 10 < 0.1
        assert log._rendered < 100


async def test_scrolling_through_guessed_heights_shows_every_block_in_order(socket: Path):
    state = long_conversation(120)
    async with scene(socket, Log().add(started()).records, size=(80, 24)) as app:
        log = app.app.conversation.log_view
        app.show(state)
        await app.pilot.pause()
        seen: list[int] = []
        for _ in range(400):
            numbers = [int(line.split()[1]) for line in app.text().split("\n") if line.strip().startswith("Message")]
            for number in reversed(numbers):
                if not seen or number < seen[-1]:
                    seen.append(number)
            if log.scroll_offset.y == 0:
                break
            log.scroll_page_up(animate=False)
            await app.pilot.pause()
        assert seen == list(range(119, -1, -1))
        log.follow()
        await app.pilot.pause()
        assert "Message 119" in app.text()


async def test_the_memory_of_rendered_blocks_is_bounded(socket: Path):
    state = long_conversation(3_000)
    async with scene(socket, Log().add(started()).records, size=(80, 24)) as app:
        log = app.app.conversation.log_view
        app.show(state)
        log.toggle_all()
        for index in range(len(log._blocks)):
            log._exact(index)
        log.scroll_home(animate=False)
        await app.pilot.pause()
        assert sum(block.strips is not None for block in log._blocks) <= 3_100
        assert "go" in app.text()


@pytest.mark.parametrize("palette", sorted(PALETTES))
def test_every_palette_has_every_role(palette: str):
    assert set(PALETTES[palette]) == set(ROLES)
    assert all(Look(palette)[role] is not None for role in ROLES)


def luminance(color: str) -> float:
    parts = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("palette", ["dark", "light"])
def test_texts_have_the_contrast_that_wcag_asks_for(palette: str):
    ground = PALETTES[palette]["base"].rsplit(" ", 1)[-1]
    for role in ROLES:
        words = PALETTES[palette][role].split()
        colors = [word for word in words if word.startswith("#")]
        if not colors or words[0] == "on":
            continue
        behind = colors[1] if len(colors) > 1 else ground
        light, dark = sorted((luminance(colors[0]), luminance(behind)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= (3.0 if role == "faint" else 4.5), role


def test_texts_are_cut_to_their_room():
    from rich.segment import Segment

    assert fitted("abcdef", 4) == "abc…" and fitted("字字字", 4) in ("字 …", "字…") and fitted("ab", 4) == "ab"
    assert fitted_start("src/deep/file.py", 8) == "…file.py"
    row = spread([Segment("a" * 20)], [Segment("right")], 12)
    assert "".join(segment.text for segment in row) == "aaaaa… right"


def test_amounts_are_said_briefly():
    assert [seconds_text(n) for n in (0.02, 41, 192, 3900)] == ["0.0s", "41s", "3m12", "1h05"]
    assert [clock_text(n) for n in (42, 725, 3609)] == ["0:42", "12:05", "1:00:09"]
    assert [count_text(n) for n in (999, 2_100, 84_000, 1_200_000)] == ["999", "2.1k", "84k", "1.2M"]
    assert [ago_text(n) for n in (8, 200, 20_000, 200_000)] == ["8s ago", "3m ago", "5h ago", "2d ago"]
