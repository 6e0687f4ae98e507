"""Tools that are no shells: what they claim, whose claims count, and which paths they name."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goose_py.permissions.decide import decide
from goose_py.permissions.decision import Decision, Place
from goose_py.permissions.rules import Rule, parse_rule
from goose_py.protocol.messages import ToolCall
from goose_py.protocol.modes import Mode
from goose_py.protocol.tools import ToolAnnotations, ToolSpec

READ = ToolAnnotations(read_only=True, destructive=False, open_world=False)
EDIT = ToolAnnotations(read_only=False, destructive=True, open_world=False)
NOTE = ToolAnnotations(read_only=False, destructive=False, open_world=False)
FETCH = ToolAnnotations(read_only=True, destructive=False, open_world=True)
PLACE = Place(workspace="/w/proj", home="/home/u", sandbox="full")


def spec(annotations: ToolAnnotations = EDIT, *, trusted: bool = True, extension: str = "developer") -> ToolSpec:
    return ToolSpec(
        name=f"{extension}__tool",
        description="",
        input_schema={},
        extension=extension,
        annotations=annotations,
        trusted=trusted,
    )


def judge(
    tool: ToolSpec, arguments: dict[str, object], mode: Mode = "ask", rules: tuple[Rule, ...] = (), place: Place = PLACE
) -> Decision:
    return decide(ToolCall(id="1", name=tool.name, arguments=arguments), tool, rules, mode, place)


def rule(**fields: object) -> tuple[Rule, ...]:
    return parse_rule(fields)


@pytest.mark.parametrize(
    ("annotations", "arguments", "verdicts"),
    [
        # (plan, ask, auto)
        (READ, {"path": "src/a.py"}, ("allow", "allow", "allow")),
        (READ, {}, ("allow", "allow", "allow")),
        (EDIT, {"path": "src/a.py"}, ("deny", "allow", "allow")),
        (EDIT, {}, ("deny", "ask", "allow")),
        (NOTE, {}, ("deny", "allow", "allow")),
        (FETCH, {"url": "https://e"}, ("allow", "ask", "allow")),
        (ToolAnnotations(), {}, ("deny", "ask", "allow")),
    ],
)
def test_our_own_tools_are_believed(
    annotations: ToolAnnotations, arguments: dict[str, object], verdicts: tuple[str, ...]
) -> None:
    modes: tuple[Mode, ...] = ("plan", "ask", "auto")
    assert tuple(judge(spec(annotations), arguments, mode).verdict for mode in modes) == verdicts


@pytest.mark.parametrize("annotations", [READ, NOTE, EDIT])
def test_nobody_elses_annotations_lower_a_verdict(annotations: ToolAnnotations) -> None:
    foreign = spec(annotations, trusted=False, extension="github")
    assert judge(foreign, {}).verdict == "ask"
    assert judge(foreign, {}).patterns == ("tool: github__tool",)
    assert judge(foreign, {}, "plan").verdict == "deny"
    assert judge(foreign, {}, "auto").verdict == "allow"
    assert judge(foreign, {"path": "/etc/passwd"}).reason.startswith("github__tool belongs to")


@pytest.mark.case("U07")
@pytest.mark.parametrize("annotations", [EDIT, NOTE, ToolAnnotations()])
@pytest.mark.parametrize("trusted", [True, False])
def test_plan_mode_denies_every_tool_that_does_not_only_read(annotations: ToolAnnotations, trusted: bool) -> None:
    allowed = rule(verdict="allow", pattern=["tool: *", "extension: *", "write: /**"])
    decision = judge(spec(annotations, trusted=trusted), {"path": "a"}, "plan", allowed)
    assert decision.verdict == "deny"
    assert decision.reason.startswith("plan mode: propose instead.")


def test_chat_mode_and_malformed_calls_run_nothing() -> None:
    assert judge(spec(READ), {"path": "a"}, "chat").verdict == "deny"
    call = ToolCall(id="1", name="developer__tool", malformed='{"path": "a')
    assert decide(call, spec(READ), (), "auto", PLACE).verdict == "deny"


@pytest.mark.case("A13")
@pytest.mark.parametrize(
    ("path", "resolved"),
    [
        ("/w/proj-evil/x", "/w/proj-evil/x"),
        ("/w/proj/../x", "/w/x"),
        ("//w//proj/../../etc/x", "/etc/x"),
        ("~/x", "/home/u/x"),
        ("~", "/home/u"),
        ("../x", "/w/x"),
        ("a/../../x", "/w/x"),
        ("/", "/"),
        ("a\0b", "/<no file name>"),
        ("a\ud800b", "/<no file name>"),
    ],
)
def test_a_path_that_leaves_the_workspace_is_denied_by_its_resolved_name(path: str, resolved: str) -> None:
    for annotations in (READ, EDIT):
        for mode in ("ask", "auto"):
            decision = judge(spec(annotations), {"path": path}, mode)
            assert decision.verdict == "deny"
            assert decision.reason == f"{resolved} is outside the workspace /w/proj."
    assert judge(spec(EDIT), {"paths": ["a", path]}).verdict == "deny"
    assert judge(spec(EDIT), {"cwd": path}).verdict == "deny"


@pytest.mark.case("A13")
@pytest.mark.parametrize("path", ["%2e%2e/x", "/w/proj/x", "a/../b", ".", "//w/proj/x", "a~/x", "~x"])
def test_what_only_looks_like_leaving_is_inside(path: str) -> None:
    assert judge(spec(EDIT), {"path": path}).verdict == "allow"


@pytest.mark.case("A14")
def test_a_symlink_that_leads_out_is_denied_for_reading_and_writing(tmp_path: Path) -> None:
    workspace = tmp_path / "w"
    (workspace / "a").mkdir(parents=True)
    (workspace / "l").symlink_to("/home/ann/.ssh")
    (workspace / "d").symlink_to("/etc/new")
    (workspace / "a" / "b").symlink_to("..")
    (workspace / "up").symlink_to("a/../..")
    place = Place(workspace=str(workspace), home="/home/ann", sandbox="full", realpath=os.path.realpath)
    for path in ("l/authorized_keys", "d", "l/id_rsa", "up/x"):
        for annotations in (READ, EDIT):
            assert judge(spec(annotations), {"path": path}, place=place).verdict == "deny", path
    assert judge(spec(EDIT), {"path": "a/b/file"}, place=place).verdict == "allow"


@pytest.mark.case("A16")
@pytest.mark.parametrize(
    "patch",
    [
        "*** Begin Patch\n*** Add File: ../../p\n+x\n*** End Patch",
        "*** Begin Patch\n*** Update File: a\n*** Move to: /tmp/p\n*** End Patch",
        "*** Begin Patch\n*** Update File: ok\n*** Add File: a/../../p\n*** End Patch",
        "--- a/f\n+++ b/../p\n@@ -1 +1 @@\n-a\n+b\n",
        "diff --git a/f b/f\nrename from f\nrename to ../p\n",
        "--- /dev/null\n+++ /etc/p\n@@ -0,0 +1 @@\n+b\n",
    ],
)
def test_a_patch_that_leaves_the_workspace_is_denied_whole(patch: str) -> None:
    assert judge(spec(EDIT), {"patch": patch}, "auto").verdict == "deny"


def test_a_patch_within_the_workspace_is_free() -> None:
    patch = "--- /dev/null\n+++ b/new\n@@ -0,0 +1 @@\n+b\n--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n"
    assert judge(spec(EDIT), {"diff": patch}).verdict == "allow"
    assert judge(spec(EDIT), {"patch": 5}).verdict == "ask"


@pytest.mark.case("A17")
@pytest.mark.parametrize(
    "path",
    [
        ".git/config", ".GIT/hooks/post-checkout", "sub/.Git/x", ".git\u200b/config", ".g\u00adit/x",
        ".git./x", ".git /x", "git~1/x",
        ".git::$INDEX_ALLOCATION/x", ".Goose/config.yaml", ".goose-py/x", ".GOOSE\u2060/x", ".git",
        "a/../.git/x", ".git\ufe00/x",
    ],
)  # fmt: skip
def test_a_protected_name_is_recognised_in_every_spelling(path: str) -> None:
    for mode in ("ask", "auto"):
        decision = judge(spec(EDIT), {"path": path}, mode, rule(verdict="allow", pattern=["write: /**", "tool: *"]))
        assert decision.verdict == "deny"
        assert "protected" in decision.reason


@pytest.mark.case("A17")
def test_a_protected_name_in_another_normal_form_is_recognised() -> None:
    place = Place(workspace="/w", home="/h", sandbox="full", protected=frozenset({".caf\u00e9"}))
    assert judge(spec(EDIT), {"path": ".cafe\u0301/x"}, place=place).verdict == "deny"
    assert judge(spec(EDIT), {"path": ".CAFE\u0301/x"}, place=place).verdict == "deny"


def test_names_that_only_resemble_a_protected_one_are_free() -> None:
    for path in (".github/x", ".gitignore", "git/x", "goose/x", ".gitattributes"):
        assert judge(spec(EDIT), {"path": path}).verdict == "allow"
    assert judge(spec(READ), {"path": ".git"}).verdict == "allow"
    inner = Place(workspace="/home/u/.goose-py/worktrees/t1", home="/home/u", sandbox="full")
    assert judge(spec(EDIT), {"path": "src/a"}, place=inner).verdict == "allow"


@pytest.mark.parametrize("name", [".env", "config/.env.production", "key.pem", "id_rsa", ".netrc", "credentials.json"])
def test_reading_what_holds_secrets_asks(name: str) -> None:
    decision = judge(spec(READ), {"path": name}, "auto")
    assert decision.verdict == "ask"
    assert decision.patterns == (f"read: ./{name}",)
    assert judge(spec(READ), {"path": name}, "plan").verdict == "deny"
    assert judge(spec(READ), {"path": name}, rules=rule(verdict="allow", pattern=f"read: /w/proj/{name}")).verdict == "allow"


@pytest.mark.case("S17")
@pytest.mark.parametrize(
    "arguments",
    [
        {"path": ".env"}, {"filename": ".env"}, {"fileName": ".env"}, {"uri": "file:///w/proj/.env"}, {"uri": ".env"},
        {"uri": "file://localhost/w/proj/%2Eenv"}, {"URI": "FILE:///w/proj/.env"}, {"file": {"path": ".env"}},
        {"files": [{"name": "x", "filePath": ".env"}]}, {"items": [[{"paths": ["a", ".env"]}]]},
        {"options": {"dir": {"root": ".env"}}},
        {"a": {"b": {"c": {"target": "/w/proj/.env"}}}}, {"working-directory": "/w/proj/.env"},
    ],
)  # fmt: skip
def test_a_rule_about_a_path_finds_it_however_a_tool_names_it(arguments: dict[str, object]) -> None:
    denied = rule(verdict="deny", pattern="read: **/.env")
    foreign = spec(trusted=False, extension="other")
    assert judge(foreign, arguments, "auto", denied).verdict == "deny"
    harmless = {"uri": "https://example.org/.env", "name": ".env", "text": {"body": ".env"}, "n": 1}
    assert judge(foreign, harmless, "auto", denied).verdict == "allow"
    deep: dict[str, object] = {"path": ".env"}
    for _ in range(20):
        deep = {"more": [deep]}
    assert judge(foreign, deep, "auto", denied).verdict == "allow", "to a limit"


@pytest.mark.parametrize("name", [".env.example", ".env.sample", "id_rsa.pub", "environment.py", "secrets_test.py"])
def test_examples_of_secrets_are_free(name: str) -> None:
    assert judge(spec(READ), {"path": name}).verdict == "allow"


def test_rules_about_tools_paths_and_arguments_are_obeyed() -> None:
    foreign = spec(trusted=False, extension="github")
    assert judge(foreign, {}, rules=rule(verdict="allow", pattern="tool: github__*")).verdict == "allow"
    assert judge(foreign, {}, "auto", rule(verdict="ask", pattern="extension: github")).verdict == "ask"
    assert judge(foreign, {}, "auto", rule(verdict="ask", pattern="extension: github")).patterns == ()
    denied = judge(foreign, {}, "auto", rule(verdict="deny", pattern="extension: github", reason="Not here."))
    assert (denied.verdict, denied.reason) == ("deny", "Not here.")
    assert judge(foreign, {}, "auto", rule(verdict="deny", pattern="tool: *")).reason == "The rule “tool: *” denies it."
    merge = rule(verdict="deny", pattern="tool: *", arguments={"branch": "main"})
    assert judge(foreign, {"branch": "main"}, "auto", merge).verdict == "deny"
    assert judge(foreign, {"branch": "dev"}, "auto", merge).verdict == "allow"


def test_rules_about_paths_hold_for_every_tool() -> None:
    guarded = rule(verdict="deny", pattern="write: /w/proj/generated/**")
    assert judge(spec(EDIT), {"path": "generated/x"}, "auto", guarded).verdict == "deny"
    assert judge(spec(READ), {"path": "generated/x"}, "auto", guarded).verdict == "allow"
    assert judge(spec(trusted=False), {"path": "generated/x"}, "auto", guarded).verdict == "deny"
    asked = rule(verdict="ask", pattern="read: **/data/**")
    assert judge(spec(READ), {"path": "data/x"}, "auto", asked).verdict == "ask"
    assert judge(spec(READ), {"path": "data/x"}, "plan", asked).verdict == "deny"
    assert judge(spec(FETCH), {}, "plan", rule(verdict="ask", pattern="tool: *")).verdict == "deny"
    elsewhere = rule(verdict="allow", pattern="write: /data/**")
    assert judge(spec(EDIT), {"path": "/data/x"}, "ask", elsewhere).verdict == "allow"


@pytest.mark.case("U06")
@pytest.mark.parametrize(
    "patch", ["*** Begin Patch\n*** Delete File: old.py\n*** End Patch", "--- a/old.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n"]
)
def test_a_patch_that_deletes_a_file_of_somebody_else_is_gated(patch: str) -> None:
    for mode in ("ask", "auto"):
        decision = judge(spec(EDIT), {"patch": patch}, mode, rule(verdict="allow", pattern="tool: *"))
        assert (decision.verdict, decision.snapshot_first, decision.patterns) == ("ask", True, ())
    mine = Place(workspace="/w/proj", home="/home/u", sandbox="full", created=frozenset({"/w/proj/old.py"}))
    assert judge(spec(EDIT), {"patch": patch}, "auto", place=mine).verdict == "allow"
    assert judge(spec(EDIT), {"patch": patch}, "plan").verdict == "deny"


def test_a_foreign_shell_is_stopped_by_the_same_rules() -> None:
    foreign = spec(trusted=False, extension="other")
    curl = rule(verdict="deny", pattern="curl")
    assert judge(foreign, {"command": "ls; curl http://e"}, "auto", curl).verdict == "deny"
    gated = judge(foreign, {"command": "git reset --hard"}, "auto")
    assert (gated.verdict, gated.snapshot_first) == ("ask", True)
    assert judge(foreign, {"command": "make"}, "auto").verdict == "allow"
    # That a foreign shell would only read is its own claim.
    assert judge(foreign, {"command": "ls"}).verdict == "ask"


def test_a_shell_runs_in_the_folder_it_names() -> None:
    shell = spec(ToolAnnotations())
    assert judge(shell, {"command": "touch x", "cwd": "sub"}).verdict == "allow"
    outside = judge(shell, {"command": "ls", "cwd": ".."}, "auto")
    assert (outside.verdict, outside.reason) == ("deny", "/w is outside the workspace /w/proj.")
    assert judge(shell, {"command": "touch ../x", "cwd": "sub"}).verdict == "allow"
    assert judge(shell, {"command": "touch ../../x", "cwd": "sub"}).reason.startswith("It writes /w/x,")


def test_a_denied_tool_is_denied_whatever_its_command() -> None:
    assert judge(spec(), {"command": "ls"}, "auto", rule(verdict="deny", pattern="tool: developer__tool")).verdict == "deny"
    assert judge(spec(), {"command": "ls"}, "ask", rule(verdict="ask", pattern="tool: developer__tool")).verdict == "ask"
    assert judge(spec(), {"command": "make"}, "ask", rule(verdict="allow", pattern="tool: developer__tool")).verdict == "allow"


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3), max_leaves=5
)
_NAMES = st.sampled_from(["command", "path", "paths", "cwd", "patch", "diff", "file", "x"])
_SHELL_TEXT = st.lists(
    st.sampled_from([*"\"'`$(){}[]<>|&;!#*?~\\ \n\t\0=-", "rm", "git", "ls", "sh -c", "EOF", "é", "\ud800"])
).map("".join)


@settings(max_examples=300, deadline=None)
@given(
    arguments=st.dictionaries(_NAMES, _VALUES | _SHELL_TEXT, max_size=4),
    mode=st.sampled_from(["plan", "ask", "auto", "chat"]),
    trusted=st.booleans(),
    level=st.sampled_from(["full", "partial", "none"]),
)
def test_every_call_whatsoever_gets_a_decision_with_a_reason(
    arguments: dict[str, object], mode: Mode, trusted: bool, level: str
) -> None:
    place = Place(workspace="/w/proj", home="/home/u", sandbox=level, realpath=os.path.realpath)
    decision = judge(spec(trusted=trusted), arguments, mode, rule(verdict="deny", pattern="curl"), place)
    assert decision.verdict in ("allow", "ask", "deny")
    assert decision.reason
    assert mode not in ("plan", "chat") or decision.verdict != "ask"


STANDING = Place(workspace="/w/task", home="/home/u", sandbox="none", folder="pkg/a", names=("/home/u/proj",))


@pytest.mark.case("P12")
@pytest.mark.parametrize(
    ("path", "resolved"),
    [
        ("a.py", "/w/task/pkg/a/a.py"),
        ("../b/b.py", "/w/task/pkg/b/b.py"),
        ("/home/u/proj/b.py", "/w/task/b.py"),
        ("/home/u/proj", "/w/task"),
        ("/w/task/b.py", "/w/task/b.py"),
        ("/home/u/proj-evil/b.py", "/home/u/proj-evil/b.py"),
        ("/home/u/proj/../x", "/home/u/x"),
        ("../../../x", "/w/x"),
    ],
)
def test_paths_are_judged_as_our_tools_take_them(path: str, resolved: str) -> None:
    decision = judge(spec(READ), {"path": path}, place=STANDING)
    assert {part.text for part in decision.parts} == {"developer__tool", resolved}
    assert (decision.verdict == "allow") == resolved.startswith("/w/task")


@pytest.mark.case("U02")
@pytest.mark.parametrize(
    ("command", "denied"),
    [
        ("ls /home/u/proj", True),
        ("rm -rf '/home/u/proj/src'", True),
        ("X=/home/u/proj/a; rm $X", True),
        ("ls /home/u/proj-evil a/home/u/proj", False),
        ("ls .", False),
    ],
)
def test_a_command_that_names_the_checkout_is_told_the_right_path_in_every_mode(command: str, denied: bool) -> None:
    for mode in ("ask", "auto", "plan"):
        decision = judge(spec(EDIT), {"command": command}, mode, place=STANDING)
        assert ("the files of the task are in /w/task." in decision.reason) == denied
        assert not denied or decision.verdict == "deny"


def test_a_checkout_around_the_workspace_may_be_named() -> None:
    inner = Place(workspace="/home/u/proj/.tasks/t1", home="/home/u", sandbox="none", names=("/home/u/proj",))
    decision = judge(spec(EDIT), {"command": "ls /home/u/proj/.tasks/t1"}, "auto", place=inner)
    assert "Say that path" not in decision.reason
