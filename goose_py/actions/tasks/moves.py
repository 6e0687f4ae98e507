"""Tasks whose repository was moved: found again before a command looks at any, and one sentence says what was found."""

import asyncio
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from goose_py.bootstrap.host import Host
from goose_py.bootstrap.repository import open_repository
from goose_py.bootstrap.workspace.moved import Recorded, astray, settle
from goose_py.git.errors import Doubted, GitError
from goose_py.git.repository import Repository
from goose_py.protocol import commands as cmd
from goose_py.protocol.amounts import counted
from goose_py.protocol.errors import UserError
from goose_py.protocol.safe_text import safe_line
from goose_py.review.errors import listed
from goose_py.session.log import LogBusy
from goose_py.tasks.client import ONLY_NEW, TaskClient, WorkerGone
from goose_py.tasks.schedule import WORKING
from goose_py.tasks.store import TaskFolder
from goose_py.tasks.summary import summary_of

BUSY = (*WORKING, "awaiting approval")
"""States of a task that is in the middle of a turn where its worker lives."""
LOOKS, LOOK = 200, 0.05
"""How often, and every how many seconds, it is asked whether a worker that was sent away has gone."""
SHOWN = 5


def host_with_tasks() -> Host:
    """Where a command about tasks begins: `Host.here`, once the tasks whose repository was moved are found again."""
    host = Host.here()
    if known := list(astray(host.tasks.all(), host.cwd)):
        for sentence in asyncio.run(_Search(host).settle(known)):
            print(safe_line(f"goose-py: {sentence}"), file=sys.stderr)
    return host


def move_here(names: Sequence[str]) -> int:
    """Tasks that the repository here knows, because it is a copy of theirs, are its own from now on."""
    host = Host.here()
    folders = [host.task(name) for name in names]
    moved = asyncio.run(_move_here(host, folders))
    print(safe_line(f"{counted(len(folders), 'task')} moved to {moved}: {listed([each.task_id for each in folders], SHOWN)}."))
    return 0


async def _move_here(host: Host, folders: Iterable[TaskFolder]) -> str:
    repository = await open_repository(host, host.cwd)
    found = [Recorded.of(folder) for folder in folders]
    for known, folder in zip(found, folders, strict=True):
        if known is None or not await known.is_kept_in(repository):
            raise UserError(f"The repository {repository.root} knows nothing of the task {folder.task_id}: it began elsewhere.")
    for known in found:
        if known is not None:
            await send_away(known.folder)
            settle(host, known, repository)
    return str(repository.root)


async def send_away(folder: TaskFolder) -> None:
    """A worker that has nothing to do stays a while for whoever looks next. Raises UserError where it does not go."""
    with suppress(WorkerGone):
        async with (await TaskClient.connect(folder.socket, after=ONLY_NEW)).sending() as worker:
            await worker.send(cmd.Shutdown())
    for _ in range(LOOKS):
        if not folder.owned():
            return
        await asyncio.sleep(LOOK)
    raise UserError(f"The task {folder.task_id} is in use by another process; try again in a moment.")


class _Search:
    """`moved` are the tasks that were found, by where they were and are; `copies` those that are at home, of which the
    repository here is a copy; `busy` those that somebody works on."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._opened: dict[str, Repository | None] = {}
        self._moved: dict[tuple[str, str], list[str]] = {}
        self._copies: dict[str, list[str]] = {}
        self._busy: list[str] = []
        self._doubts: list[str] = []

    async def settle(self, tasks: Sequence[Recorded]) -> list[str]:
        """Returns what is to be said of it."""
        without: list[Recorded] = []
        for known in tasks:
            homes = await self._homes(known)
            if homes and (not known.at_home or homes[0].common_dir != known.common_dir):
                await self._settle(known, homes[0])
            elif homes and len(homes) > 1:
                self._copies.setdefault(str(known.root), []).append(known.folder.task_id)
            elif not known.kept and not known.at_home:
                without.append(known)
        for known in without:  # of which nothing is kept yet: it goes where those go that were beside it
            there = next((now for before, now in self._moved if before == str(known.root)), None)
            if there is not None and (repository := await self._open(there)) is not None:
                await self._settle(known, repository)
        return self._sentences()

    async def _homes(self, known: Recorded) -> list[Repository]:
        """The repositories that keep what the task began from, where it is by its own files first."""
        found: dict[str, Repository] = {}
        for place in known.places(self._host.cwd):
            repository = await self._open(str(place))
            if repository is not None and await known.is_kept_in(repository):
                found.setdefault(str(repository.common_dir), repository)
        return list(found.values())

    async def _settle(self, known: Recorded, repository: Repository) -> None:
        folder = known.folder
        try:
            if folder.owned():
                if summary_of(folder).state in BUSY:
                    raise LogBusy(folder.task_id)
                await send_away(folder)
            settle(self._host, known, repository)
        except UserError:
            self._busy.append(folder.task_id)
        else:
            self._moved.setdefault((str(known.root), str(known.root_in(repository))), []).append(folder.task_id)

    async def _open(self, place: str) -> Repository | None:
        if place not in self._opened:
            try:
                self._opened[place] = await open_repository(self._host, Path(place))
            except GitError as error:
                self._opened[place] = None
                self._doubts += [str(error)] if isinstance(error, Doubted) else []
        return self._opened[place]

    def _sentences(self) -> list[str]:
        said = self._doubts
        for (before, now), tasks in self._moved.items():
            many, names = counted(len(tasks), "task"), listed(tasks, SHOWN)
            if before == now:
                said.append(f"{many} of {now} found again in {self._host.tasks.root}: {names}.")
            else:
                said.append(f"{many} of {before} found again in {now}, where trust and grants are asked anew: {names}.")
        for home, tasks in self._copies.items():
            names = " ".join(tasks)
            many = counted(len(tasks), "task")
            said.append(f"This is a copy of {home}, which has {many}: `goose-py task move {names}` moves what is to be here.")
        if self._busy:
            named = listed(self._busy, SHOWN)
            said.append(f"The repository of {named} was moved while it is at work: `goose-py task stop ID` ends that.")
        return said
