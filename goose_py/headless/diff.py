"""A changeset on a terminal that is no screen: files, hunks with their numbers and marks, and what the checks said."""

import sys
from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from goose_py.protocol.changes import ChangeSet, FileChange, Hunk
from goose_py.protocol.safe_text import safe_line, safe_text
from goose_py.review.verdicts import FileReview, HunkReview, Review
from goose_py.tasks.summary import TaskSummary

MARKS = {
    "keep": ("✓ kept", "green"),
    "drop": ("✗ dropped", "red"),
    "undecided": ("undecided", "dim"),
    "mixed": ("◐ partly kept", "yellow"),
}
STATUS = {"added": "A", "modified": "M", "deleted": "D", "renamed": "R", "type-changed": "T", "mode": "m"}
KINDS = {"100644": "file", "100755": "executable file", "120000": "symlink", "160000": "submodule"}
"""By git's modes."""
EVIDENCE = {
    "passed": ("✓ checks passed on exactly these files", "green"),
    "failed": ("✗ a check fails on these files", "red"),
    "stale": ("~ checks are stale: files changed after they ran", "yellow"),
    "not run": ("no check has run", "yellow"),
}


def print_review(task: TaskSummary, changes: ChangeSet, review: Review, *, stat: bool) -> None:
    """Written to standard output, coloured where that is a terminal; text of files is shown with its control characters
    visible."""
    console = Console(markup=False, highlight=False, soft_wrap=True, emoji=False)
    for line in _lines(task, changes, review, stat=stat):
        console.print(line)
    sys.stdout.flush()


def _lines(task: TaskSummary, changes: ChangeSet, review: Review, *, stat: bool) -> Iterator[Text]:
    yield Text(safe_text(f"{task.task_id}  {task.title}".replace("\n", " ")), "bold")
    text, style = EVIDENCE[task.checks]
    yield Text(text + (f": {safe_text(task.failed_check)}" if task.failed_check and task.checks == "failed" else ""), style)
    if task.unresolved:
        yield Text(f"✗ conflict markers are left in {safe_line(', '.join(task.unresolved))}", "red")
    if not changes.files:
        applied = task.state == "merged"
        yield Text("Nothing is left to review: what was kept is applied." if applied else "Nothing was changed.")
        return
    yield Text("")
    for file in changes.files:
        yield _file_line(file, review.of(file.path))
    if stat:
        return
    for file in changes.files:
        yield Text("")
        yield from _file(file, review.of(file.path))


def _file_line(file: FileChange, review: FileReview) -> Text:
    line = Text(f"{STATUS[file.status]} ")
    name = file.path if file.old_path in (None, file.path) else f"{file.old_path} -> {file.path}"
    line.append(safe_line(name))
    if file.added is not None:
        line.append(f"  +{file.added}", "green")
        line.append(f" −{file.removed}", "red")
    for flag in file.flags:
        line.append(f"  [{flag}]", "yellow")
    mark, style = MARKS[review.summary(file)]
    line.append(f"  {mark}", style)
    return line


def _file(file: FileChange, review: FileReview) -> Iterator[Text]:
    yield Text(safe_line(file.path), "bold underline")
    for fact in _facts(file):
        yield Text(safe_line(fact), "dim")
    for number, hunk in enumerate(file.hunks or (), 1):
        yield _hunk_line(number, hunk, review.hunks.get(hunk.id, HunkReview()))
        yield from _hunk_text(hunk)


def _facts(file: FileChange) -> Iterator[str]:
    """What happens to the file beside its lines."""
    if file.old_path not in (None, file.path):
        yield f"renamed from {file.old_path}"
    if file.status in ("added", "deleted"):
        mode = file.new_mode if file.status == "added" else file.old_mode
        kind = KINDS.get(mode, "file")
        yield f"new {kind}" if file.status == "added" else f"deleted {kind}"
    elif file.old_mode != file.new_mode:
        changed = {("100644", "100755"): "becomes executable", ("100755", "100644"): "is executable no more"}
        old, new = file.old_mode, file.new_mode
        yield changed.get((old, new)) or f"{KINDS.get(old, old)} becomes {KINDS.get(new, new)}"
    if file.old_link is not None:
        yield f"led to {file.old_link}"
    if file.new_link is not None:
        yield f"leads to {file.new_link}"
    if file.binary:
        yield "binary content differs"
    if "in_submodule" in file.flags:
        yield "inside a submodule: it can be left in your checkout of it, and is committed there"
    if "large" in file.flags:
        yield "too large to be shown line by line: look at it in the worktree"


def _hunk_line(number: int, hunk: Hunk, review: HunkReview) -> Text:
    line = Text(f"hunk {number}  @@ -{hunk.old_start},{hunk.old_lines} +{hunk.new_start},{hunk.new_lines} @@ ", "cyan")
    line.append(safe_text(hunk.section), "dim")
    verdicts = {review.of_line(index) for index, text in enumerate(hunk.lines) if text[:1] != " "}
    mark, style = MARKS[verdicts.pop() if len(verdicts) == 1 else "mixed"]
    line.append(f"  {mark}", style)
    for comment in review.comments:
        line.append(f"  » {safe_text(comment.text)}", "italic")
    return line


def _hunk_text(hunk: Hunk) -> Iterator[Text]:
    styles = {"+": "green", "-": "red"}
    for line in hunk.lines:
        yield Text(safe_text(line.rstrip("\n")), styles.get(line[:1], ""))
        if not line.endswith("\n"):
            yield Text("\\ no newline at the end of the file", "dim")
