"""Small changesets made by hand, for tests of pure functions."""

from goose_py.protocol.changes import ChangeSet, FileChange, Hunk

ONE = Hunk(id="h1", old_start=1, old_lines=2, new_start=1, new_lines=2, lines=(" a\n", "-b\n", "+B\n"))
TWO = Hunk(id="h2", old_start=9, old_lines=1, new_start=9, new_lines=2, lines=(" x\n", "+y\n"))


def change(path: str = "f.py", hunks: tuple[Hunk, ...] | None = (ONE, TWO), **values) -> FileChange:
    defaults = {
        "id": f"id-{path}-{len(hunks or ())}", "attributes_id": f"attributes-{path}", "status": "modified",
        "old_mode": "100644", "new_mode": "100644", "old_oid": "1" * 40, "new_oid": "2" * 40,
    }  # fmt: skip
    return FileChange(path=path, hunks=hunks, **{**defaults, **values})


def changeset(*files: FileChange) -> ChangeSet:
    return ChangeSet(base_tree="base", result_tree="result", files=files)
