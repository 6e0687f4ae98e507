"""Every event can be written and read, and every consumer has a case for it."""

from pathlib import Path
from typing import get_args

import pytest

import goose_py
from goose_py.config.keys import table
from goose_py.protocol.commands import AnyCommand
from goose_py.protocol.events import DurableEvent
from goose_py.tui.state import reducer

EVENTS = get_args(DurableEvent)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
def test_the_screen_has_a_case_for_every_event(event):
    assert event in reducer.CASES


def test_no_two_events_and_no_two_commands_share_a_tag():
    for union in (DurableEvent, AnyCommand):
        tags = [kind.__struct_config__.tag for kind in get_args(union)]
        assert len(set(tags)) == len(tags)


PASSED_ON_WHOLE = ("providers.*.timeouts.", "models.*.", "limits.max_", "limits.warn_", "extensions.*.")
"""Tables whose fields are handed over together, by a loop over their names."""


def test_every_key_of_the_configuration_is_read_by_the_program():
    source = Path(goose_py.__file__).parent
    layers = ("bootstrap", "workers", "actions", "cli")
    code = "\n".join(path.read_text("utf-8") for layer in layers for path in sorted((source / layer).rglob("*.py")))
    keys = [name for name in table() if not name.startswith(PASSED_ON_WHOLE)]
    assert [name for name in keys if f".{name.split('.')[-1]}" not in code and f'"{name.split(".")[-1]}"' not in code] == []
