"""What people answered, kept: grants and trust."""

import os
import resource
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from goose_py.permissions.decide import decide
from goose_py.permissions.decision import Place
from goose_py.permissions.grants import GrantStore, fold, rules_of
from goose_py.permissions.record_file import RecordFile
from goose_py.permissions.trust import TrustStore, canonical, difference, fingerprint, identify
from goose_py.protocol.errors import UserError
from goose_py.protocol.messages import ToolCall
from goose_py.protocol.tools import ToolSpec

REPOSITORY = "github.com/someone/project"


@pytest.fixture
def numbers() -> Callable[[], str]:
    counter = count(1)
    return lambda: f"g{next(counter)}"


@pytest.fixture
def store(tmp_path: Path, numbers: Callable[[], str]) -> GrantStore:
    return GrantStore(tmp_path / "state" / "grants.jsonl", lambda: 1000.0, numbers)


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def asks(store: GrantStore, command: str, repository: str = REPOSITORY, task: str = "t1", workspace: str = "/w/t1") -> bool:
    spec = ToolSpec(name="developer__shell", description="", input_schema={}, extension="developer", trusted=True)
    place = Place(workspace=workspace, home="/home/u", sandbox="full")
    rules = rules_of(store.standing(), repository, task, workspace)
    return decide(ToolCall(id="1", name=spec.name, arguments={"command": command}), spec, rules, "ask", place).verdict == "ask"


@pytest.mark.case("U12")
def test_the_same_command_never_asks_twice_also_in_a_new_worktree_of_the_repository(store: GrantStore) -> None:
    spec = ToolSpec(name="developer__shell", description="", input_schema={}, extension="developer", trusted=True)
    place = Place(workspace="/w/t1", home="/home/u", sandbox="full")
    for command in (
        "npm test --x",
        "make && cargo build | tee log",
        "for f in *; do echo $f; done",
        "FOO=1 make",
        "./gradlew x",
    ):
        assert asks(store, command)
        call = ToolCall(id="1", name=spec.name, arguments={"command": command})
        store.grant(decide(call, spec, (), "ask", place).patterns, "project", repository=REPOSITORY, tool=spec.name)
        assert not asks(store, command)
        assert not asks(store, command, task="t2", workspace="/w/t2")
        assert asks(store, command, repository="github.com/someone/else")


@pytest.mark.case("S08")
@pytest.mark.parametrize(
    ("command", "exact", "wider", "another"),
    [
        ("npm run test", "npm run test", "npm run test *", "npm run test --script-shell=./evil"),
        ("make && pytest -q", "make\npytest -q", "make\npytest *", "pytest -q -p evil"),
        ("git push origin x", "git push origin x", "git push *", "git push origin y"),
    ],
)
def test_what_is_offered_is_exactly_what_was_asked_and_wider_is_a_choice_beside(
    store: GrantStore, command: str, exact: str, wider: str, another: str
) -> None:
    spec = ToolSpec(name="developer__shell", description="", input_schema={}, extension="developer", trusted=True)
    place = Place(workspace="/w/t1", home="/home/u", sandbox="full")
    decision = decide(ToolCall(id="1", name=spec.name, arguments={"command": command}), spec, (), "ask", place)
    assert decision.patterns == tuple(exact.split("\n")) and decision.wider == tuple(wider.split("\n"))
    store.grant(decision.patterns, "project", repository=REPOSITORY)
    assert not asks(store, command) and asks(store, another)
    store.grant(decision.wider, "project", repository=REPOSITORY)
    assert not asks(store, another)


@pytest.mark.case("S08")
def test_where_nothing_covers_more_nothing_wider_is_offered() -> None:
    spec = ToolSpec(name="developer__shell", description="", input_schema={}, extension="developer", trusted=True)
    place = Place(workspace="/w/t1", home="/home/u", sandbox="full")
    for command in ("./gradlew x", "FOO=1 make", "cat .env", "rm f", "for f in *; do x; done"):
        assert decide(ToolCall(id="1", name=spec.name, arguments={"command": command}), spec, (), "ask", place).wider == ()


@pytest.mark.case("S17")
def test_a_grant_of_a_path_holds_in_every_worktree_of_the_repository(store: GrantStore) -> None:
    spec = ToolSpec(name="developer__shell", description="", input_schema={}, extension="developer", trusted=True)
    place = Place(workspace="/w/t1", home="/home/u", sandbox="full")
    decision = decide(ToolCall(id="1", name=spec.name, arguments={"command": "cat a/.env"}), spec, (), "ask", place)
    assert decision.patterns == ("read: ./a/.env",)
    store.grant(decision.patterns, "project", repository=REPOSITORY)
    assert not asks(store, "cat a/.env") and not asks(store, "cat a/.env", task="t2", workspace="/w/t2")
    assert asks(store, "cat .env") and asks(store, "cat a/.env", repository="other")
    outside = decide(ToolCall(id="1", name=spec.name, arguments={"command": "cat /srv/.env"}), spec, (), "ask", place)
    assert outside.patterns == ("read: /srv/.env",)


@pytest.mark.case("U12")
def test_a_grant_reaches_as_far_as_its_scope(store: GrantStore) -> None:
    store.grant(["make one"], "task", task="t1", repository=REPOSITORY)
    store.grant(["make two"], "project", task="t1", repository=REPOSITORY)
    store.grant(["make three"], "always", task="t1", repository=REPOSITORY)
    asking = [
        [asks(store, f"make {name}", repository, task) for name in ("one", "two", "three")]
        for repository, task in ((REPOSITORY, "t1"), (REPOSITORY, "t2"), ("other", "t3"))
    ]
    assert asking == [[False, False, False], [True, False, False], [True, True, False]]


@pytest.mark.case("U12")
def test_what_was_granted_is_listed_with_pattern_scope_and_lifetime_and_revoked(store: GrantStore) -> None:
    store.grant(["npm   test *", "tool: github__*"], "project", repository=REPOSITORY)
    store.grant(["ls"], "task", task="t1")
    store.grant(["pwd"], "always")
    assert [grant.describe() for grant in store.standing()] == [
        f"npm test *  (in every worktree of {REPOSITORY}, until revoked)",
        f"tool: github__*  (in every worktree of {REPOSITORY}, until revoked)",
        "ls  (in task t1, until it ends)",
        "pwd  (in every project, until revoked)",
    ]
    assert [grant.id for grant in store.revoke("g1")] == ["g1"]
    assert [grant.pattern for grant in store.revoke("tool: github__*")] == ["tool: github__*"]
    assert [grant.pattern for grant in store.standing()] == ["ls", "pwd"]
    assert asks(store, "npm test")
    with pytest.raises(UserError, match="no grant 'g1'"):
        store.revoke("g1")


def test_a_grant_that_cannot_be_kept_is_refused_before_anything_is_kept(store: GrantStore) -> None:
    with pytest.raises(UserError, match="names no program"):
        store.grant(["ls", "*"], "always")
    with pytest.raises(UserError, match="which project it is"):
        store.grant(["ls"], "project")
    with pytest.raises(UserError, match="which task it is"):
        store.grant(["ls"], "task")
    assert store.standing() == ()


def test_a_grant_never_lifts_a_deny_or_the_gate_before_destructive_work(store: GrantStore) -> None:
    store.grant(["git *", "tool: *", "extension: *"], "always")
    assert asks(store, "git reset --hard")
    assert not asks(store, "git fetch")


def test_records_that_are_not_understood_mean_only_one_more_question() -> None:
    good = {"record": "granted", "id": "a", "pattern": "ls", "scope": "always"}
    records = [
        good, {**good, "id": "b", "scope": "forever"}, {**good, "id": ""}, {**good, "id": "c",
        "pattern": "*"}, {"record": "x"}, {},
        {**good, "id": 5}, {"record": "granted"}, {"record": "revoked", "id": "unknown"},
    ]  # fmt: skip
    assert [grant.id for grant in fold(records)] == ["a"]


@pytest.mark.case("A39")
@pytest.mark.usefixtures("open_umask")
def test_the_files_are_private_under_an_open_umask(store: GrantStore, tmp_path: Path) -> None:
    store.grant(["ls"], "always")
    assert (tmp_path / "state" / "grants.jsonl").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    (tmp_path / "state" / "grants.jsonl").chmod(0o644)
    store.grant(["ls"], "always")
    assert (tmp_path / "state" / "grants.jsonl").stat().st_mode & 0o777 == 0o600


def test_a_torn_record_costs_only_itself(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / "records")
    file.add({"a": 1})
    whole = file.path.read_bytes()
    for cut in range(len(whole)):
        file.path.write_bytes(whole + whole[:cut])
        file.add({"a": 2})
        assert file.read()[0] == {"a": 1} and file.read()[-1] == {"a": 2}
    file.path.write_bytes(b'{"a": 1}\nnot json\n[1]\n"x"\n\xff\xfe\n\n{"a": 2}\n')
    assert file.read() == ({"a": 1}, {"a": 2})


def test_a_file_that_cannot_be_read_or_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        RecordFile(tmp_path / "folder").read()
    with pytest.raises(UserError, match="cannot be written"):
        RecordFile(tmp_path / "folder").add({})
    with pytest.raises(UserError, match="cannot be written"):
        RecordFile(tmp_path / "link").add({})
    with pytest.raises(UserError, match="cannot be written"):
        RecordFile(tmp_path / "file" / "x").add({})


def test_a_record_that_does_not_fit_leaves_nothing_of_itself(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / "records")
    file.add({"a": 1})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, before[1]))
    try:
        with pytest.raises(UserError, match="cannot be written: No space left on device"):
            file.add({"text": "x" * 200})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert file.path.read_bytes() == b'{"a":1}\n'


# Trust.

SERVER = {"argv": ["npx", "fmt"], "env": {"A": "1"}, "cwd": "."}


@pytest.fixture
def trust(tmp_path: Path) -> TrustStore:
    return TrustStore(tmp_path / "state" / "trust.jsonl", lambda: 1000.0)


@pytest.mark.case("A25")
def test_nothing_of_a_folder_may_run_before_it_is_trusted(trust: TrustStore, tmp_path: Path) -> None:
    folder = identify(tmp_path)
    trust.approve(folder, "fmt", SERVER)
    assert not trust.trusts(folder)
    assert trust.approved(folder) == frozenset()
    assert not trust.question(folder, "fmt", SERVER).approved
    trust.trust(folder)
    assert trust.approved(folder) == {fingerprint(SERVER)}
    assert trust.question(folder, "fmt", SERVER).approved
    # Trust alone approves nothing.
    assert not trust.question(folder, "other", {"argv": ["x"]}).approved
    trust.distrust(folder)
    trust.trust(folder)
    assert trust.approved(folder) == frozenset()


@pytest.mark.case("A27")
@pytest.mark.parametrize(
    "changed",
    [
        {**SERVER, "argv": ["npx", "fmt", "--x"]},
        {**SERVER, "env": {"A": "2"}},
        {**SERVER, "env": {"A": "1", "LD_PRELOAD": "x"}},
        {**SERVER, "cwd": ".."},
        {**SERVER, "url": "https://e"},
    ],
)
def test_any_change_of_what_runs_asks_again_with_a_diff(trust: TrustStore, tmp_path: Path, changed: dict[str, object]) -> None:
    folder = identify(tmp_path)
    trust.trust(folder)
    first = trust.question(folder, "fmt", SERVER)
    assert (first.approved, first.changed) == (False, "")
    trust.approve(folder, "fmt", SERVER)
    question = trust.question(folder, "fmt", changed)
    assert not question.approved
    assert any(line.startswith("+ ") for line in question.changed.splitlines())
    trust.approve(folder, "fmt", question.content)
    assert trust.question(folder, "fmt", changed).approved
    # The earlier form was replaced, so going back to it asks too.
    assert not trust.question(folder, "fmt", SERVER).approved


def test_the_order_of_keys_and_the_name_are_no_change(trust: TrustStore, tmp_path: Path) -> None:
    folder = identify(tmp_path)
    trust.trust(folder)
    trust.approve(folder, "fmt", SERVER)
    again = dict(reversed(SERVER.items()))
    assert trust.question(folder, "renamed", again).approved
    assert fingerprint(again) == fingerprint(canonical(SERVER)) == trust.question(folder, "fmt", SERVER).sha256
    assert difference(canonical(SERVER), canonical(again)) == ""


@pytest.mark.case("A24")
def test_trust_is_of_the_folder_itself_and_not_of_what_its_files_say(trust: TrustStore, tmp_path: Path) -> None:
    trusted, spoof = tmp_path / "trusted", tmp_path / "spoof"
    (trusted / ".git").mkdir(parents=True)
    spoof.mkdir()
    (spoof / ".git").write_text(f"gitdir: {trusted}/.git\n")
    (spoof / "commondir").write_text(f"{trusted}/.git\n")
    trust.trust(identify(trusted))
    assert not trust.trusts(identify(spoof))
    # A symlink is the folder that it leads to.
    (tmp_path / "link").symlink_to(trusted)
    assert trust.trusts(identify(tmp_path / "link"))
    # Another folder at the same place is another folder.
    trusted.rename(tmp_path / "moved")
    trusted.mkdir()
    assert not trust.trusts(identify(trusted))
    assert not trust.trusts(identify(tmp_path / "moved"))


def test_an_approval_whose_content_was_edited_in_the_file_does_not_count(trust: TrustStore, tmp_path: Path) -> None:
    folder = identify(tmp_path)
    trust.trust(folder)
    trust.approve(folder, "fmt", SERVER)
    file = tmp_path / "state" / "trust.jsonl"
    file.write_text(file.read_text().replace("npx", "evil").replace('"record":"trusted"', '"record":"trusted"'))
    assert trust.approved(folder) == frozenset()
    file.write_text(file.read_text() + '{"record": "odd", "path": "' + folder.path + '"}\n')
    assert trust.trusts(folder)


def test_a_folder_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be looked at: No such file"):
        identify(tmp_path / "none")
