"""Text is text by its content: nothing that a repository says about it keeps a person from reading a change."""

import pytest
from git_repos import Place

from goose_py.git.trees.diff import changeset_summary, diff, is_text

NUL = "const SEPARATOR = '\0';\n" + "line();\n" * 200


@pytest.mark.case("P06")
@pytest.mark.parametrize("said", ["*.js -diff", "*.js binary", "*.js diff", "*.js -text", ""])
@pytest.mark.parametrize("where", [".gitattributes", ".git/info/attributes"])
async def test_attributes_hide_no_text(tmp_path, said, where):
    place = Place(tmp_path)
    picture = bytes(range(256)) * 20
    place.commit({"plain.js": "a\nb\nc\n", "nul.js": NUL, "picture.js": picture})
    place.commit({where: said + "\n"})
    worktree = await place.task()
    changed = {"plain.js": "a\nB\nc\nd\n", "nul.js": NUL.replace("line", "LINE", 1), "picture.js": picture[::-1]}
    place.write({**changed, "new.js": "fresh();\n"}, worktree.path)
    result = (await worktree.snapshot()).tree
    forced = where != ".gitattributes" and said == "*.js diff"  # the user's own word may add
    summary = await changeset_summary(worktree.store, worktree.base.tree, result)
    assert {file.path: (file.binary, file.added, file.removed) for file in summary.files} == {
        "plain.js": (False, 2, 1), "nul.js": (False, 1, 1), "new.js": (False, 1, 0),
        "picture.js": (False, 21, 21) if forced else (True, None, None),
    }  # fmt: skip
    changes = await diff(worktree.store, worktree.base.tree, result)
    whole = {file.path: file.hunks for file in changes.files}
    assert [line for hunk in whole["nul.js"] or () for line in hunk.lines if line[0] == "+"] == ["+LINE();\n"]
    assert whole["plain.js"] and whole["new.js"] and bool(whole["picture.js"]) == forced


@pytest.mark.case("P06")
def test_what_is_text():
    assert is_text(b"") and is_text(b"a\n\xff\xfe") and is_text(b"x" * 8000 + b"\0") and is_text(NUL.encode())
    assert not is_text(bytes(range(256))) and not is_text("ä\n".encode("utf-16-le")) and not is_text(b"\0" * 50)
