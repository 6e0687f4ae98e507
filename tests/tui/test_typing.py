"""Typing faster than the screen is drawn: nothing overtakes anything."""

from pathlib import Path

from textual import events
from tui.harness import scene
from tui.recorded import coupon


async def test_the_menu_leaves_the_prompt_on_a_small_screen(socket: Path):
    async with scene(socket, coupon("edit"), size=(60, 15)) as app:
        await app.pilot.press("slash")
        conversation = app.app.conversation
        await app.shown(lambda: conversation.menu.display and conversation.menu.region.height > 0)
        assert conversation.prompt.region.bottom < conversation.hints.region.bottom <= 15
        for _ in range(6):
            await app.pilot.press("down")
        assert "›" in conversation.menu.plain


async def test_backspace_and_arrows_in_a_burst_take_effect_where_they_were_pressed(socket: Path):
    async with scene(socket, coupon("edit")) as app:
        for key in ("a", "b", "backspace", "c", "d", "left", "left", "x", "home", "y", "delete"):
            app.app.post_message(events.Key(key=key, character=key if len(key) == 1 else None))
        await app.shown(lambda: app.app.conversation.prompt.text.startswith("y"))
        await app.shown(lambda: app.app.conversation.prompt.text == "yxcd")
