"""Bash text to the commands it would run: a strict reading that may be trusted, and a loose one that may only forbid.

`read_script` accepts a small subset of Bash in which the argv of every command is certain: literal words, file name
patterns, pipes, lists, plain redirections and here-documents without expansion. Whatever else can expand, substitute,
define or loop is refused, and refused means that a person is asked. The reading is checked twice, by the tree-sitter
grammar and by `shlex`, because a grammar made for editors forgives more than Bash does; the differential fuzz in the tests
compares what is accepted with what real Bash runs.

`find_commands` answers the opposite question: which commands could this text run at all, substitutions, loop bodies and
function bodies included? It is used to find a forbidden or a destructive command, never to allow one.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Final

from tree_sitter import Language, Node, Parser

MAX_BYTES: Final = 64 * 1024
"""Longest command that is analysed. Longer ones are refused before anything looks at them."""
MAX_COMMANDS: Final = 512
MAX_DEPTH: Final = 100
MAX_HERE_DOCUMENTS: Final = 16

_LIST_OPERATORS: Final = frozenset({"&&", "||", ";", "|", "|&", "&"})
_REDIRECTIONS: Final = frozenset({"<", ">", ">>", ">|", "&>", "&>>", ">&", "<&"})
_UNSAFE_IN_BARE_WORD: Final = frozenset("*?[]{}!$`\\")
_GLOB: Final = frozenset("*?")
_UNSAFE_IN_DOUBLE_QUOTES: Final = frozenset("$`!")
_VARIABLE_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
# Words with a grammar of their own where a command name stands; the editor grammar takes some for plain names.
_RESERVED_WORDS: Final = frozenset(
    {
        "!", "[[", "]]", "{", "}", "case", "coproc", "do", "done", "elif", "else", "esac", "fi", "for", "function", "if",
        "in", "select", "then", "time", "until", "while",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Redirect:
    """One redirection: `operator` as written (">", ">>", "&>", "<"...), and the decoded file name.

    Duplications of a descriptor (`2>&1`) carry no file and are not listed.
    """

    operator: str
    target: str

    @property
    def writes(self) -> bool:
        return self.operator != "<"


@dataclass(frozen=True, slots=True)
class Command:
    """One simple command: decoded words (never none), environment prefixes in order, redirections, and its source text.

    `joined_by` is the operator before it ("" for the first one, "\\n" counts as ";"). `globs`: words with `*` or `?` stand in
    `argv` as written, and the shell may put any number of file names in their place. `fed`: a here-document is its input.
    """

    argv: tuple[str, ...]
    assignments: tuple[tuple[str, str], ...] = ()
    redirects: tuple[Redirect, ...] = ()
    text: str = ""
    joined_by: str = ""
    globs: bool = False
    fed: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the strict reading gave up: one sentence, and the part of the text that caused it."""

    reason: str
    fragment: str


class TooMuch(Exception):
    """The text is larger or deeper than what is analysed. The message is a sentence for the model and the user."""


@dataclass(frozen=True, slots=True)
class Mention:
    """A command found by the loose reading: at least one word. `None` stands for one whose value only Bash knows."""

    argv: tuple[str | None, ...]
    text: str


class _Refused(Exception):
    def __init__(self, reason: str, fragment: str) -> None:
        self.refusal = Refusal(reason, fragment)


@cache
def _parser() -> Parser:
    import tree_sitter_bash  # the grammar is 1.5 MB: loaded when the first shell command comes

    return Parser(Language(tree_sitter_bash.language()))


def parse(text: str) -> Node:
    """The syntax tree of `text`. Raises `TooMuch` when it is over the caps."""
    data = text.encode("utf-8", "surrogatepass")
    if len(data) > MAX_BYTES:
        raise TooMuch(f"The command has {len(data):,} bytes; at most {MAX_BYTES:,} are analysed. Put the content in a file.")
    return _parser().parse(data).root_node


def read_script(text: str, root: Node | None = None) -> tuple[Command, ...] | Refusal:
    """The commands of `text` in order when every word is certain, else the refusal. `root` is `parse(text)` where it is at
    hand. Raises `TooMuch` over the caps."""
    return _read(text, root, MAX_HERE_DOCUMENTS)


def _read(text: str, root: Node | None, documents: int) -> tuple[Command, ...] | Refusal:
    try:
        _refuse_odd_characters(text)
        if (document := _here_document(text)) is None:
            return _read_plain(text, root or parse(text))
        if not documents:
            raise TooMuch(f"The command has more than {MAX_HERE_DOCUMENTS} here-documents. Split it.")
        return _read_fed(document, documents - 1)
    except _Refused as refused:
        found = refused.refusal
        return found if found.fragment else replace(found, fragment=text)


def _read_plain(text: str, root: Node) -> tuple[Command, ...]:
    reading = _Reading()
    reading.statements(root, 0)
    if reading.tokens != _shlex_tokens(text):
        raise _Refused("Two readings of this command disagree, so what it runs is not certain.", text)
    return tuple(reading.commands)


_HERE_DOCUMENT: Final = re.compile(r"<<('([A-Za-z_][A-Za-z0-9_]*)')")


@dataclass(frozen=True, slots=True)
class _HereDocument:
    """A first line with `<<'WORD'`, and what follows the line that is WORD alone. In between Bash reads plain text (manual,
    3.6.6: no expansion where the delimiter is quoted)."""

    line: str
    word: str
    following: str


def _here_document(text: str) -> _HereDocument | None:
    """None where the first line opens no here-document, or none of the one form that is read."""
    first, newline, rest = text.partition("\n")
    opening = _HERE_DOCUMENT.search(first)
    if not newline or opening is None or first.count("<<") != 1:
        return None
    lines = rest.split("\n")
    word = opening[2]
    if word not in lines:
        return None
    # As a plain redirection it is found by the readers wherever it is one, and nowhere inside quotation marks.
    line = first[: opening.start()] + "<" + opening[1] + first[opening.end() :]
    return _HereDocument(line, word, "\n".join(lines[lines.index(word) + 1 :]))


def _read_fed(document: _HereDocument, documents: int) -> tuple[Command, ...]:
    opening = Redirect("<", document.word)
    commands: list[Command] = []
    for command in _read_plain(document.line, parse(document.line)):
        if opening in command.redirects:
            others = tuple(redirect for redirect in command.redirects if redirect != opening)
            shown = command.text.replace(f"<'{document.word}'", f"<<'{document.word}'")
            command = replace(command, redirects=others, text=shown, fed=True)
        commands.append(command)
    if sum(command.fed for command in commands) != 1:
        raise _Refused("It is not certain where its here-document begins.", document.line)
    following = _read(document.following, None, documents)
    if isinstance(following, Refusal):
        raise _Refused(following.reason, following.fragment)
    if following:
        following = (replace(following[0], joined_by=";"), *following[1:])
    return (*commands, *following)


def _refuse_odd_characters(text: str) -> None:
    if text.isascii() and (text.isprintable() or text.translate(_PLAIN_SPACE).isprintable()):
        return
    for char in text:
        if char not in "\n\t" and not char.isprintable():
            raise _Refused(f"It contains the hidden character U+{ord(char):04X}.", f"\\u{{{ord(char):x}}}")


_PLAIN_SPACE: Final = {ord("\n"): " ", ord("\t"): " "}


def _lexer(text: str) -> shlex.shlex:
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    return lexer


def _shlex_tokens(text: str) -> list[str]:
    try:
        return list(_lexer(text))
    except ValueError as error:
        raise _Refused("A quotation mark is not closed.", text) from error


def open_quotation(text: str) -> bool:
    """Whether a quotation mark of its first line is never closed, so that Bash, which takes a line whole, runs nothing."""
    line, _, rest = text.partition("\n")
    lexer = _lexer(line)
    try:
        list(lexer)
    except ValueError:
        return lexer.state in ("'", '"') and lexer.state not in rest
    return False


@dataclass(slots=True)
class _Reading:
    """Collects commands and, in source order, the flat tokens that a second reader must find as well."""

    commands: list[Command] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    joined_by: str = ""

    def statements(self, node: Node, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise _Refused("It is nested too deeply.", _text(node)[:80])
        for child in node.children:
            kind = child.type
            if kind in ("list", "pipeline"):
                self.statements(child, depth + 1)
            elif kind == "command":
                self.command(child)
            elif kind == "redirected_statement":
                self.redirected(child)
            elif kind in _LIST_OPERATORS and not child.is_named:
                self.operator(child)
            else:
                raise _Refused(_why_refused(child), _text(child))

    def operator(self, node: Node) -> None:
        self.joined_by = node.type
        self.tokens.append(node.type)

    def redirected(self, node: Node) -> None:
        body, redirects = node.children[0], node.children[1:]
        if any(child.type != "file_redirect" for child in redirects):
            raise _Refused("It contains a here-document or a here-string.", _text(node))
        if body.type == "command":
            self.command(body)
        elif body.type in ("list", "pipeline"):
            # The grammar hangs the redirection on the whole list; for Bash it belongs to the last command.
            self.statements(body, 0)
        else:
            raise _Refused("A redirection is applied to more than one command.", _text(node))
        targets = tuple(redirect for child in redirects if (redirect := self.redirect(child)))
        last = self.commands[-1]
        text = last.text + _between(body, redirects[-1])
        self.commands[-1] = replace(last, redirects=targets, text=text)

    def command(self, node: Node) -> None:
        if len(self.commands) >= MAX_COMMANDS:
            raise TooMuch(f"The command has more than {MAX_COMMANDS} parts. Split it.")
        assignments: list[tuple[str, str]] = []
        argv: list[str] = []
        globs = False
        for child in node.children:
            if child.type == "variable_assignment":
                assignments.append(self.assignment(child))
            elif child.type == "command_name":
                argv.append(self.word(child.children[0]))
            elif _is_glob(child):
                argv.append(self.pattern(child))
                globs = True
            else:
                argv.append(self.word(child))
        if not argv or "=" in argv[0]:
            raise _Refused("A word of it looks like a variable but is none.", _text(node))
        if argv[0] in _RESERVED_WORDS:
            raise _Refused(f"“{argv[0]}” is a word of the shell's own grammar.", _text(node))
        self.commands.append(Command(tuple(argv), tuple(assignments), (), _text(node), self.joined_by, globs))
        self.joined_by = ";"

    def assignment(self, node: Node) -> tuple[str, str]:
        if len(node.children) != 3 or node.children[0].type != "variable_name" or node.children[1].type != "=":
            raise _Refused("It sets a variable in a way that is not plain NAME=VALUE.", _text(node))
        name = _text(node.children[0])
        if not _VARIABLE_NAME.fullmatch(name):
            raise _Refused("A word of it looks like a variable but is none.", _text(node))
        value = _word_value(node.children[2])
        self.tokens.append(f"{name}={value}")
        return name, value

    def redirect(self, node: Node) -> Redirect | None:
        parts = list(node.children)
        if parts[0].type == "file_descriptor":
            descriptor = _text(parts.pop(0))
            if not descriptor.isdecimal():
                raise _Refused("The redirection names an odd file descriptor.", _text(node))
            self.tokens.append(descriptor)
        # The grammar lets one operator take several words; Bash gives the later ones to the command as arguments.
        if len(parts) != 2 or parts[0].type not in _REDIRECTIONS:
            raise _Refused("The redirection is not of the plain form OPERATOR FILE at the end.", _text(node))
        operator = parts[0].type
        self.tokens.append(operator)
        target = self.word(parts[1])
        if operator in (">&", "<&"):
            if target.isdigit():
                return None
            raise _Refused("It copies, moves or closes a file descriptor.", _text(node))
        return Redirect(operator, target)

    def pattern(self, node: Node) -> str:
        value = _bare_word(node, _UNSAFE_IN_BARE_WORD - _GLOB)
        self.tokens.append(value)
        return value

    def word(self, node: Node) -> str:
        value = _word_value(node)
        self.tokens.append(value)
        return value


def _word_value(node: Node) -> str:
    kind = node.type
    if kind in ("word", "number"):
        return _bare_word(node)
    if kind == "raw_string":
        return _text(node)[1:-1]
    if kind == "string":
        return _double_quoted(node)
    if kind == "concatenation":
        return _concatenation(node)
    raise _Refused(_why_refused(node), _text(node))


def _is_glob(node: Node) -> bool:
    return node.type == "word" and not _GLOB.isdisjoint(_text(node))


def _bare_word(node: Node, unsafe: frozenset[str] = _UNSAFE_IN_BARE_WORD) -> str:
    text = _text(node)
    if node.child_count or not text:  # a number with an expansion in it, or a word that the grammar made up
        raise _Refused("The value of a word is not certain.", text)
    if not text.isascii():
        raise _Refused("It has a character outside ASCII that is not in quotation marks.", text)
    if not unsafe.isdisjoint(text):
        raise _Refused("The shell may expand a word of it.", text)
    if text[0] in "~^#" or "=~" in text or ":~" in text:
        raise _Refused("The shell may expand a word of it.", text)
    return text


def _double_quoted(node: Node) -> str:
    if any(child.is_named and child.type != "string_content" for child in node.children):
        raise _Refused("The shell would substitute something inside quotation marks.", _text(node))
    text = _text(node)[1:-1]
    if not _UNSAFE_IN_DOUBLE_QUOTES.isdisjoint(text):
        raise _Refused("The shell would substitute something inside quotation marks.", _text(node))
    if "\\" not in text:
        return text
    if not text.isascii() or "\\\n" in text:
        raise _Refused("A backslash inside quotation marks is not certain here.", _text(node))
    # Inside double quotes only \\ and \" are escapes once $, ` and newline are out of the way (Bash manual, 3.1.2.3).
    return text.replace("\\\\", "\0").replace('\\"', '"').replace("\0", "\\")


def _concatenation(node: Node) -> str:
    end = node.start_byte
    parts: list[str] = []
    for child in node.children:
        if child.start_byte != end or child.type == "concatenation":
            raise _Refused("The value of a word is not certain.", _text(node))
        if parts and child.type in ("word", "number") and _text(child)[0] in "#^":
            parts.append(_text(child)[0] + (_bare_tail(child) if len(_text(child)) > 1 else ""))
        else:
            parts.append(_word_value(child))
        end = child.end_byte
    return "".join(parts)


def _bare_tail(node: Node) -> str:
    text = _text(node)[1:]
    if not text.isascii() or not _UNSAFE_IN_BARE_WORD.isdisjoint(text):
        raise _Refused("The shell may expand a word of it.", _text(node))
    return text


_REFUSED_KINDS: Final = {
    "ERROR": "It is not a command that can be read with certainty.",
    "command_substitution": "It runs a command inside another one.",
    "process_substitution": "It runs a command inside another one.",
    "simple_expansion": "It uses the value of a variable.",
    "expansion": "It uses the value of a variable.",
    "arithmetic_expansion": "It computes a value while it runs.",
    "ansi_c_string": "It spells characters by their codes.",
    "translated_string": "It uses a translated string.",
    "brace_expression": "The shell would expand a brace.",
    "subshell": "It runs commands in a subshell.",
    "compound_statement": "It groups commands in braces.",
    "negated_command": "It negates a command.",
    "variable_assignment": "It sets a variable of the shell.",
    "variable_assignments": "It sets variables of the shell.",
    "declaration_command": "It changes variables of the shell.",
    "unset_command": "It changes variables of the shell.",
    "test_command": "It is a test expression.",
    "function_definition": "It defines a function.",
    "heredoc_redirect": "It contains a here-document.",
    "herestring_redirect": "It contains a here-string.",
    "comment": "It contains a comment.",
}


def _why_refused(node: Node) -> str:
    return _REFUSED_KINDS.get(node.type, "It is more than a plain list of commands.")


def _text(node: Node) -> str:
    raw = node.text
    return raw.decode("utf-8", "replace") if raw is not None else ""


def _between(body: Node, last: Node) -> str:
    """The source after `body` up to the end of `last`, both children of one node."""
    parent = body.parent
    whole, offset = (parent.text or b"", parent.start_byte) if parent is not None else (b"", 0)
    return whole[body.end_byte - offset : last.end_byte - offset].decode("utf-8", "replace")


def find_targets(root: Node) -> Iterator[str]:
    """The files that redirections anywhere below `root` may write, as far as they are known; quotes removed."""
    stack = [root]
    while stack:
        node = stack.pop()
        if node.type == "file_redirect" and not any(child.type in ("<", "<&") for child in node.children):
            words = [child for child in node.children if child.is_named and child.type != "file_descriptor"]
            target = _loose_value(words[0]) if words else None
            if target and not target.isdigit():
                yield target
        stack.extend(reversed(node.children))


def find_commands(root: Node) -> Iterator[Mention]:
    """Every command anywhere below `root`, in source order. Raises `TooMuch` over the caps."""
    found = 0
    stack: list[tuple[Node, int]] = [(root, 0)]
    while stack:
        node, depth = stack.pop()
        if depth > MAX_DEPTH:
            raise TooMuch(f"The command is nested more than {MAX_DEPTH} levels deep. Simplify it.")
        if node.type in ("command", "declaration_command", "unset_command", "test_command"):
            found += 1
            if found > MAX_COMMANDS:
                raise TooMuch(f"The command has more than {MAX_COMMANDS} parts. Split it.")
            yield Mention(tuple(_loose_words(node)) or (None,), _text(node))
        if node.child_count:
            stack += [(child, depth + 1) for child in reversed(node.children)]


def _loose_words(node: Node) -> Iterator[str | None]:
    for child in node.children:
        if child.type in ("variable_assignment", "file_redirect", "herestring_redirect"):
            continue
        yield _loose_value(child.children[0] if child.type == "command_name" else child)
    following = node.next_sibling
    while following is not None and following.type == "file_redirect":
        # `echo x > a b c`: Bash writes to a, and b and c are arguments.
        words = [child for child in following.children if child.is_named and child.type != "file_descriptor"]
        for extra in words[1:]:
            yield _loose_value(extra)
        following = following.next_sibling


def _loose_value(node: Node) -> str | None:
    kind = node.type
    text = _text(node)
    if kind in ("word", "number", "concatenation") and "{" in text and ("," in text or ".." in text):
        return None
    if kind in ("word", "number"):
        return _unescape(text, None)
    if kind == "raw_string":
        return text[1:-1]
    if kind == "ansi_c_string":
        return _ansi_c(text[2:-1])
    if kind == "string":
        if any(child.is_named and child.type != "string_content" for child in node.children):
            return None
        return _unescape(text[1:-1], '"\\$`\n')
    if kind == "concatenation":
        parts = [_loose_value(child) for child in node.children]
        return None if any(part is None for part in parts) else "".join(part for part in parts if part is not None)
    if not node.is_named or kind in ("variable_name", "test_operator"):
        return text
    return None


def _unescape(text: str, special: str | None) -> str:
    if "\\" not in text:
        return text
    result: list[str] = []
    chars = iter(text)
    for char in chars:
        if char != "\\":
            result.append(char)
            continue
        following = next(chars, "")
        if special is not None and following not in special:
            result.append("\\")
        if following != "\n":
            result.append(following)
    return "".join(result)


def _ansi_c(text: str) -> str | None:
    try:
        return text.encode("latin-1", "strict").decode("unicode_escape")
    except (UnicodeError, ValueError):
        return None
