"""Ten programs at once on one configuration: every write survives, and a reader never sees half a file."""

import subprocess
import sys
import tomllib
from pathlib import Path

WRITER = """
import sys, asyncio
from pathlib import Path
from goose_py.config.edit import set_value
from goose_py.config.secrets import SecretStore
folder, number, rounds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
store = SecretStore({"GOOSE_PY_DISABLE_KEYRING": "1"}, folder / "secrets.json", notice=lambda text: None)
for turn in range(rounds):
    set_value(folder / "config.toml", f"models.m{number}.context_window", turn + 1)
asyncio.run(store.set(f"KEY_{number}", f"value-{number}"))
"""
ROUNDS = 20


def test_ten_writers_lose_nothing_and_a_reader_sees_whole_files(tmp_path: Path) -> None:
    folder = tmp_path / "conf"
    folder.mkdir(mode=0o700)
    file = folder / "config.toml"
    file.write_text('# kept\nmode = "ask"\n')
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(folder), str(number), str(ROUNDS)]) for number in range(10)]
    reads = 0
    while any(writer.poll() is None for writer in writers):
        assert tomllib.loads(file.read_text())["mode"] == "ask"
        reads += 1
    assert [writer.returncode for writer in writers] == [0] * 10 and reads > 10
    found = tomllib.loads(file.read_text())
    assert {name: table["context_window"] for name, table in found["models"].items()} == {
        f"m{number}": ROUNDS for number in range(10)
    }
    assert file.read_text().startswith("# kept\n")
    secrets = (folder / "secrets.json").read_text()
    assert all(f'"KEY_{number}": "value-{number}"' in secrets for number in range(10))
    assert {entry.name for entry in folder.iterdir()} == {
        "config.toml", "secrets.json", ".config.toml.lock", ".secrets.json.lock",
    }  # fmt: skip
