"""A bug in the screen ends it without showing what was in its variables."""

import pytest
from tui.harness import scene
from tui.recorded import coupon


async def test_a_bug_ends_the_app_and_is_raised_with_nothing_printed(socket):
    seen = []

    def broken() -> None:
        secret = "sk-ant-never-to-be-shown"
        raise RuntimeError(f"a bug beside {len(secret)} letters")

    with pytest.raises(RuntimeError, match="a bug beside"):
        async with scene(socket, coupon()) as it:
            seen.append(it.app)
            it.app.call_later(broken)
            await it.pilot.pause()
    assert str(seen[0].bug).startswith("a bug beside")
    assert seen[0]._exit_renderables == [], "Textual would print every variable of every frame"
