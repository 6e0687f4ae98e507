"""Turns of a real session, from the prompt to their end."""

from session_rig import call, reply, rig

from goose_py.protocol import events as ev


async def test_a_prompt_runs_tools_and_ends_with_the_models_last_word(tmp_path):
    write = call("write", path="new.txt", content="made\n")
    async with rig(tmp_path, reply("I write it.", write), reply("Done.")) as it:
        ended = await it.prompt("Make new.txt.")
        assert ended.outcome == "done"
        assert (it.root / "new.txt").read_text() == "made\n"
        assert it.events(ev.ChangesRecorded)[0].files == 1
