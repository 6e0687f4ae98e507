"""`goose-py review`, `approve`, `reject`, `comment`, `apply`: what a task changed, and what becomes of it."""

from typing import Any

import click

_FILE = click.option("--file", "file", metavar="PATH", help="Only this file.")
_HUNK = click.option("--hunk", "hunks", multiple=True, metavar="N", help="Only this hunk, by the number that `review` shows.")
_LINE = click.option(
    "--line", "lines", multiple=True, type=int, metavar="N",
    help="Only this line, by the number that `review --numbers` shows: --line=-N for one that was removed.",
)  # fmt: skip
_COMMENT = click.option("-m", "--comment", default="", help="Why, for the decision log and the task.")


@click.command()
@click.argument("id", required=False)
@click.option("--file", "file", metavar="PATH", help="Only this file.")
@click.option("--stat", is_flag=True, help="Only the list of files.")
@click.option("--numbers", is_flag=True, help="Number the changed lines, as --line takes them.")
@click.option("--json", "as_json", is_flag=True, help="As one JSON document.")
@click.option("--audit", is_flag=True, help="The decisions made so far, as Markdown.")
@click.option("--why", is_flag=True, help="For each hunk the plan step, turn and tool call that made it.")
@click.option("--send", is_flag=True, help="Tell the task what was rejected, edited or commented, so that it revises it.")
@click.option("-m", "--comment", default="", help="With --send: what to say besides.")
def review(id: str | None, file: str | None, why: bool, send: bool, comment: str, **options: bool) -> int:
    """Show what a task changed, hunk by hunk, with the evidence of its checks (the newest task that has changes)."""
    from goose_py.actions.review.show import show

    if send:
        from goose_py.actions.review.feedback import send_feedback

        return send_feedback(id, comment)
    if why:
        from goose_py.actions.review.causes import explain_hunks

        return explain_hunks(id, file)
    return show(id, file=file, **options)


@click.command()
@click.argument("id", required=False)
@_FILE
@_HUNK
@_LINE
@click.option("--edit", is_flag=True, help="Keep a hunk as you change it: in your editor, or from standard input.")
@_COMMENT
def approve(id: str | None, edit: bool, comment: str, **selection: Any) -> int:
    """Keep changes: all of them, those of --file, single hunks or lines. Nothing is applied yet."""
    from goose_py.actions.review.decisions import ChangeSelection, decide

    return decide(ChangeSelection(task_id=id, **selection), "keep", comment=comment, edit=edit)


@click.command()
@click.argument("id", required=False)
@_FILE
@_HUNK
@_LINE
@_COMMENT
@click.option("--close", is_flag=True, help="Close the task as rejected. Its files are kept.")
def reject(id: str | None, comment: str, close: bool, **selection: Any) -> int:
    """Drop changes: all of them, those of --file, single hunks or lines. Nothing is deleted."""
    from goose_py.actions.review.decisions import ChangeSelection, decide

    return decide(ChangeSelection(task_id=id, **selection), "drop", comment=comment, close=close)


@click.command()
@click.argument("id", required=False)
@_FILE
@_HUNK
@_LINE
@click.option("-m", "--comment", default="", help="What to say.")
@click.option("--change", type=int, metavar="N", help="Say this in place of comment N, by the number that `review` shows.")
@click.option("--take-back", type=int, metavar="N", help="Take comment N back.")
def comment(id: str | None, comment: str, change: int | None, take_back: int | None, **selection: Any) -> int:
    """Comment on a file, a hunk or lines of it, or change a comment that the task has not been sent yet."""
    from goose_py.actions.review.decisions import ChangeSelection, change_comment, comment_on

    if change is None and take_back is None:
        return comment_on(ChangeSelection(task_id=id, **selection), comment)
    said = bool(comment.strip())
    if any(selection.values()) or (change is not None and take_back is not None) or said != (change is not None):
        raise click.UsageError("Say `--change N -m TEXT` or `--take-back N`, and nothing else.")
    return change_comment(id, change if change is not None else take_back or 0, comment)


@click.command()
@click.argument("id", required=False)
@click.option("--all", "everything", is_flag=True, help="Keep what was not decided.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--how",
    type=click.Choice(["worktree", "squash", "commits"]),
    default="worktree",
    show_default=True,
    help="Leave the changes in your working tree, or commit them on your branch: as one, or as the task's own commits.",
)
@click.option("--into", default="", metavar="BRANCH", help="Branch to merge into; the one the task began at by default.")
@click.option("-m", "--message", default="", help="Message of the commit; the task's title by default.")
@click.option("--no-verify", is_flag=True, help="Run no checks on the merged result; apply also conflict markers.")
@click.option(
    "--with-my-changes", "with_changes", is_flag=True, help="The commit may hold what you had not committed at the start."
)
@click.option("--again", is_flag=True, help="Also what was applied before.")
@click.option("--undo", is_flag=True, help="Take back what was applied last, where your files are still as it left them.")
@click.option("--send-back", is_flag=True, help="Where it does not fit any more, rebase the task and let it resolve that.")
def apply(id: str | None, everything: bool, yes: bool, how: Any, no_verify: bool, undo: bool, **options: Any) -> int:
    """Apply what was kept to your checkout or branch. All of it or, where it does not fit any more, nothing.

    `squash` and `commits` rebase it on the branch as it is now, run the checks on the result, and only fast-forward.
    """
    from goose_py.actions.review.apply import ApplyRequest, apply_kept, take_back

    if undo:
        return take_back(id, yes=yes)
    return apply_kept(
        ApplyRequest(task_id=id, everything=everything, yes=yes, how=how, verify=not no_verify, **options)
    )
