"""API keys: the environment wins, then the system's keyring, then a file that only its owner can read.

The keyring is asked in a thread of its own and given up after a few seconds: over SSH, in WSL and in containers it may be
missing, locked behind a dialogue that nobody sees, or wait for a bus that does not answer. Values are never printed, and
appear in no exception of ours.
"""

import asyncio
import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import msgspec

from goose_py.config.errors import ConfigError
from goose_py.config.layers import truthy
from goose_py.config.paths import private_folder
from goose_py.files import locked, write_atomic

SERVICE = "goose-py"
Place = Literal["environment", "keyring", "file"]
Result = TypeVar("Result")


class Keyring(Protocol):
    """The part of `keyring.backend.KeyringBackend` that we use."""

    def get_password(self, service: str, username: str) -> str | None: ...
    def set_password(self, service: str, username: str, password: str) -> None: ...
    def delete_password(self, service: str, username: str) -> None: ...


class NoKeyring(Exception):
    """There is none that works here; the text says why."""


class _File(msgspec.Struct, frozen=True, kw_only=True):
    """`secrets.json`. `keyring` lists the names kept in the keyring, which cannot list them itself."""

    version: int = 1
    secrets: dict[str, str] = {}
    keyring: tuple[str, ...] = ()


class SecretStore:
    """Secrets by the names of their environment variables (`ANTHROPIC_API_KEY`).

    `env` and `file` are handed in; `notice` receives sentences for the person, which never hold a value. `open_keyring`
    returns a backend or raises `NoKeyring`; it and the backend run outside the event loop, each call at most `timeout`
    seconds. One store belongs to one event loop.
    """

    def __init__(
        self,
        env: Mapping[str, str],
        file: Path,
        *,
        notice: Callable[[str], None],
        open_keyring: Callable[[], Keyring] | None = None,
        timeout: float = 3.0,
    ) -> None:
        self._env = env
        self._path = file
        self._notice = notice
        self._timeout = timeout
        self._open = open_keyring or system_keyring
        self._keyring: Keyring | None = None
        self._why_not = "GOOSE_PY_DISABLE_KEYRING is set" if truthy(env.get("GOOSE_PY_DISABLE_KEYRING")) else ""
        self._handed_out: set[str] = set()

    async def get(self, name: str) -> str | None:
        """The value, or None. The keyring is asked only for names that were put there, so that a machine without one, or
        with a locked one, costs nothing to those who do not use it."""
        value = await self._find(name)
        if value is not None:
            self._handed_out.add(value)
        return value

    @property
    def handed_out(self) -> frozenset[str]:
        """The values that `get` has returned so far."""
        return frozenset(self._handed_out)

    def known_values(self) -> frozenset[str]:
        """The values that can be known without asking the keyring: what the file holds, and what was handed out so far."""
        return frozenset(self._handed_out.union(self._read().secrets.values()))

    async def _find(self, name: str) -> str | None:
        if self._env.get(name):
            return self._env[name]
        stored = self._read()
        if name in stored.keyring:
            try:
                value = await self._ask(lambda keyring: keyring.get_password(SERVICE, name))
                if value is not None:
                    return value
            except NoKeyring as error:
                self._notice(f"{name} is kept in the keyring, which cannot be read: {error}.")
        return stored.secrets.get(name)

    async def set(self, name: str, value: str) -> Place:
        """Keep a value, in the keyring where one works, else in the file, with a notice that says so. Raises `ConfigError`
        for an empty name or value."""
        if not name or "=" in name or "\0" in name:
            raise ConfigError((f"{name!r} is no name for a secret: use that of its environment variable.",))
        if not value.strip():
            raise ConfigError((f"{name}: the value is empty; nothing was stored.",))
        place: Place = "keyring"
        try:
            await self._ask(lambda keyring: _store(keyring, name, value))
        except NoKeyring as error:
            place = "file"
            self._notice(f"No keyring works here ({error}): {name} is kept in {self._path}, readable only by you.")
        self._update(name, value if place == "file" else None, in_keyring=place == "keyring")
        if self._env.get(name):
            self._notice(f"{name} is also set in the environment, which wins.")
        return place

    async def delete(self, name: str) -> bool:
        """Remove a value from the keyring and the file; False where it was in neither. Raises `ConfigError` where the
        keyring has it and cannot be reached: it would come back."""
        stored = self._read()
        if name in stored.keyring:
            try:
                await self._ask(lambda keyring: _forget(keyring, name))
            except NoKeyring as error:
                raise ConfigError((f"{name} is kept in the keyring, which cannot be reached: {error}.",)) from None
        if name not in stored.keyring and name not in stored.secrets:
            return False
        self._update(name, None, in_keyring=False)
        return True

    def names(self) -> dict[str, Place]:
        """The names that are stored, and where; never the values. A stored name that the environment overrides counts as
        the environment's."""
        stored = self._read()
        places: dict[str, Place] = {name: "file" for name in stored.secrets} | {name: "keyring" for name in stored.keyring}
        return {name: "environment" if self._env.get(name) else place for name, place in sorted(places.items())}

    async def _ask(self, question: Callable[[Keyring], Result]) -> Result:
        if self._why_not:
            raise NoKeyring(self._why_not)

        def work() -> Result:
            if self._keyring is None:
                self._keyring = self._open()
            return question(self._keyring)

        try:
            return await asyncio.wait_for(_in_thread(work), self._timeout)
        except TimeoutError:
            self._why_not = f"it did not answer in {self._timeout:g} seconds"
        except NoKeyring as error:
            self._why_not = str(error)
        raise NoKeyring(self._why_not)

    def _read(self) -> _File:
        try:
            data = self._path.read_bytes()
            open_to_others = self._path.stat().st_mode & 0o077
        except FileNotFoundError:
            return _File()
        except OSError as error:
            raise ConfigError((f"{self._path}: cannot be read: {error.strerror}.",)) from None
        if open_to_others:
            self._path.chmod(0o600)
            self._notice(f"{self._path} could be read by others on this machine and is closed now: renew what it holds.")
        try:
            return msgspec.json.decode(data, type=_File)
        except msgspec.DecodeError:
            raise ConfigError((f"{self._path}: not a secrets file of ours; move it away and store the keys again.",)) from None

    def _update(self, name: str, value: str | None, *, in_keyring: bool) -> None:
        private_folder(self._path.parent)
        with locked(self._path):
            stored = self._read()
            secrets = {key: text for key, text in stored.secrets.items() if key != name}
            names = {key for key in stored.keyring if key != name} | ({name} if in_keyring else set())
            if value is not None:
                secrets[name] = value
            content = {"version": 1, "secrets": secrets, "keyring": sorted(names)}
            write_atomic(self._path.resolve(), json.dumps(content, indent=2).encode() + b"\n", mode=0o600)


def system_keyring() -> Keyring:
    """The keyring of this machine. Raises `NoKeyring` for the placeholders that the library falls back on, and for backends
    that it does not recommend itself (priority below 1), which store in plain text."""
    import keyring
    from keyring.backends import fail, null

    try:
        backend = keyring.get_keyring()
    except Exception as error:  # noqa: BLE001 - backends raise whatever their libraries do
        raise NoKeyring(f"it failed to start: {type(error).__name__}") from None
    if isinstance(backend, fail.Keyring | null.Keyring):
        raise NoKeyring("there is none on this machine")
    if backend.priority < 1:
        raise NoKeyring(f"{type(backend).__name__} keeps secrets in plain text")
    return backend


def _store(keyring: Keyring, name: str, value: str) -> None:
    keyring.set_password(SERVICE, name, value)
    if keyring.get_password(SERVICE, name) != value:
        raise NoKeyring("it does not give back what it was given")


def _forget(keyring: Keyring, name: str) -> None:
    if keyring.get_password(SERVICE, name) is not None:
        keyring.delete_password(SERVICE, name)


async def _in_thread(work: Callable[[], Result]) -> Result:
    """Run `work` in a daemon thread: one that hangs for good must not keep the process from ending, as a thread of
    asyncio's pool would. What a backend raises becomes `NoKeyring`."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()

    def finish(value: Any, error: Exception | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(value)
        else:
            done.set_exception(error)

    def run() -> None:
        value, error = None, None
        try:
            value = work()
        except NoKeyring as refusal:
            error = refusal
        except Exception as failure:  # noqa: BLE001 - the root of the thread; backends raise whatever their libraries do
            error = NoKeyring(f"it failed: {type(failure).__name__}")
        try:
            loop.call_soon_threadsafe(finish, value, error)
        except RuntimeError:
            return

    threading.Thread(target=run, name="keyring", daemon=True).start()
    return await done
