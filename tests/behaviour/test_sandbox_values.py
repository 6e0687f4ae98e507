"""The parts of the sandbox that are pure: the filter's bytes, the macOS profile, the environment, the toolchains."""

import re
import struct
import subprocess
from pathlib import Path

import pytest

from goose_py.sandbox.environment import child_env, safe_path
from goose_py.sandbox.policy import Level, Policy, SandboxError
from goose_py.sandbox.seatbelt import Seatbelt, profile
from goose_py.sandbox.seccomp import assemble, supported
from goose_py.sandbox.toolchains import home_toolchains, python_roots
from goose_py.sandbox.variables import grant, refusal

# The filter, run by an interpreter of classic BPF as small as the filter's own vocabulary.

ALLOW, EPERM, EACCES, ENOSYS = 0x7FFF0000, 0x50001, 0x5000D, 0x50026
CLONE3, IO_URING_SETUP = 435, 425
X86_64, AARCH64, I386 = 0xC000003E, 0xC00000B7, 0x40000003


def run_filter(program: bytes, number: int, arch: int, *arguments: int) -> int:
    words = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
    data = struct.pack("=IIQ6Q", number, arch, 0, *words)
    instructions = list(struct.iter_unpack("=HBBI", program))
    accumulator = position = 0
    while True:
        code, if_true, if_false, value = instructions[position]
        position += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, value)
        elif code == 0x54:
            accumulator &= value
        elif code == 0x06:
            return value
        else:
            holds = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: bool(accumulator & value)}[code]
            position += if_true if holds else if_false


@pytest.mark.parametrize(
    ("machine", "arch", "calls"),
    [
        ("x86_64", X86_64, {"read": 0, "socket": 41, "socketpair": 53, "clone": 56, "mount": 165}),
        ("aarch64", AARCH64, {"read": 63, "socket": 198, "socketpair": 199, "clone": 220, "mount": 40}),
    ],
)
def test_the_filter_allows_and_refuses_what_it_says(machine: str, arch: int, calls: dict[str, int]) -> None:
    unix, inet, inet6, netlink, packet, vsock, stream, datagram = 1, 2, 10, 16, 17, 40, 1, 2
    closed = assemble(machine, internet=False, unix_sockets=False)
    network = assemble(machine, internet=True, unix_sockets=False)
    sockets = assemble(machine, internet=False, unix_sockets=True)
    for program in (closed, network, sockets):
        assert run_filter(program, calls["read"], arch) == ALLOW
        assert run_filter(program, calls["mount"], arch) == EPERM
        assert run_filter(program, CLONE3, arch) == ENOSYS
        assert run_filter(program, IO_URING_SETUP, arch) == ENOSYS
        assert run_filter(program, calls["clone"], arch, 0x11) == ALLOW
        assert run_filter(program, calls["clone"], arch, 0x10000000 | 0x11) == EPERM
        assert run_filter(program, calls["socket"], arch, netlink) == ALLOW
        for family in (packet, vsock, 38, 0xFFFF):
            assert run_filter(program, calls["socket"], arch, family) == EACCES
        assert run_filter(program, calls["read"], I386) == ENOSYS
        assert run_filter(program, calls["socketpair"], arch, unix, stream | 0o2000000) == ALLOW
    assert [run_filter(program, calls["socket"], arch, inet) for program in (closed, network, sockets)] == [
        EACCES,
        ALLOW,
        EACCES,
    ]
    assert [run_filter(program, calls["socket"], arch, inet6) for program in (closed, network, sockets)] == [
        EACCES,
        ALLOW,
        EACCES,
    ]
    assert [run_filter(program, calls["socket"], arch, unix) for program in (closed, network, sockets)] == [
        EACCES,
        EACCES,
        ALLOW,
    ]
    pairs = [
        run_filter(program, calls["socketpair"], arch, unix, datagram | 0o2000000) for program in (closed, network, sockets)
    ]
    assert pairs == [EACCES, EACCES, ALLOW]


def test_the_second_numbering_of_x86_64_is_refused_whole() -> None:
    program = assemble("x86_64", internet=True, unix_sockets=True)
    assert run_filter(program, 0x40000000 | 41, X86_64, 1) == ENOSYS
    assert run_filter(program, 0xFFFFFFFF, X86_64) == ENOSYS


def test_a_machine_without_a_table_is_said_to_have_none() -> None:
    assert supported("x86_64") and supported("aarch64")
    assert not supported("riscv64")
    with pytest.raises(KeyError):
        assemble("riscv64", internet=False, unix_sockets=False)


# The macOS profile.


def full_policy(base: Path, **changes: object) -> Policy:
    fields = {
        "workspace": base / "w",
        "home": base / "home",
        "tmp": base / "tmp",
        "readable": (base / "main" / ".git",),
        **changes,
    }
    return Policy(**fields)


def test_the_profile_has_no_path_in_its_text_and_later_rules_guard_git(tmp_path: Path) -> None:
    evil = tmp_path / 'x")(allow default)("'
    text, parameters = profile(full_policy(tmp_path, readable=(evil,)))
    assert str(tmp_path) not in text and "allow default" not in text
    assert parameters["READ_0"] == str(evil)
    assert text.startswith("(version 1)\n(deny default)\n")
    assert text.count("(") == text.count(")")
    assert set(re.findall(r'param "(\w+)"', text)) == set(parameters)
    lines = text.splitlines()
    guard = next(number for number, line in enumerate(lines) if line.startswith("(deny file-write*"))
    write = next(number for number, line in enumerate(lines) if line.startswith("(allow file-read* file-write*"))
    assert guard > write, "the last rule that matches wins"
    assert parameters["GUARD_0"] == str(tmp_path / "w" / ".git")
    assert "(deny network*)" in lines and not any(line.startswith("(allow network") for line in lines)


def test_the_profile_names_resolved_paths(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    _, parameters = profile(full_policy(tmp_path, workspace=tmp_path / "link"))
    assert str(tmp_path / "real") in parameters.values()
    assert str(tmp_path / "link") not in parameters.values()


def test_plan_mode_writes_no_workspace_and_grants_open_what_they_say(tmp_path: Path) -> None:
    _, planned = profile(full_policy(tmp_path, read_only=True))
    assert str(tmp_path / "w") not in [value for name, value in planned.items() if name.startswith("WRITE")]
    text, _ = profile(full_policy(tmp_path, network=True, unix_sockets=True))
    assert '(allow network-outbound (remote ip "*:*"))' in text and "unix-socket" in text
    bare, _ = profile(Policy(workspace=tmp_path, home=tmp_path, read_only=True))
    assert "file-write* (subpath" not in bare.replace("(deny file-write*", "")


def test_the_macos_launcher_passes_every_argument_on_unchanged(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    fake = tmp_path / "sandbox-exec"
    fake.write_text('#!/bin/sh\nfor word in "$@"; do printf "%s\\0" "$word"; done\n')
    fake.chmod(0o755)
    sandbox = Seatbelt(fake)
    assert sandbox.level is Level.FULL
    odd = ["a b", "$(x)", "'", '"', "", "é\n"]
    spec = sandbox.wrap(odd, str(tmp_path / "w"), {"PATH": "/usr/bin:/bin"}, full_policy(tmp_path))
    done = subprocess.run(spec.argv, env=dict(spec.env), cwd=spec.cwd, capture_output=True, check=True, timeout=10)
    words = done.stdout.decode().split("\0")[:-1]
    assert words[0] == "-p" and words[-len(odd) :] == odd and words[-len(odd) - 1] == "--"
    assert spec.env["HOME"] == spec.env["TMPDIR"] == str(tmp_path / "tmp")
    with pytest.raises(SandboxError, match="does not exist"):
        sandbox.wrap(["x"], "/", {}, Policy(workspace=tmp_path / "none", home=tmp_path))


# Environment and toolchains.


@pytest.mark.case("A38")
def test_a_child_sees_names_it_needs_and_no_value_that_is_a_secret() -> None:
    parent = {
        "PATH": "/usr/bin", "HOME": "/h", "LC_ALL": "C", "SHELL": "/bin/zsh", "OPENAI_API_KEY": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "SSH_AUTH_SOCK": "/x", "DBUS_SESSION_BUS_ADDRESS": "x", "HTTP_PROXY": "http://u:pw@h",
        "LD_PRELOAD": "x", "BASH_ENV": "x",
        "PYTHONPATH": "x", "NODE_OPTIONS": "x", "BASH_FUNC_ls%%": "() { x; }", "GIT_SSH_COMMAND": "x",
        "PAGER": "evil", "EDITOR": "vi",
        "TERM": "ghp_" + "a" * 36, "TZ": "the-known-value",
    }  # fmt: skip
    env = child_env(parent, secrets=["the-known-value", "C"])
    kept = {"PATH": "/usr/bin", "HOME": "/h", "LC_ALL": "C", "SHELL": "/bin/zsh"}
    quiet = set(env) - set(kept)
    assert {name: env[name] for name in kept} == kept
    assert quiet == {
        "PAGER",
        "GIT_PAGER",
        "EDITOR",
        "GIT_EDITOR",
        "VISUAL",
        "GIT_TERMINAL_PROMPT",
        "GIT_ASKPASS",
        "SSH_ASKPASS",
    }
    assert (env["PAGER"], env["EDITOR"]) == ("cat", "false")


def test_a_path_leads_into_no_folder_that_the_agent_can_write() -> None:
    path = ".:/usr/bin::bin:./x:/w/t1/node_modules/.bin:/w/t1:/w/t10/bin:/usr/bin:/bin/"
    assert safe_path(path, ["/w/t1/"]) == "/usr/bin:/w/t10/bin:/bin/"
    assert safe_path("") == "/usr/bin:/bin"
    assert child_env({"PATH": path}, unsafe_path=["/w/t1"])["PATH"] == "/usr/bin:/w/t10/bin:/bin/"


@pytest.mark.case("H05")
def test_what_a_person_names_is_granted_but_for_what_the_sandbox_decides_itself() -> None:
    parent = {"AWS_REGION": "eu", "AWS_PROFILE": "", "GH_TOKEN": "x", "GIT_DIR": "x", "PATH": "x", "LD_PRELOAD": "x", "GO": "1"}
    granted = grant(["AWS_*", "G*", "GH_TOKEN", "NPM_TOKEN", "L?_*", "X_*"], parent)
    assert granted.values == {"AWS_REGION": "eu", "AWS_PROFILE": "", "GH_TOKEN": "x", "GO": "1"}
    assert granted.missing == ("NPM_TOKEN",)
    for own in ("PATH", "HOME", "TMPDIR", "LD_PRELOAD", "DYLD_*", "GIT_SSH_COMMAND", "GIT_*", "BASH_ENV", "GOOSE_PY_HOME"):
        assert refusal(own) == f"The variable {own} cannot be passed on to commands: the sandbox decides it itself."
    assert "every variable" in refusal("*") and "no name" in refusal("A=b") and "no name" in refusal("") and not refusal("G*")


def test_toolchains_on_the_path_are_shown_without_their_credentials(tmp_path: Path) -> None:
    for folder in (".cargo/bin", ".rustup/toolchains", ".pyenv/shims", ".nvm/versions/node/v20/bin", ".local/bin", ".volta"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / ".cargo" / "credentials.toml").write_text("token")
    path = ":".join(
        str(tmp_path / folder) for folder in (".cargo/bin", ".pyenv/shims", ".nvm/versions/node/v20/bin", "elsewhere")
    )
    shown = {str(folder.relative_to(tmp_path)) for folder in home_toolchains(f"{path}:/usr/bin", tmp_path)}
    assert shown == {".cargo/bin", ".rustup/toolchains", ".pyenv", ".nvm/versions"}


def test_the_running_python_is_shown_unless_the_system_shows_it(tmp_path: Path) -> None:
    (tmp_path / "base" / "bin").mkdir(parents=True)
    (tmp_path / "base" / "bin" / "python3").write_text("")
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    (tmp_path / "venv" / "bin" / "python").symlink_to(tmp_path / "base" / "bin" / "python3")
    roots = python_roots(tmp_path / "venv" / "bin" / "python", [tmp_path / "venv", tmp_path / "base"])
    assert roots == (tmp_path / "venv", tmp_path / "base")
    assert python_roots(Path("/usr/bin/env"), [Path("/usr"), Path("/usr/local")]) == ()
