"""The frames of the task socket: one JSON value a line, both ways.

A consumer first sends `Attach`; the worker answers `Attached`, then every record after `after`, then what happens. Records
arrive in order and without a gap; deltas come in between and may be missing. A command is answered by a `Reply` with its
`ref`; what it did is in the records.
"""

import msgspec

from goose_py.protocol.commands import AnyCommand
from goose_py.protocol.deltas import Delta
from goose_py.protocol.events import Record

WIRE_VERSION = 1


class Attach(msgspec.Struct, frozen=True, kw_only=True, tag="attach", tag_field="frame"):
    after: int = 0
    version: int = WIRE_VERSION


class Send(msgspec.Struct, frozen=True, kw_only=True, tag="send", tag_field="frame"):
    ref: int
    command: AnyCommand


class Attached(msgspec.Struct, frozen=True, kw_only=True, tag="attached", tag_field="frame"):
    """`last_seq`: the records up to this one follow at once; `pid` is the worker's."""

    session_id: str
    last_seq: int
    pid: int
    version: int = WIRE_VERSION


class Recorded(msgspec.Struct, frozen=True, kw_only=True, tag="record", tag_field="frame"):
    record: Record


class Ephemeral(msgspec.Struct, frozen=True, kw_only=True, tag="delta", tag_field="frame"):
    delta: Delta


class Reply(msgspec.Struct, frozen=True, kw_only=True, tag="reply", tag_field="frame"):
    """`error` is a sentence for the user, or empty where the command was taken."""

    ref: int
    error: str = ""


ToWorker = Attach | Send
FromWorker = Attached | Recorded | Ephemeral | Reply
