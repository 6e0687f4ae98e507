"""What people do in their first hour that nobody had thought of."""

from command import answered, calls

PLAN = ("update_plan", {"steps": [{"title": "Odd files", "status": "in_progress", "acceptance": "they are there"}]})
DONE = ("update_plan", {"steps": [{"title": "Odd files", "status": "completed"}]})


def does(command: str) -> list[dict]:
    """A model that runs one command and is content."""
    return [calls(PLAN, ("shell", {"command": command})), calls(DONE), {"text": "Done."}, {"text": "Done."}]


async def test_a_review_shows_where_a_link_leads_and_no_name_can_forge_a_line_of_it(user):
    forged = "$'evil\\nM cart.py  \\u2713 kept'"
    command = f"ln -s /etc/passwd link; echo x > {forged}; git mv cart.py basket.py; chmod +x test_cart.py"
    async with answered(user, does(command)):
        assert (await user.goose("run", "-t", "make odd files")).code == 0
    shown = (await user.goose("review")).out
    lines = shown.splitlines()
    assert "leads to /etc/passwd" in lines and "new symlink" in lines
    assert "renamed from cart.py" in lines and "becomes executable" in lines
    assert "M cart.py  ✓ kept" not in shown.replace("\\nM cart.py  ✓ kept", "")


async def test_what_is_applied_already_is_said_to_be(user):
    async with answered(user, does("echo x > new.txt")):
        assert (await user.goose("run", "-t", "make a file")).code == 0
    first = await user.goose("apply", "--all", "--yes")
    assert first.code == 0 and "git status" in first.out and (user.repository / "new.txt").exists()
    task = (await user.goose("task", "list", "--json")).json[0]["task_id"]
    again = await user.goose("apply", task, "--all", "--yes")
    assert again.code == 2 and "--again" in again.err and "Approve files" not in again.err
    assert "what was kept is applied" in (await user.goose("review", task)).out


async def test_the_verdict_on_a_command_names_each_part_once_and_nothing_else(user):
    pushed = await user.goose("permissions", "test", "git push && ls")
    assert [line.split()[:2] for line in pushed.out.splitlines()[1:3]] == [["ask", "git"], ["allow", "ls"]]
    assert "shell" not in pushed.out
    removed = (await user.goose("permissions", "test", "rm -rf /")).out
    assert removed.count("rm -rf /") == 1 and "outside the workspace" in removed and "did not create" in removed
    empty = await user.goose("permissions", "test", " ")
    assert empty.code == 2 and "empty" in empty.err
