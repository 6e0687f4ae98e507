"""What the tables say of well-known programs. Each refusal names a flag that writes, runs or reaches out."""

import shlex

import pytest

from goose_py.permissions.decide import decide
from goose_py.permissions.decision import Decision, Place
from goose_py.permissions.destructive import destruction
from goose_py.permissions.git_commands import assess_git, take_apart
from goose_py.permissions.programs import assess
from goose_py.permissions.rules import Rule, parse_rule
from goose_py.protocol.messages import ToolCall
from goose_py.protocol.modes import Mode
from goose_py.protocol.tools import ToolSpec

SHELL = ToolSpec(name="developer__shell", description="", input_schema={}, extension="developer", trusted=True)


def judge(command: str, mode: Mode = "ask", rules: tuple[Rule, ...] = (), **place: object) -> Decision:
    facts = Place(**{"workspace": "/w", "home": "/home/u", "sandbox": "full", **place})
    return decide(ToolCall(id="1", name=SHELL.name, arguments={"command": command}), SHELL, rules, mode, facts)


@pytest.mark.parametrize(
    ("command", "effect"),
    [
        ("cat a --", "read"), ("cat -- -x", "read"), ("sort -k2 -n a", "read"), ("sort --reverse a", "read"),
        ("sort -- -o", "read"), ("sort -o a b", "unknown"), ("sort --outp=a b",
        "unknown"), ("sort --compress-program=x a", "unknown"),
        ("sort -T /x a", "unknown"), ("shuf a", "read"), ("shuf -o a b", "unknown"), ("diff -u a b",
        "read"), ("diff --pag a b", "unknown"),
        ("tree -L 2", "read"), ("tree -R", "unknown"), ("rg --pre-glob x a", "read"), ("rg --pre=x a",
        "unknown"), ("rg -nz a", "unknown"),
        ("file a", "read"), ("file -C", "unknown"), ("uniq -c a", "read"), ("uniq a b", "unknown"), ("xxd a", "read"),
        ("xxd -l 3 a", "read"), ("xxd -r a", "unknown"), ("hostname", "read"), ("hostname x",
        "unknown"), ("date +%s", "read"),
        ("date -d yesterday", "read"), ("date 010203042020", "unknown"), ("date --set x", "unknown"), ("printf %s x", "read"),
        ("printf -v x y", "unknown"), ("printf", "read"), ("cd", "read"), ("cd x", "read"), ("cd -",
        "unknown"), ("cd a b", "unknown"),
        ("cd ''", "unknown"), ("sed -n 3p a", "read"), ("sed -n '3,$p' a b", "read"), ("sed -n 3p",
        "read"), ("sed -n 3p -i", "unknown"),
        ("sed 3p a", "unknown"), ("sed", "unknown"), ("find -O3 . -name '*.py' -newermt 2020-01-01 -mtime -3", "read"),
        ("find . '(' -name a -o -name b ')' -print0", "read"), ("find . -delete", "unknown"), ("find . -newerXX a", "unknown"),
        ("mkdir -p a/b", "write"), ("mkdir -m 777 a", "unknown"), ("mkdir", "read"), ("touch -- -a",
        "write"), ("touch -d x a", "unknown"),
        ("tee -a a -", "write"), ("cp -r a b", "write"), ("cp --remove-destination a b", "unknown"), ("mv a b", "write"),
        ("mv --backup a b", "unknown"), ("rm -rf a", "write"), ("rm --no-preserve-root a",
        "unknown"), ("python --version", "read"),
        ("python3 -V", "read"), ("python x.py", "unknown"), ("npm --version", "unknown"), ("awk 1 a",
        "unknown"), ("env", "unknown"),
        ("basename a -x", "read"), ("cat --version", "read"), ("xxd -y a", "unknown"), ("[ -f a ]", "read"),
        ("strings @a", "unknown"), ("strings a", "read"),
        ("[ -f a", "unknown"),
        ("grep --file=/x a", "read"), ("grep -f/x a", "read"), ("ls -la", "read"),
    ],
)  # fmt: skip
def test_programs_are_known_by_their_arguments(command: str, effect: str) -> None:
    found = assess(tuple(shlex.split(command)))
    assert found.effect == effect
    assert bool(found.reason) is (effect == "unknown")


def test_a_command_that_was_seen_to_write_is_judged_as_one() -> None:
    call = ToolCall(id="1", name=SHELL.name, arguments={"command": "cd a && git diff"})
    place = Place(workspace="/w", home="/home/u", sandbox="full")
    verdicts = {}
    for mode in ("ask", "auto", "plan"):
        decision = decide(call, SHELL, (), mode, place, writes=True)
        verdicts[mode] = decision.verdict
        assert not decision.reads_only and decide(call, SHELL, (), mode, place).reads_only
    assert verdicts == {"ask": "ask", "auto": "allow", "plan": "deny"}
    asked = decide(call, SHELL, (), "ask", place, writes=True)
    assert (asked.cause, asked.patterns) == ("git diff", ("git diff",)) and "wanted to change" in asked.reason


@pytest.mark.case("S07")
def test_while_a_rule_hides_paths_what_may_show_them_unnamed_is_asked_about() -> None:
    rules = parse_rule({"verdict": "deny", "pattern": "read: **/.env"})
    for command in ("git show :.env", "git log -p", "git log -U3", "git diff", "git grep X", "cat .e*", "git cat-file -p x"):
        assert judge(command, rules=rules).verdict == "ask", command
        assert judge(command, "plan", rules).verdict == "deny", command
        assert judge(command).verdict == "allow", command
    for command in ("git log --stat", "git status", "cat a", "git branch"):
        assert judge(command, rules=rules).verdict == "allow", command
    granted = (*rules, *parse_rule({"verdict": "allow", "pattern": "git diff"}))
    assert judge("git diff", rules=granted).verdict == "allow"
    assert judge("make *", rules=rules).reason == judge("make *").reason


def test_what_is_read_written_and_entered_is_told_apart() -> None:
    assert assess(("cp", "a", "b", "c")).reads == ("a", "b")
    assert assess(("cp", "a", "b", "c")).writes == ("c",)
    assert assess(("mv", "a", "b")).writes == ("a", "b")
    assert assess(("grep", "--file=/x", "-f/y", "-n", "p", "--", "-z")).reads == ("/x", "/y", "p", "-z")
    assert assess(("cd",)).moves_to == "~"
    assert assess(("cd", "x")).moves_to == "x"
    assert assess(("find", "a", "-name", "b")).reads == ("a", "b")


@pytest.mark.parametrize(
    ("command", "effect"),
    [
        ("git log", "read"), ("git", "unknown"), ("git --no-pager -C sub log --stat", "read"), ("git -c a=b log", "unknown"),
        ("git --git-dir x log", "unknown"), ("git -p log", "unknown"), ("git --bare log",
        "unknown"), ("git log --text", "read"),
        ("git log --output=x", "unknown"), ("git log --o=x", "unknown"), ("git diff --ext",
        "unknown"), ("git log -- --output=x", "read"),
        ("git log --help", "unknown"), ("git grep -n x", "read"), ("git grep -On x",
        "unknown"), ("git grep --open x", "unknown"),
        ("git fetch", "unknown"), ("git ls-remote", "unknown"), ("git commit -m x", "unknown"), ("git branch", "read"),
        ("git branch -vv --sort=x", "read"), ("git branch x", "unknown"), ("git branch --contains x",
        "read"), ("git branch -l x", "unknown"),
        ("git branch -m x", "unknown"), ("git branch --edit-description", "unknown"), ("git tag",
        "read"), ("git tag -l 'v*'", "read"),
        ("git tag v1", "unknown"), ("git tag -a v1", "unknown"), ("git tag -n5", "read"), ("git config --get a.b", "read"),
        ("git config get a.b", "read"), ("git config -l --show-origin --type=int", "read"), ("git config a.b c", "unknown"),
        ("git config a.b list", "unknown"), ("git config --get a.b --unset", "unknown"), ("git remote",
        "read"), ("git remote -v", "read"),
        ("git remote add a b", "unknown"), ("git remote get-url a", "read"), ("git stash list",
        "read"), ("git stash", "unknown"),
        ("git reflog", "read"), ("git reflog expire", "unknown"), ("git worktree list",
        "read"), ("git worktree add x", "unknown"),
        ("git symbolic-ref --short HEAD", "read"), ("git symbolic-ref HEAD x",
        "unknown"), ("git symbolic-ref -d HEAD", "unknown"),
        ("git log --format=%G?", "unknown"), ("git branch --format='%(signature:key)'", "unknown"),
        ("git cat-file --filters x", "unknown"), ("git archive HEAD", "unknown"),
    ],
)  # fmt: skip
def test_git_reads_only_in_the_forms_that_were_checked(command: str, effect: str) -> None:
    assert assess_git(tuple(shlex.split(command))).effect == effect


def test_git_is_taken_apart_even_where_words_are_unknown() -> None:
    call = take_apart(("git", "-C", "a", "-C", None, "-c", "x=y", "--bare", None, "b"))
    assert (call.folders, call.options, call.subcommand, call.arguments) == (("a", ""), ("-c", "--bare"), None, ("b",))
    assert take_apart(("git", "-C")).subcommand == ""


@pytest.mark.parametrize(
    "words",
    [
        (), (None, "x"), ("rm",), ("rm", "-rf"), ("git",), ("git", "log"), ("fd", "x"), ("rsync", "-a", "x",
        "y"), ("dd", "if=x"),
        ("ls", "-delete"), ("git", "switch", "x"), ("git", "stash", "show"), ("git", "tag"), ("git",
        "checkout", "--orphan", "x"),
    ],
)  # fmt: skip
def test_what_destroys_nothing_is_not_called_destructive(words: tuple[str | None, ...]) -> None:
    assert destruction(words, lambda path: False) is None


@pytest.mark.parametrize(
    "words",
    [
        ("rm", None), ("rm", "*.py"), ("rm", "~"), ("git", None, "--hard"), ("git", "reset", None), ("git", "switch", None),
        ("git", "restore", "--staged", None), ("git", "clean", "-n", None), ("git", "worktree", None), ("git",
        "checkout", None),
        ("git", "rm", "--cached", None),
    ],
)  # fmt: skip
def test_an_unknown_word_is_taken_for_the_worst(words: tuple[str | None, ...]) -> None:
    found = destruction(words, lambda path: False)
    assert found is not None and found.files is None


def test_overwriting_a_stream_destroys_nothing() -> None:
    assert judge("dd if=/dev/zero of=/dev/null").snapshot_first is False
    assert judge("dd if=/dev/zero of=disk").snapshot_first is True


def test_programs_that_only_the_shell_knows_are_asked_about_in_auto_mode_too() -> None:
    for command in ("$CMD x", "sudo $X", 'bash -c "$x"', "xargs $CMD", 'eval "$x"', "env $X", "{rm,x}"):
        assert judge(command, "auto").verdict == "ask", command
    assert judge("echo $HOME && ls *.py", "auto").verdict == "allow"
    assert judge("for f in *.py; do echo $f; done", "auto").verdict == "allow"


@pytest.mark.case("P15")
def test_a_quotation_that_is_never_closed_is_told_by_bash_where_nothing_can_be_changed() -> None:
    slip = judge("git commit -m 'one\ntwo", "auto")
    assert slip.verdict == "allow" and slip.reads_only
    for more in ("touch x\necho 'y", "echo 'a\nb'; touch x\necho 'y"):
        assert judge(more, "ask").verdict == "ask", more


def test_a_possible_match_of_a_denied_command_is_asked_about_in_every_mode() -> None:
    denied = parse_rule({"verdict": "deny", "pattern": "git push *"})
    for mode in ("ask", "auto"):
        decision = judge("git $VERB origin; true", mode, denied)
        assert decision.verdict == "ask"
        assert "It could be “git push *”." in [part.reason for part in decision.parts]
    assert judge("git $VERB origin", "plan", denied).verdict == "deny"


def test_rules_that_ask_are_obeyed_in_auto_mode_and_offer_no_grant() -> None:
    asked = parse_rule({"verdict": "ask", "pattern": "git push", "reason": "Pushes are made by people."})
    decision = judge("ls && git push origin", "auto", asked)
    assert (decision.verdict, decision.reason, decision.cause) == ("ask", "Pushes are made by people.", "git push origin")
    assert decision.patterns == ()
    assert judge("git push", "plan", asked).verdict == "deny"


def test_rules_about_paths_hold_for_shell_commands() -> None:
    rules = (
        *parse_rule({"verdict": "allow", "pattern": "write: /data/**"}),
        *parse_rule({"verdict": "deny", "pattern": "read: /w/private/**"}),
        *parse_rule({"verdict": "ask", "pattern": "write: /w/generated/**"}),
    )
    assert judge("echo x > /data/out", rules=rules).verdict == "allow"
    assert judge("cat private/x", rules=rules).verdict == "deny"
    assert judge("cd private && cat x", rules=rules).verdict == "deny"
    assert judge("cat < private/x", rules=rules).verdict == "deny"
    assert judge("touch generated/x", "auto", rules).verdict == "ask"
    assert judge("touch generated/x", "plan", rules).verdict == "deny"
    assert judge("cat a", rules=rules).verdict == "allow"


def test_secrets_by_name_are_asked_about_wherever_they_are_named() -> None:
    for command in ("cat .env", "grep KEY < config/.env", "head id_rsa", "cp .env x"):
        decision = judge(command, "auto")
        assert (decision.verdict, decision.patterns) == ("ask", decision.patterns), command
        assert "secrets" in decision.reason
    assert judge("cat .env.example").verdict == "allow"


def test_a_written_place_that_is_protected_asks_and_is_never_granted() -> None:
    rules = parse_rule({"verdict": "allow", "pattern": ["write: /**", "tool: *"]})
    for command in ("echo x > .git/config", "touch sub/.GIT/x", "cp a .goose/x", "mv .git old", "echo $x > .git/config"):
        decision = judge(command, "auto", rules)
        assert (decision.verdict, decision.patterns) == ("ask", ()), command


def test_streams_are_no_files() -> None:
    assert judge("ls > /dev/null 2> /dev/stderr", sandbox="partial").verdict == "allow"
    assert judge("for x in 1; do ls > /dev/null; done", "auto").verdict == "allow"


def test_where_a_command_may_run_is_followed_through_cd() -> None:
    assert judge("cd sub && touch ../x").verdict == "ask", "the cd may fail, and then ../x is outside"
    assert judge("cd sub && touch x").verdict == "allow"
    assert judge("cd / && cat x", sandbox="partial").verdict == "ask"
    many = " && ".join(f"cd d{number}" for number in range(12))
    assert judge(f"{many} && rm x", created=frozenset({"/w/x"})).snapshot_first


def test_environment_and_identity_come_before_the_tables() -> None:
    assert judge("LC_ALL=C TZ=UTC ls").verdict == "allow"
    for command in ("PAGER=x git log", "LC_ALL=../x ls", "LANG='a b' ls", "A=1 ls"):
        assert judge(command).verdict == "ask", command
    assert judge("nothing", which=lambda name: None).reason == "There is no program “nothing” here."
    elsewhere = judge("ls", which=lambda name: "/home/u/bin/ls")
    assert elsewhere.reason == "“ls” is /home/u/bin/ls here, which is not a system program."
    assert judge("/usr/bin/ls").verdict == "allow"
    assert judge("/ls").verdict == "ask"
    assert judge("echo hi && cd x && pwd", which=lambda name: None).verdict == "allow"


def test_a_rule_does_not_allow_what_the_agent_could_have_planted() -> None:
    rules = parse_rule({"verdict": "allow", "pattern": ["tool2 *", "./run *"]})
    assert judge("tool2 x", rules=rules, which=lambda name: "/home/u/bin/tool2").verdict == "allow"
    planted = judge("tool2 x", rules=rules, which=lambda name: "/w/.venv/bin/tool2")
    assert (planted.verdict, planted.patterns) == ("ask", ('script: "tool2 x"',))
    assert judge("./run x", rules=rules).verdict == "allow"
    assert judge("A=1 tool2 x", rules=rules).verdict == "ask"
    exact = parse_rule({"verdict": "allow", "pattern": ['script: "A=1 tool2 x"']})
    assert judge("A=1 tool2 x", rules=exact).verdict == "allow"
    assert judge("ls && A=1 tool2 x", rules=exact).verdict == "allow"
    assert judge("A=1 tool2 y", rules=exact).verdict == "ask"


def test_a_tool_that_is_allowed_as_such_runs_every_command_but_what_is_gated() -> None:
    rules = parse_rule({"verdict": "allow", "pattern": "tool: developer__shell"})
    for command in ("make", "A=1 make", "for f in *; do echo $f; done", "echo $(ls)"):
        assert judge(command, rules=rules).verdict == "allow", command
    for command in ("rm x", "echo x > /etc/passwd", "cat <<E > ~/x\nE\n"):
        assert judge(command, rules=rules).verdict == "ask", command


def test_scripts_within_scripts_are_followed_to_a_limit() -> None:
    command = "curl x"
    for _ in range(12):
        command = f"sh -c {shlex.quote(command)}"
    assert judge(command, "auto").verdict == "deny"
    assert "nests too many shells" in judge("eval " * 12 + "'ls x'", "auto").reason
    assert judge("env " * 300 + "ls " * 300, "auto").verdict in ("allow", "ask")
    assert judge("env a; " * 510 + "xargs " + "a " * 4000, "auto").verdict == "deny"


def test_an_empty_command_does_nothing() -> None:
    assert judge("").verdict == "allow"
    assert judge("  \n").verdict == "allow"


def test_the_cause_is_never_longer_than_a_screen_line_or_two() -> None:
    assert len(judge("echo $(" + "x" * 5000 + ")").cause) <= 200
    assert len(judge("x" * 5000).reason) <= 500


def test_without_the_wanted_sandbox_a_denied_command_stays_denied() -> None:
    denied = parse_rule({"verdict": "deny", "pattern": "curl"})
    assert judge("curl x", rules=denied, sandbox="none").verdict == "deny"
    assert judge("make", sandbox="none").reason == "“make” is not one of the commands known to change nothing."
    assert judge("ls", sandbox="none").reason == "There is no sandbox of level “partial” here."
