"""The way in. Importing this loads nothing of Textual; `run_app` does, after its settings were made."""

from __future__ import annotations

import gc
from collections.abc import MutableMapping

from goose_py.tui.services import AppExit, Options, Services


def run_app(services: Services, options: Options, env: MutableMapping[str, str], task: str | None = None) -> AppExit:
    """Open the app, on `task` or on a new one, and return how it was left. Ask `terminal.refusal` first. Raises
    what a bug in the app ended it with.

    `env` is the process's environment (`os.environ`): Textual reads its frame rate and escape delay there when it is
    imported, so this must be the first import of it."""
    env.setdefault("TEXTUAL_FPS", "30" if options.slow_link else "120")
    env.setdefault("ESCDELAY", "25")
    from goose_py.tui.app import GooseApp

    app = GooseApp(services, options, task)
    # What was imported stays: the collector need not walk it again and again while the user types.
    gc.collect()
    gc.freeze()
    left = app.run(inline=options.inline)
    if app.bug is not None:
        raise app.bug
    return left if left is not None else app.left()
