"""A changeset on a terminal that is no screen: files, hunks with their numbers and marks, and what the checks said."""

import sys
from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from goose_py.protocol.changes import ChangeSet, FileChange, Hunk
from goose_py.protocol.safe_text import safe_line, safe_text
from goose_py.review.verdicts import Comment, FileReview, HunkReview, Review, numbered_lines
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
    "failed before": ("~ a check fails as it did before", "yellow"),
    "timed out": ("~ a check did not end in its time", "yellow"),
    "cannot run": ("~ a check cannot run here", "yellow"),
    "stale": ("~ checks are stale: files changed after they ran", "yellow"),
    "not run": ("no check has run", "yellow"),
}


def print_review(
    task: TaskSummary, changes: ChangeSet, review: Review, *, stat: bool = False, numbers: bool = False
) -> None:
    """Written to standard output, coloured where that is a terminal; text of files is shown with its control characters
    visible. `numbers`: before each changed line, as `approve --line` takes it."""
    console = Console(markup=False, highlight=False, soft_wrap=True, emoji=False)
    for line in _lines(task, changes, review, stat=stat, numbers=numbers):
        console.print(line)
    sys.stdout.flush()


def _lines(task: TaskSummary, changes: ChangeSet, review: Review, *, stat: bool, numbers: bool) -> Iterator[Text]:
    yield Text(safe_text(f"{task.task_id}  {task.title}".replace("\n", " ")), "bold")
    text, style = EVIDENCE[task.checks]
    yield Text(text + (f": {safe_text(task.failed_check)}" if task.failed_check else ""), style)
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
        yield from _file(file, review.of(file.path), numbers=numbers)


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


def _file(file: FileChange, review: FileReview, *, numbers: bool) -> Iterator[Text]:
    yield Text(safe_line(file.path), "bold underline")
    for fact in _facts(file):
        yield Text(safe_line(fact), "dim")
    yield from map(_comment, review.comments)
    for number, hunk in enumerate(file.hunks or (), 1):
        found = review.hunks.get(hunk.id, HunkReview())
        yield _hunk_line(number, hunk, found)
        yield from _hunk_text(hunk, found, numbers=numbers)


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
    if review.edit is not None:
        line.append(", as edited", style)
    return line


def _comment(comment: Comment) -> Text:
    return Text(f"» {comment.seq}: {safe_line(comment.text)}", "italic")


def _hunk_text(hunk: Hunk, review: HunkReview, *, numbers: bool) -> Iterator[Text]:
    """What is said of single lines stands below the last of them, the rest above all."""
    styles = {"+": "green", "-": "red"}
    names = {index: str(number) for number, index in numbered_lines(hunk).items()} if numbers else {}
    width = max(map(len, names.values()), default=0)
    yield from (_comment(comment) for comment in review.comments if not comment.lines)
    for index, line in enumerate(hunk.lines):
        gutter = f"{names.get(index, ''):>{width}} " if numbers else ""
        mark = MARKS[review.lines[index]] if index in review.lines else None
        text = Text(gutter, "dim").append(safe_text(line.rstrip("\n")), styles.get(line[:1], ""))
        yield text.append(f"  {mark[0]}", mark[1]) if mark is not None else text
        if not line.endswith("\n"):
            yield Text("\\ no newline at the end of the file", "dim")
        yield from (_comment(comment) for comment in review.comments if comment.lines and comment.lines[-1] == index)
