"""Run as a program: the app on this terminal, attached to the socket that is named, as the command line opens it."""

import os
import sys
import time
from pathlib import Path

from goose_py.protocol.changes import ChangeSet, FileChange
from goose_py.protocol.codec import decode
from goose_py.tasks.client import TaskClient
from goose_py.tui.run import run_app
from goose_py.tui.services import Options, Services
from goose_py.tui.state.task_line import TaskLine


def main(socket: Path, files: Path) -> None:
    loaded = decode(files.read_bytes(), tuple[FileChange, ...])

    async def connect(task: str, after: int) -> TaskClient:
        return await TaskClient.connect(socket, after)

    async def load_changes(task: str) -> ChangeSet:
        return ChangeSet(base_tree="a" * 40, result_tree="b" * 40, files=loaded)

    async def load_file(task: str, path: str) -> FileChange:
        return next(file for file in loaded if file.path == path)

    async def start_task() -> str:
        return "7f3a9c21"

    async def list_tasks() -> tuple[TaskLine, ...]:
        return (TaskLine("t1", os.environ.get("OTHER_TITLE", "other"), "you", os.environ.get("OTHER_TITLE", "asks")),)

    services = Services(
        connect=connect,
        load_changes=load_changes,
        load_file=load_file,
        start_task=start_task,
        list_tasks=list_tasks,
        now=time.time,
        monotonic=time.monotonic,
        new_id=lambda: "p",
    )
    left = run_app(
        services, Options(palette=os.environ.get("GOOSE_PALETTE", "dark"), grace=0.0, typing_pause=0.0), os.environ, "7f3a9c21"
    )
    print(left.transcript)
    print("left:", left.sentence())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
