"""Which tasks belong to where the user stands."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from goose_py.git.errors import GitError
from goose_py.git.repository import common_dir_of
from goose_py.tasks.summary import TaskSummary


def tasks_here(cwd: Path, tasks: Iterable[TaskSummary]) -> tuple[tuple[TaskSummary, ...], int]:
    """Those of the repository (whichever of its checkouts) or copied folder that `cwd` is in, or whose worktree it is in, in
    their order, and how many others there are. All of them where `cwd` is in no such place."""
    found = tuple(tasks)
    place = project_at(cwd, found)
    if place is None:
        return found, 0
    wanted, places = _repository(place), {task.place for task in found}
    same = {each for each in places if each == place or (each and _repository(each) == wanted)}
    here = tuple(task for task in found if task.place in same)
    return here, len(found) - len(here)


def _repository(place: str) -> str:
    """What all checkouts of a repository share; a folder that is none stands for itself."""
    own = Path(place) / ".git"
    try:
        return str(common_dir_of(Path(place)) if own.is_file() else own.resolve())
    except (GitError, OSError):
        return place


def project_at(cwd: Path, tasks: Sequence[TaskSummary]) -> str | None:
    """The nearest folder above that is a checkout or that a task is about; None where there is none."""
    known = {task.place: task.place for task in tasks if task.place}
    known |= {task.workspace: task.place for task in tasks if task.workspace and task.place}
    cwd = cwd.resolve()
    for folder in (cwd, *cwd.parents):
        if (place := known.get(str(folder))) is not None:
            return place
        if (folder / ".git").exists():
            return str(folder)
    return None
