"""Text is read as text: what people wrote for us in any encoding, and changes whatever a repository says of its files."""

import json

import pytest
from command import FIXING, answered

SAID = "Always say please in café.\n"
ENCODINGS = ("utf-16", "utf-16-le", "latin-1", "utf-8-sig")


@pytest.mark.case("P14")
async def test_files_that_people_write_for_us_are_decoded_as_the_model_would_read_them(user):
    recipe = "version: 1.0.0\ntitle: A café\ndescription: x\nprompt: Look at the café\n"
    async with answered(user, [{"text": "Done.", "repeat": 0}]) as server:
        for encoding in ENCODINGS:
            (user.repository / "AGENTS.md").write_bytes(SAID.encode(encoding))
            user.commit(f"conventions in {encoding}")
            (user.root / "prompt.txt").write_bytes(f"A prompt in the café, {encoding}\n".encode(encoding))
            assert (await user.goose("run", "-i", str(user.root / "prompt.txt"))).code == 0
            body = json.dumps(server.requests[-1].body, ensure_ascii=False)
            assert SAID.strip() in body and f"A prompt in the café, {encoding}" in body, encoding
            assert "\0" not in body and "\\u0000" not in body and "\ufffd" not in body
            (user.root / "r.yaml").write_bytes(recipe.encode(encoding))
            ended = await user.goose("run", "recipe", str(user.root / "r.yaml"))
            assert ended.code == 0, ended
            assert "Look at the café" in json.dumps(server.requests[-1].body, ensure_ascii=False)


@pytest.mark.case("P06")
async def test_no_attribute_hides_a_change_from_its_review(user):
    for said in ("*.py -diff", "*.py binary", "*.py diff"):
        (user.repository / ".gitattributes").write_text(said + "\n")
        (user.repository / ".git" / "info").mkdir(exist_ok=True)
        (user.repository / ".git" / "info" / "attributes").write_text(said + "\n")
        user.commit(said)
        async with answered(user, FIXING):
            task = (await user.goose("run", "-t", "Fix it", "--output-format", "json")).json["session_id"]
        shown = await user.goose("review", task)
        assert "return sum(prices) - discount" in shown.out and "[binary]" not in shown.out, (said, shown.out)
    assert (await user.goose("apply", task, "--all", "--yes")).code == 0
    assert "sum(prices) - discount" in (user.repository / "cart.py").read_text()
