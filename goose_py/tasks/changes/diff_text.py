"""A changeset as unified diff text: for the model's last look, for pull requests and for pipes."""

from collections.abc import Iterator

from goose_py.git.private import PrivateStore
from goose_py.git.trees.diff import changeset_summary, with_hunks
from goose_py.protocol.changes import FileChange

FILES_AT_A_TIME = 20


async def diff_text(store: PrivateStore, before: str, after: str, limit: int) -> str:
    """At most `limit` characters; what is left out is counted. Only the files that fit are read."""
    summary = await changeset_summary(store, before, after)
    text = ""
    for start in range(0, len(summary.files), FILES_AT_A_TIME):
        chunk = summary.files[start : start + FILES_AT_A_TIME]
        loaded = await with_hunks(store, summary, [file.path for file in chunk])
        by_path = {file.path: file for file in loaded.files}
        for number, file in enumerate(chunk):
            text += "\n".join(unified(by_path[file.path])) + "\n"
            if len(text) > limit:
                left = len(summary.files) - start - number - 1
                return f"{text[:limit]}\n[the diff goes on; {left} more files are not shown]"
    return text


def unified(file: FileChange) -> Iterator[str]:
    """Lines without line feeds, in git's form."""
    old = file.old_path or file.path
    yield f"diff --git a/{old} b/{file.path}"
    if file.status == "renamed":
        yield f"rename from {old}"
        yield f"rename to {file.path}"
    if file.old_mode != file.new_mode:
        yield f"mode {file.old_mode} -> {file.new_mode}"
    if file.binary:
        yield "Binary files differ"
    if file.hunks:
        yield f"--- {'/dev/null' if file.status == 'added' else 'a/' + old}"
        yield f"+++ {'/dev/null' if file.status == 'deleted' else 'b/' + file.path}"
    for hunk in file.hunks or ():
        yield f"@@ -{hunk.old_start},{hunk.old_lines} +{hunk.new_start},{hunk.new_lines} @@ {hunk.section}".rstrip()
        for line in hunk.lines:
            yield line.rstrip("\n")
            if not line.endswith("\n"):
                yield "\\ No newline at end of file"
