"""What a task starts from, in words."""

from goose_py.protocol.amounts import counted


def starting_point(branch: str | None, commit: str | None, uncommitted: int, *, includes_changes: bool) -> str:
    """For example "main with your 3 uncommitted files"; "" where there is no commit to start from."""
    if commit is None:
        return ""
    where = branch or commit[:10]
    if uncommitted:
        return f"{where} with your {counted(uncommitted, 'uncommitted file')}"
    return f"{where} with your uncommitted work" if includes_changes else where
