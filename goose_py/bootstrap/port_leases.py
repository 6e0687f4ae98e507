"""The environment in which a task's commands find what is theirs alone."""

from goose_py.bootstrap.host import Host
from goose_py.config.settings import Settings
from goose_py.tasks.leases import PortLeases
from goose_py.tasks.store import TaskFolder


def own_environment(host: Host, settings: Settings, folder: TaskFolder) -> dict[str, str]:
    """PORT is the first of the task's ports, GOOSE_PY_PORTS all of them. Where the sandbox has a /tmp of its own, it says so
    in TMPDIR itself. Background repacking by git would run in one task for all of them, so it is off."""
    ports = port_leases(host).lease(folder.task_id, settings.tasks.first_port, settings.tasks.ports)
    folder.tmp.mkdir(parents=True, exist_ok=True, mode=0o700)
    return {
        "PORT": str(ports.first),
        "GOOSE_PY_PORTS": f"{ports.first}-{ports.last}",
        "GOOSE_PY_TASK": folder.task_id,
        "COMPOSE_PROJECT_NAME": f"goose-{folder.task_id}",
        "TMPDIR": str(folder.tmp),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "gc.auto",
        "GIT_CONFIG_VALUE_0": "0",
    }


def port_leases(host: Host) -> PortLeases:
    return PortLeases(host.paths.state, lambda task: host.tasks.folder(task).exists())
