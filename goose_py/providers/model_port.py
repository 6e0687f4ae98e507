"""The Model port as the providers implement it, and what its owner needs beside."""

from collections.abc import AsyncIterator
from typing import Protocol

from goose_py.protocol.deltas import ModelDelta
from goose_py.protocol.model_io import ModelReply, ModelRequest
from goose_py.providers.profile import Profile


class OpenModel(Protocol):
    """The Model port, with what its owner needs beside: the profile; `prepare`, which loads what the first request needs
    (blocks for up to 2 s, for a thread); the end."""

    @property
    def profile(self) -> Profile: ...

    def stream(self, request: ModelRequest) -> AsyncIterator[ModelDelta | ModelReply]: ...

    def prepare(self) -> None: ...

    async def close(self) -> None: ...
