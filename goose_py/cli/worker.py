"""The worker process of one task. Started by the program, not by people."""

import click


@click.command(hidden=True)
@click.argument("task_id")
@click.option("--ready-fd", type=int, required=True)
def worker(task_id: str, ready_fd: int) -> int:
    from goose_py.bootstrap.worker import work

    return work(task_id, ready_fd)
