"""The approved bytes: which tree results when exactly the kept parts of a changeset are applied to its base."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from goose_py.git.contents.submodules import edited_tree
from goose_py.git.paths import parents
from goose_py.git.private import ABSENT, Entry, PrivateStore
from goose_py.git.trees.diff import with_hunks
from goose_py.protocol.changes import ChangeSet, FileChange, Hunk, path_from_bytes, path_to_bytes
from goose_py.protocol.errors import UserError
from goose_py.review.verdicts import Decision, FileReview, HunkReview, Review, changed_lines, fold


class SelectionImpossible(UserError):
    """What was kept cannot exist together. `paths` names it."""

    def __init__(self, message: str, paths: Sequence[str]) -> None:
        super().__init__(message)
        self.paths = tuple(paths)


def selected_bytes(old: bytes, hunks: Iterable[Hunk], reviews: Mapping[str, HunkReview]) -> bytes:
    """`old` with the kept lines of `hunks` (of one file, in order) applied. A dropped "-" line stays, a dropped "+" line does
    not come, undecided counts as dropped. All kept gives the new content, none the old, byte for byte. Raises ValueError
    where the hunks do not belong to `old`."""
    source = split_lines(old)
    result: list[bytes] = []
    position = 0
    for hunk in hunks:
        start = hunk.old_start - 1 if hunk.old_lines else hunk.old_start
        result += source[position:start]
        lines = [line.encode(hunk.encoding) for line in hunk.lines]
        position = start + hunk.old_lines
        if source[start:position] != [line[1:] for line in lines if line[:1] != b"+"]:
            raise ValueError(f"hunk {hunk.id} does not belong to this content")
        review = reviews.get(hunk.id, HunkReview())
        if review.edit is not None:
            result += split_lines(_encoded(review.edit, hunk))
        else:
            result += [line[1:] for number, line in enumerate(lines) if _stays(line[:1], review, number)]
    result += source[position:]
    # A line that was the last one, without a line feed, may have got a successor.
    for number, line in enumerate(result[:-1]):
        if not line.endswith(b"\n"):
            result[number] = line + b"\n"
    return b"".join(result)


def split_lines(content: bytes) -> list[bytes]:
    """Lines with their line feeds; `\\n` alone ends a line."""
    lines = content.split(b"\n")
    last = lines.pop()
    return [line + b"\n" for line in lines] + ([last] if last else [])


async def reviewed(
    store: PrivateStore, summary: ChangeSet, decisions: Iterable[Decision]
) -> tuple[ChangeSet, Review]:
    """The fold of `decisions` over a changeset whose hunks are loaded only where a decision is about parts of a file."""
    decisions = tuple(decisions)
    whole = {(file.path, file.id) for file in summary.files}
    partly = {d.event.path for d in decisions if (d.event.path, d.event.content) not in whole}
    changeset = await with_hunks(store, summary, sorted(partly))
    return changeset, fold(changeset, decisions)


async def selected_tree(store: PrivateStore, changeset: ChangeSet, review: Review) -> str:
    """The tree of the base with what `review` keeps. Raises SelectionImpossible, and ValueError where the review is of
    another changeset."""
    if (review.base_tree, review.result_tree) != (changeset.base_tree, changeset.result_tree):
        raise ValueError("the review belongs to another changeset")
    contents = await _selected_contents(store, changeset, review)
    changes: dict[bytes, Entry] = {}
    for file in changeset.files:
        changes.update(selected_entries(file, review.of(file.path), contents.get(file.path)))
    _refuse_impossible(changeset, changes)
    return await edited_tree(store, changeset.base_tree, changeset.result_tree, changes)


async def tree_with_edits(store: PrivateStore, changeset: ChangeSet, review: Review) -> str:
    """The tree of all changes, whatever was decided on them, with the parts that the reviewer edited as they were edited."""
    edits = {
        file.path: {hunk: HunkReview("keep", edit=each.edit) for hunk, each in review.of(file.path).hunks.items()}
        for file in changeset.files
    }
    if not any(each.edit is not None for hunks in edits.values() for each in hunks.values()):
        return changeset.result_tree
    files = {
        file.path: FileReview("keep", {hunk.id: HunkReview("keep") for hunk in file.hunks or ()} | edits[file.path])
        for file in changeset.files
    }
    return await selected_tree(store, changeset, Review(review.base_tree, review.result_tree, files))


def selected_entries(file: FileChange, review: FileReview, content_oid: str | None) -> dict[bytes, Entry]:
    """What becomes of a file's paths in the base tree. `content_oid` is the blob of its selected content where that is
    neither the old nor the new one."""
    path = path_to_bytes(file.path)
    old_path = path_to_bytes(file.old_path) if file.old_path else path
    attributes = review.attributes == "keep"
    if not file.hunks:
        return _whole(file, path, old_path) if attributes else {}
    extent = _extent(file.hunks, review)
    oid = content_oid or (file.new_oid if extent == "all" else file.old_oid)
    if file.status == "added":
        mode = file.new_mode if attributes else "100644"
        return {path: (mode, oid)} if extent != "none" else {}
    if file.status == "deleted":
        if extent == "all" and review.attributes != "drop":
            return {path: ABSENT}
        return {} if extent == "none" else {path: (file.old_mode, oid)}
    if attributes and path != old_path:
        return {old_path: ABSENT, path: (file.new_mode, oid)}
    return {old_path: (file.new_mode if attributes else file.old_mode, oid)}


async def _selected_contents(store: PrivateStore, changeset: ChangeSet, review: Review) -> dict[str, str]:
    """Blobs for the files of which only a part is kept, by path."""
    partial = [file for file in changeset.files if _has_content_of_its_own(file, review.of(file.path))]
    old = await store.read_blobs(file.old_oid for file in partial if file.old_oid.strip("0"))
    contents = [
        selected_bytes(old.get(file.old_oid, b""), file.hunks or (), review.of(file.path).hunks) for file in partial
    ]
    oids = await store.write_blobs(contents)
    return {file.path: oid for file, oid in zip(partial, oids, strict=True)}


def _has_content_of_its_own(file: FileChange, review: FileReview) -> bool:
    """Neither the old nor the new blob: some of the lines, or all of them removed from a file that is to stay, empty."""
    if not file.hunks:
        return False
    extent = _extent(file.hunks, review)
    return extent == "some" or (extent == "all" and file.status == "deleted" and review.attributes == "drop")


def _whole(file: FileChange, path: bytes, old_path: bytes) -> dict[bytes, Entry]:
    if file.status == "deleted":
        return {path: ABSENT}
    entry = (file.new_mode, file.new_oid)
    return {path: entry} if path == old_path else {old_path: ABSENT, path: entry}


def _extent(hunks: Sequence[Hunk], review: FileReview) -> str:
    """Whether "all", "some" or "none" of the changed lines are kept as they are."""
    kept = total = 0
    for hunk in hunks:
        verdicts = review.hunks.get(hunk.id, HunkReview())
        if verdicts.edit is not None:
            return "some"
        numbers = changed_lines(hunk)
        total += len(numbers)
        kept += sum(verdicts.of_line(number) == "keep" for number in numbers)
    return "none" if kept == 0 else "all" if kept == total else "some"


def _refuse_impossible(changeset: ChangeSet, changes: Mapping[bytes, Entry]) -> None:
    """A file cannot be where a kept file needs a folder. Both are changes then: each side of the diff is possible."""
    there = {path_to_bytes(file.old_path or file.path) for file in changeset.files if file.status != "added"}
    there -= {path for path, entry in changes.items() if entry == ABSENT}
    there |= {path for path, entry in changes.items() if entry != ABSENT}
    for path in sorted(there):
        outer_path = next((parent for parent in parents(path) if parent in there), None)
        if outer_path is not None:
            inner, outer = path_from_bytes(path), path_from_bytes(outer_path)
            raise SelectionImpossible(
                f"{outer} and {inner} cannot both be there: keep the whole change that turns one into the other, or drop it.",
                (outer, inner),
            )


def _stays(sign: bytes, review: HunkReview, number: int) -> bool:
    if sign == b" ":
        return True
    return (review.of_line(number) == "keep") == (sign == b"+")


def _encoded(text: str, hunk: Hunk) -> bytes:
    try:
        return text.encode(hunk.encoding)
    except UnicodeEncodeError:
        raise SelectionImpossible(
            "the edit holds characters that the file's own encoding (Latin-1) does not have.", (hunk.id,)
        ) from None
