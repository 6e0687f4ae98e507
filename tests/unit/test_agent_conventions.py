"""Which AGENTS.md apply, what they import, and what they can never reach."""

import os

import pytest
from event_logs import numbered

from goose_py.agent.conventions import MAX_FILE, MAX_TOTAL, Conventions, conventions_in, touched_paths
from goose_py.protocol import events as ev
from goose_py.protocol.messages import ToolCall

NAMES = ("AGENTS.md", ".goosehints")


def write(root, **files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def root(tmp_path):
    top = tmp_path / "repo"
    top.mkdir()
    return top


def initial(root, **options):
    return Conventions(root, NAMES, **options).initial([], root)


def test_global_files_come_first_and_then_the_nearest(root, tmp_path):
    write(tmp_path, **{"home.md": "mine"})
    write(root, **{"AGENTS.md": "top", "a/AGENTS.md": "middle", "a/b/AGENTS.md": "near", "c/AGENTS.md": "aside"})
    said = Conventions(root, NAMES).initial([tmp_path / "absent.md", tmp_path / "home.md"], root / "a" / "b")
    assert [line for line in said.splitlines() if line in ("mine", "top", "middle", "near", "aside")] == [
        "mine",
        "near",
        "middle",
        "top",
    ]
    assert "Conventions of this project (a/b/AGENTS.md):\nnear" in said


def test_a_global_file_may_be_a_link(root, tmp_path):
    write(tmp_path, **{"dotfiles/agents.md": "mine"})
    (tmp_path / "AGENTS.md").symlink_to(tmp_path / "dotfiles" / "agents.md")
    assert "mine" in Conventions(root, NAMES).initial([tmp_path / "AGENTS.md"], root)


def test_a_deeper_folder_is_said_once_when_something_in_it_is_touched(root):
    write(root, **{"AGENTS.md": "top", "sub/AGENTS.md": "deep", "sub/.goosehints": "hints", "sub/x.py": ""})
    conventions = Conventions(root, NAMES)
    conventions.initial([], root)
    said = conventions.nested("sub/x.py")
    assert "deep" in said and "hints" in said and "top" not in said
    assert conventions.nested("sub/x.py") == conventions.nested("sub") == conventions.nested(str(root / "sub/x.py")) == ""


def test_a_folder_that_comes_into_being_later_is_read_then(root):
    conventions = Conventions(root, NAMES)
    assert conventions.nested("later/x.py") == ""
    write(root, **{"later/AGENTS.md": "now"})
    assert "now" in conventions.nested("later/x.py")


def test_a_resumed_session_says_again_only_what_has_changed(root):
    write(root, **{"AGENTS.md": "top", "same/AGENTS.md": "as it was", "other/AGENTS.md": "before"})
    first = Conventions(root, NAMES)
    log = numbered(
        [
            ev.ContextAdded(source="conventions", text=first.initial([], root)),
            ev.ContextAdded(source="conventions", text=first.nested("same/x") + "\n\n" + first.nested("other/x")),
            ev.ContextAdded(source="check", text="as it was"),
        ]
    )
    write(root, **{"other/AGENTS.md": "after"})
    resumed = Conventions(root, NAMES, known=conventions_in(log))
    assert resumed.nested("same/x") == ""
    assert resumed.nested("other/x").endswith("after")


def test_imports_are_read_three_deep_each_once_and_not_in_a_circle(root):
    write(
        root,
        **{
            "AGENTS.md": "see @docs/one.md and @docs/one.md, mail me@example.org, `@code.md`",
            "docs/one.md": "one @two.md @one.md",
            "docs/two.md": "two @three.md",
            "docs/three.md": "three @four.md @../AGENTS.md",
            "docs/four.md": "four",
            "code.md": "quoted",
        },
    )
    said = initial(root)
    assert [said.count(f"Imported from docs/{name}.md") for name in ("one", "two", "three", "four")] == [1, 1, 1, 0]
    assert "quoted" not in said


@pytest.mark.parametrize("target", ["@../secret.md", "@/etc/passwd", "@link.md", "@linked/secret.md", "@.git/config.txt"])
def test_nothing_outside_the_root_is_imported(root, tmp_path, target):
    write(tmp_path, **{"secret.md": "SECRET"})
    write(root, **{"AGENTS.md": f"read {target}", ".git/config.txt": "SECRET"})
    (root / "link.md").symlink_to(tmp_path / "secret.md")
    (root / "linked").symlink_to(tmp_path)
    assert "SECRET" not in initial(root) and "root:" not in initial(root)


def test_a_convention_file_that_is_a_link_out_of_the_root_is_not_read(root, tmp_path):
    write(tmp_path, **{"secret.md": "SECRET"})
    (root / "AGENTS.md").symlink_to(tmp_path / "secret.md")
    assert initial(root) == ""


def test_a_link_within_the_root_is_followed_and_its_target_said_once(root):
    write(root, **{"CLAUDE.md": "ours"})
    (root / "AGENTS.md").symlink_to("CLAUDE.md")
    assert Conventions(root, ("AGENTS.md", "CLAUDE.md")).initial([], root).count("ours") == 1


def test_what_git_ignores_is_not_imported(root):
    write(root, **{"AGENTS.md": "@secret.env.txt @open.md", "secret.env.txt": "SECRET", "open.md": "open"})
    said = initial(root, ignored=lambda path: path == "secret.env.txt")
    assert "open" in said and "SECRET" not in said


@pytest.mark.parametrize("path", ["", "../outside/x", "/etc/hosts", "a\0b", "x" * 5000, "~/x", "AGENTS.md/below"])
def test_odd_paths_bring_nothing_and_break_nothing(root, path):
    assert Conventions(root, NAMES).nested(path) == ""


def test_things_that_are_no_files_are_passed_over(root):
    os.mkfifo(root / "AGENTS.md")
    (root / ".goosehints").mkdir()
    assert initial(root) == ""


def test_a_huge_file_is_cut_and_odd_bytes_are_letters(root):
    (root / "AGENTS.md").write_bytes(b"\xff" + b"x" * (2 * MAX_FILE))
    said = initial(root)
    assert "\u00ff" in said and MAX_FILE - 100 < len(said) < MAX_FILE + 200


def test_a_file_with_many_imports_is_cut_as_a_whole(root):
    for number in range(10):
        write(root, **{f"part{number}.md": "y" * (MAX_FILE - 10)})
    write(root, **{"AGENTS.md": " ".join(f"@part{number}.md" for number in range(10))})
    assert len(initial(root)) == MAX_TOTAL


@pytest.mark.parametrize(
    ("arguments", "paths"),
    [
        ({"path": "src/a.py"}, ["src/a.py"]),
        ({"path": ""}, []),
        ({"path": 5}, []),
        ({"command": "sed -n 1,5p pkg/mod/x.py | head"}, ["pkg/mod/x.py"]),
        ({"command": "ls"}, []),
        ({}, []),
    ],
)
def test_the_paths_that_a_call_names(arguments, paths):
    assert touched_paths(ToolCall(id="a", name="x", arguments=arguments)) == paths
