"""The first thing that anybody sees."""


async def test_the_demonstration_goes_the_whole_way_without_a_key(user):
    ended = await user.goose("demo", "--yes", "--folder", "shop", cwd=user.root)
    assert ended.code == 0, ended
    shown = ended.err + ended.out
    for step in (
        "No API key is used",
        "Sandbox:",
        "plan",
        "Edit  cart.py",
        "2 failed",
        "passed in",
        "checks passed on exactly",
    ):
        assert step in shown, step
    assert "min(amount, self.gift_card)" in (user.root / "shop" / "cart.py").read_text()
    assert "Everything is kept in" in ended.out and "Traceback" not in shown
    again = await user.goose("demo", "--yes", "--folder", "shop", cwd=user.root)
    assert again.code == 2 and "is not empty" in again.err


async def test_without_a_word_nothing_is_applied(user):
    ended = await user.goose("demo", "--folder", "shop", cwd=user.root)
    assert ended.code == 0 and "Nothing was applied" in ended.out
    assert "min(amount" not in (user.root / "shop" / "cart.py").read_text()
