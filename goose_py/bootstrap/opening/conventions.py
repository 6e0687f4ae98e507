"""The conventions that a task goes by: those of its repository and the user's own."""

import msgspec

from goose_py.agent.conventions import Conventions, conventions_in
from goose_py.bootstrap.opening.environment import Environment
from goose_py.bootstrap.opening.opening import Opening
from goose_py.bootstrap.workspace.conventions import conventions_of_base, global_conventions
from goose_py.config.settings import Settings
from goose_py.protocol import events as ev


class InitialConventions(msgspec.Struct, frozen=True):
    """The `text` that applies from the start, empty for a session that has it already, and the `reader` of those to come."""

    reader: Conventions
    text: str = ""
    warnings: tuple[str, ...] = ()


async def read_conventions(
    opening: Opening, settings: Settings, environment: Environment, records: tuple[ev.Record, ...], *, begun: bool
) -> InitialConventions:
    worktree, tracked, names = environment.workspace.worktree, frozenset(environment.files), settings.context_files
    shared = global_conventions(opening.host, settings)
    if environment.files_follow and not begun:
        scratch, start = opening.folder.scratch, environment.start
        reader, text = await conventions_of_base(
            worktree, tracked, names, shared, scratch, start, environment.on_host
        )
        return InitialConventions(reader, text, reader.warnings())
    said = conventions_in(records)
    reader = Conventions(worktree.path, names, lambda path: path not in tracked, said, environment.on_host)
    if begun:
        return InitialConventions(reader)
    text = reader.initial(shared, worktree.path / environment.start)
    return InitialConventions(reader, text, reader.warnings())
