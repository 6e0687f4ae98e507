"""Keys: environment, then keyring, then a file of mode 0600; never shown."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError

from goose_py.config.errors import ConfigError
from goose_py.config.secrets import NoKeyring, SecretStore

SECRET = "sk-very-secret-4711"


class MemoryKeyring(KeyringBackend):
    """A real backend that keeps its entries in memory."""

    priority = 5

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if self.entries.pop((service, username), None) is None:
            raise PasswordDeleteError(username)


class ForgetfulKeyring(MemoryKeyring):
    """Takes everything and gives nothing back, as the library's null backend does."""

    def get_password(self, service: str, username: str) -> str | None:
        return None


class LockedKeyring(MemoryKeyring):
    """A backend whose library raises something of its own, with the value in the message."""

    def set_password(self, service: str, username: str, password: str) -> None:
        raise RuntimeError(f"cannot store {password}")


class HangingKeyring(MemoryKeyring):
    """Waits for a dialogue that nobody sees."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Event()

    def set_password(self, service: str, username: str, password: str) -> None:
        self.asked.set()
        threading.Event().wait()


class Stored:
    """A store over a folder, with what it told the person."""

    def __init__(self, folder: Path, keyring: KeyringBackend | None, **env: str) -> None:
        self.file = folder / "conf" / "secrets.json"
        self.notices: list[str] = []
        self.opened = 0
        self._keyring = keyring
        self.store = SecretStore(env, self.file, notice=self.notices.append, open_keyring=self._open, timeout=0.2)

    def _open(self) -> KeyringBackend:
        self.opened += 1
        if self._keyring is None:
            raise NoKeyring("there is none on this machine")
        return self._keyring


async def test_the_environment_wins_and_the_keyring_is_not_even_opened(tmp_path: Path) -> None:
    stored = Stored(tmp_path, MemoryKeyring(), A_KEY="from-env")
    assert await stored.store.get("A_KEY") == "from-env"
    assert await stored.store.get("B_KEY") is None
    assert stored.opened == 0 and not stored.file.exists()


async def test_a_keyring_keeps_the_value_and_the_file_only_its_name(tmp_path: Path) -> None:
    keyring = MemoryKeyring()
    stored = Stored(tmp_path, keyring)
    assert await stored.store.set("A_KEY", SECRET) == "keyring"
    assert keyring.entries == {("goose-py", "A_KEY"): SECRET}
    assert SECRET not in stored.file.read_text() and stored.notices == []
    again = Stored(tmp_path, keyring)
    assert await again.store.get("A_KEY") == SECRET
    assert again.store.names() == {"A_KEY": "keyring"}
    assert await again.store.delete("A_KEY") is True
    assert keyring.entries == {} and again.store.names() == {}
    assert await again.store.delete("A_KEY") is False


@pytest.mark.parametrize("keyring", [None, ForgetfulKeyring(), LockedKeyring()], ids=["none", "forgetful", "locked"])
async def test_without_a_working_keyring_a_private_file_keeps_it_and_says_so(
    tmp_path: Path, keyring: KeyringBackend | None
) -> None:
    stored = Stored(tmp_path, keyring)
    before = os.umask(0)
    try:
        assert await stored.store.set("A_KEY", SECRET) == "file"
    finally:
        os.umask(before)
    assert stored.file.stat().st_mode & 0o777 == 0o600
    assert stored.file.parent.stat().st_mode & 0o777 == 0o700
    assert {entry.stat().st_mode & 0o077 for entry in stored.file.parent.iterdir()} == {0}
    assert len(stored.notices) == 1 and str(stored.file) in stored.notices[0] and SECRET not in stored.notices[0]
    assert await Stored(tmp_path, keyring).store.get("A_KEY") == SECRET
    assert stored.store.names() == {"A_KEY": "file"}


async def test_a_keyring_that_hangs_is_given_up_and_not_asked_again(tmp_path: Path) -> None:
    keyring = HangingKeyring()
    stored = Stored(tmp_path, keyring)
    assert await stored.store.set("A_KEY", SECRET) == "file"
    assert keyring.asked.is_set()
    assert "did not answer" in stored.notices[0]
    assert await stored.store.set("B_KEY", SECRET) == "file"
    assert stored.opened == 1


def test_a_keyring_that_hangs_does_not_keep_the_program_from_ending(tmp_path: Path) -> None:
    program = f"""
import asyncio, threading
from pathlib import Path
from goose_py.config.secrets import SecretStore
class Hangs:
    def set_password(self, *a): threading.Event().wait()
store = SecretStore({{}}, Path({str(tmp_path)!r}) / "s" / "secrets.json", notice=print, open_keyring=Hangs, timeout=0.1)
print(asyncio.run(store.set("A_KEY", "v")))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout.splitlines()[-1] == "file"


@pytest.mark.parametrize(
    ("value", "place"), [("1", "file"), ("true", "file"), ("0", "keyring"), ("", "keyring"), ("no", "keyring")]
)
async def test_the_keyring_can_be_switched_off_by_a_variable_that_reads_as_people_expect(
    tmp_path: Path, value: str, place: str
) -> None:
    stored = Stored(tmp_path, MemoryKeyring(), GOOSE_PY_DISABLE_KEYRING=value)
    assert await stored.store.set("A_KEY", SECRET) == place
    assert stored.opened == (0 if place == "file" else 1)


@pytest.mark.parametrize("backend", ["keyring.backends.fail.Keyring", "keyring.backends.null.Keyring"])
def test_the_librarys_own_placeholders_count_as_no_keyring(tmp_path: Path, backend: str) -> None:
    program = f"""
import asyncio
from pathlib import Path
from goose_py.config.secrets import SecretStore
store = SecretStore({{}}, Path({str(tmp_path)!r}) / "s" / "secrets.json", notice=print, timeout=20)
print(asyncio.run(store.set("A_KEY", "{SECRET}")), asyncio.run(SecretStore.get(store, "A_KEY")) == "{SECRET}")
"""
    env = {**os.environ, "PYTHON_KEYRING_BACKEND": backend}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=60, check=True)
    notice, result = done.stdout.splitlines()
    assert "there is none on this machine" in notice and SECRET not in done.stdout + done.stderr
    assert result == "file True"


async def test_a_value_that_moves_to_the_keyring_leaves_the_file(tmp_path: Path) -> None:
    await Stored(tmp_path, None).store.set("A_KEY", SECRET)
    stored = Stored(tmp_path, MemoryKeyring())
    await stored.store.set("A_KEY", "new")
    assert json.loads(stored.file.read_text()) == {"version": 1, "secrets": {}, "keyring": ["A_KEY"]}


async def test_a_key_that_cannot_be_removed_from_the_keyring_is_not_said_to_be(tmp_path: Path) -> None:
    await Stored(tmp_path, MemoryKeyring()).store.set("A_KEY", SECRET)
    stored = Stored(tmp_path, None)
    with pytest.raises(ConfigError, match="A_KEY is kept in the keyring, which cannot be reached"):
        await stored.store.delete("A_KEY")
    assert stored.store.names() == {"A_KEY": "keyring"}
    assert await stored.store.get("A_KEY") is None and "cannot be read" in stored.notices[0]


async def test_a_file_that_others_could_read_is_closed_and_reported(tmp_path: Path) -> None:
    stored = Stored(tmp_path, None)
    await stored.store.set("A_KEY", SECRET)
    stored.file.chmod(0o644)
    assert await stored.store.get("A_KEY") == SECRET
    assert stored.file.stat().st_mode & 0o777 == 0o600
    assert "could be read by others" in stored.notices[-1]


@pytest.mark.parametrize(("name", "value"), [("", "v"), ("A=B", "v"), ("A", ""), ("A", "  \n")])
async def test_empty_names_and_values_are_refused(tmp_path: Path, name: str, value: str) -> None:
    stored = Stored(tmp_path, MemoryKeyring())
    with pytest.raises(ConfigError):
        await stored.store.set(name, value)
    assert not stored.file.exists()


async def test_a_damaged_file_is_neither_used_nor_overwritten(tmp_path: Path) -> None:
    stored = Stored(tmp_path, None)
    stored.file.parent.mkdir()
    stored.file.write_text(f'{{"secrets": {{"A": "{SECRET}"')
    stored.file.chmod(0o600)
    before = stored.file.read_bytes()
    for attempt in (stored.store.get("A"), stored.store.set("B", "v")):
        with pytest.raises(ConfigError, match="not a secrets file of ours") as caught:
            await attempt
        assert SECRET not in str(caught.value)
    assert stored.file.read_bytes() == before


async def test_importing_and_reading_load_no_keyring_library(tmp_path: Path) -> None:
    program = (
        "import sys, asyncio; from pathlib import Path; from goose_py.config.secrets import SecretStore;"
        f"asyncio.run(SecretStore({{}}, Path({str(tmp_path)!r})/'s', notice=print).get('A_KEY'));"
        "print('keyring' in sys.modules, 'tomlkit' in sys.modules)"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=subprocess.PIPE)
    output, _ = await process.communicate()
    assert output.split() == [b"False", b"False"]
