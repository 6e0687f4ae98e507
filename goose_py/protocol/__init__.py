"""The words of goose-py as frozen values: messages, tools, events, commands, plan, changes, and the codec that writes them.

Nothing here does I/O, reads a clock or imports anything above it. Everything that crosses a process boundary (the event
log, the task socket, `stream-json` output) is one of these values, written by `goose_py.protocol.codec`.
"""
