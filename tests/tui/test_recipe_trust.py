"""Asked at a terminal: who lets a recipe run "always" has not trusted the folder that it lies in."""

import pytest
from command import answered
from tui.tmux import needs_tmux

pytestmark = needs_tmux


@pytest.mark.case("A29")
async def test_a_recipe_that_may_always_run_lends_no_trust_to_the_configuration_beside_it(user, terminal, tmp_path):
    (user.repository / ".goose").mkdir()
    (user.repository / ".goose" / "config.toml").write_text('context_files = ["OTHER.md"]\n')
    marker = tmp_path / "marker"
    (user.repository / "r.yaml").write_text(
        "title: R\ndescription: d\nprompt: Do it\n"
        f"retry: {{max_retries: 1, checks: [{{type: shell, command: 'touch {marker}'}}]}}\n"
    )
    user.commit("A recipe and a configuration")
    async with answered(user, [{"text": "Done."}] * 8, config='[sandbox]\nlevel = "none"'):
        await terminal.open("run", "recipe", "r.yaml")
        await terminal.shows("This recipe runs programs of its own", f"touch {marker}"[:40])
        await terminal.type("a")
        await terminal.press("Enter")
        await terminal.shows("[ended 0]")
        assert marker.exists()
        trusted = await user.goose("config", "list")
        assert "OTHER.md" not in trusted.out
        asked = await user.goose("trust")
        assert "nothing in it waits" not in asked.out and asked.code == 2, asked
        again = await user.goose("run", "recipe", "r.yaml", "--base", "head")
        assert again.code == 0, "it is not asked about again"
