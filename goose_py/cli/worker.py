"""The processes that carry tasks. Started by the program, not by people."""

import click


@click.command(hidden=True)
@click.argument("task_id")
@click.option("--ready-fd", type=int, required=True)
def worker(task_id: str, ready_fd: int) -> int:
    from goose_py.workers.worker import work

    return work(task_id, ready_fd)


@click.command("fork-server", hidden=True)
@click.option("--socket-fd", type=int, required=True)
@click.option("--lock-fd", type=int, required=True)
def fork_server(socket_fd: int, lock_fd: int) -> int:
    from goose_py.workers.fork_server import serve

    return serve(socket_fd, lock_fd)
