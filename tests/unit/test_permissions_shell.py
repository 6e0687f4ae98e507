"""The two readings of shell text. What strict acceptance means against real Bash is proven by the fuzz in tests/behaviour."""

import pytest

from goose_py.permissions.shell import (
    MAX_COMMANDS,
    Command,
    Redirect,
    Refusal,
    TooMuch,
    find_commands,
    find_targets,
    parse,
    read_script,
)


def read(text: str) -> tuple[Command, ...] | Refusal:
    return read_script(text, parse(text))


def argvs(text: str) -> list[tuple[str, ...]]:
    commands = read(text)
    assert isinstance(commands, tuple), commands
    return [command.argv for command in commands]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("ls", [("ls",)]),
        ("ls -la 'a b' \"c d\"e", [("ls", "-la", "a b", "c de")]),
        ("t\"\"ouch 'p'", [("touch", "p")]),
        ("a && b || c; d | e |& f & g\nh", [("a",), ("b",), ("c",), ("d",), ("e",), ("f",), ("g",), ("h",)]),
        ('grep "a\\|b" "c\\\\d" "e\\"f"', [("grep", "a\\|b", "c\\d", 'e"f')]),
        ("git log --format='%h %s' HEAD~1 HEAD^", [("git", "log", "--format=%h %s", "HEAD~1", "HEAD^")]),
        ("echo 'é' \"naïve\"", [("echo", "é", "naïve")]),
        ("echo ''", [("echo", "")]),
        ("echo a#b 1 0x1f -5", [("echo", "a#b", "1", "0x1f", "-5")]),
        ("echo 'a\nb'", [("echo", "a\nb")]),
        ("echo 'a'^b 'a'#b 'a'#", [("echo", "a^b", "a#b", "a#")]),
    ],
)
def test_plain_words_are_read_as_bash_reads_them(text: str, expected: list[tuple[str, ...]]) -> None:
    assert argvs(text) == expected


def test_operators_assignments_and_redirections_are_kept() -> None:
    commands = read("A=1 B='x y' make -j2 && ls > out 2>> err < in 2>&1 | cat")
    assert commands == (
        Command(("make", "-j2"), (("A", "1"), ("B", "x y")), (), "A=1 B='x y' make -j2", ""),
        Command(
            ("ls",), (), (Redirect(">", "out"), Redirect(">>", "err"), Redirect("<", "in")), "ls > out 2>> err < in 2>&1", "&&"
        ),
        Command(("cat",), (), (), "cat", "|"),
    )
    assert [redirect.writes for redirect in commands[1].redirects] == [True, True, False]


def test_file_name_patterns_among_the_arguments_are_told() -> None:
    commands = read("ls *.py a?b && cat '*' x")
    assert isinstance(commands, tuple)
    assert [(command.argv, command.globs) for command in commands] == [
        (("ls", "*.py", "a?b"), True),
        (("cat", "*", "x"), False),
    ]


def test_a_here_document_without_expansion_is_input_and_nothing_else() -> None:
    text = "cat > f <<'EOF' && python f\n$(rm -rf /) `x` \"\nEOFX\nEOF\nls | wc -l\n"
    assert read(text) == (
        Command(("cat",), (), (Redirect(">", "f"),), "cat > f <<'EOF'", "", False, True),
        Command(("python", "f"), (), (), "python f", "&&"),
        Command(("ls",), (), (), "ls", ";"),
        Command(("wc", "-l"), (), (), "wc -l", "|"),
    )
    assert argvs("cat <<'A'\nx\nA\ncat <<'B'\ny\nB") == [("cat",), ("cat",)]
    assert argvs("cat <<'A'\nx\nA") == [("cat",)]


@pytest.mark.parametrize(
    "text",
    [
        "cat <<EOF\nx\nEOF", 'cat <<"EOF"\nx\nEOF', "cat <<-'EOF'\nx\nEOF", "cat <<'EOF'\nx", "cat <<'EOF'",
        "cat <<'A' <<'B'\nA\nB",
        "echo \"a <<'EOF' b\"\ntouch p\nEOF", "cat <<'EOF' |\nx\nEOF\nsh", "cat <<'EOF'\nx\nEOF\n$(y)", "<<'EOF'\nx\nEOF",
        "cat '<<'EOF''\ntouch p\nEOF", "cat <'EOF' <<'EOF'\nx\nEOF\n(", "echo 'a\n<<'EOF'\nEOF",
    ],
)  # fmt: skip
def test_every_other_here_document_is_refused(text: str) -> None:
    assert isinstance(read(text), Refusal), read(text)


def test_a_redirection_after_a_list_belongs_to_its_last_command() -> None:
    commands = read("cd .. && echo x > p")
    assert isinstance(commands, tuple)
    assert commands[0].redirects == ()
    assert commands[1] == Command(("echo", "x"), (), (Redirect(">", "p"),), "echo x > p", "&&")


@pytest.mark.parametrize(
    "text",
    [
        "echo $x", "echo ${x}", "echo $(x)", "echo `x`", 'echo "$x"', 'echo "`x`"', 'echo "a!b"', "echo $((1))", "echo $'x'",
        'echo $"x"', "* x", "l? x", "ls > *", "echo a'b'*", "A=* ls", "echo [ab]*", "echo {a,b}", "echo ~",
        "echo ~/x", "echo a=~/x",
        "echo a:~/x", "echo a\\ b",
        "echo \\", "a\\\nb", "echo é", "echo a\u00a0b", "echo 'a\u202eb'", "echo 'a\u200bb'", "echo a\rb", "echo 'a\x1bb'",
        "(ls)", "{ ls; }", "! ls", "if a; then b; fi", "for a in b; do c; done", "while a; do b; done", "f() { a; }", "[[ a ]]",
        "[ a ]", "case a in b) c;; esac", "A=1", "A=1 B=2", "export A=1", "unset A", "A+=1 ls", "A[0]=1 ls", "A=$x ls",
        "cat <<E\nx\nE", "cat <<< x", "ls # comment", "# comment", "echo x > a b", "> f", "> f ls", "ls <&-",
        "ls >&-", "exec 3<&0-",
        "(ls) > f", "{ ls; } > f", "time ls", "coproc ls", "function x", "echo 'a", 'echo "a', "ls;;",
        "a=b=c", "-x=1 ls", "!! x",
        "^a^b", "ls > $x", "ls > *", "ls >& file$x", "echo \"a\\\nb\"", "echo \"é\\n\"", "echo $", "echo a$", "if", "ls )",
        "ls 2 >& x y", "-1<f", "a=b _== q", "cat <<E > f\nx\nE", "x=(1 2)", "echo \"a\"$x", "'a'\"$b\"",
        "echo {1..3}", "echo 'a'*",
        "echo 'a'é", "echo 'a'#é", "2b -1<f", "'e'if\n\n --flag=v f", '""q"', "|=", "b ) -n", "a << && while <>f",
        " >&2#${x}", "a >&2 \\\n",
    ],
)  # fmt: skip
def test_what_is_not_certain_is_refused_with_a_reason_and_the_part(text: str) -> None:
    refusal = read(text)
    assert isinstance(refusal, Refusal), refusal
    assert refusal.reason.endswith(".")
    assert refusal.fragment


def test_two_readers_that_disagree_refuse() -> None:
    refusal = read("\\\na")
    assert isinstance(refusal, Refusal) and "disagree" in refusal.reason


def test_the_hidden_character_is_shown_by_its_number() -> None:
    refusal = read("ls \u202e'x'")
    assert refusal == Refusal("It contains the hidden character U+202E.", "\\u{202e}")


def test_deep_nesting_and_many_commands_are_too_much() -> None:
    with pytest.raises(TooMuch, match="parts"):
        read("a;" * (MAX_COMMANDS + 1))
    with pytest.raises(TooMuch, match="bytes"):
        parse("x" * 100_000)
    with pytest.raises(TooMuch, match="levels deep"):
        list(find_commands(parse("(" * 150 + "ls" + ")" * 150)))
    with pytest.raises(TooMuch, match="parts"):
        list(find_commands(parse("(" + "a;" * (MAX_COMMANDS + 1) + ")")))
    with pytest.raises(TooMuch, match="here-documents"):
        read("cat <<'E'\nE\n" * 40)
    refusal = read(" && ".join(["true"] * 150))
    assert isinstance(refusal, Refusal) and "nested" in refusal.reason


def loose(text: str) -> list[tuple[str | None, ...]]:
    return [mention.argv for mention in find_commands(parse(text))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a $(b `c`) <(d)", [("a", None, None), ("b", None), ("c",), ("d",)]),
        ("if a; then b; else c; fi", [("a",), ("b",), ("c",)]),
        ("f() { rm x; }", [("rm", "x")]),
        ("$CMD x", [(None, "x")]),
        ("c'u'rl \"x\"", [("curl", "x")]),
        ("\\rm a\\ b", [("rm", "a b")]),
        ("$'\\x72m' x", [("rm", "x")]),
        ("$'\\x7' x", [(None, "x")]),
        ('echo "a\\$b\\c"', [("echo", "a$b\\c")]),
        ('echo "a\\\nb"', [("echo", "ab")]),
        ("a {1..2} 'x'{1,2}", [("a", None, None)]),
        ("a b{1..2} {c}", [("a", None, "{c}")]),
        ("export A=1 B", [("export", "B")]),
        ("unset X", [("unset", "X")]),
        ("A=1 ls", [("ls",)]),
        ("echo x > a b c", [("echo", "x", "b", "c")]),
        ("cat <<< x", [("cat",)]),
        ('a"b$c"', [(None,)]),
        ("echo a\\", [("echo", "a")]),
    ],
)
def test_the_loose_reading_finds_every_command(text: str, expected: list[tuple[str | None, ...]]) -> None:
    assert loose(text) == expected


def test_the_loose_reading_finds_what_may_be_written() -> None:
    text = "(a > one) && if b; then c >> 'two'; fi; d < in 2>&1 > ~/three > $x &> four"
    assert list(find_targets(parse(text))) == ["one", "two", "~/three", "four"]
