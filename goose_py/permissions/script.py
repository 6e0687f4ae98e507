"""A shell command, judged part by part."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from tree_sitter import Node

from goose_py.permissions import paths
from goose_py.permissions.decision import Part, Place, Verdict, shortened
from goose_py.permissions.destructive import Destruction, destruction
from goose_py.permissions.git_commands import assess_git, prints_contents, take_apart
from goose_py.permissions.patterns import Kind, Pattern, path_pattern, suggest
from goose_py.permissions.programs import Assessment, assess, takes_patterns, unknown
from goose_py.permissions.rules import Found, Rule, strictest
from goose_py.permissions.shell import (
    MAX_COMMANDS,
    Command,
    Mention,
    Refusal,
    TooMuch,
    find_commands,
    find_targets,
    open_quotation,
    parse,
    read_script,
)
from goose_py.permissions.wrappers import Words, candidates, hidden_scripts, program_name, runs_input, runs_unknown
from goose_py.protocol.modes import Mode
from goose_py.protocol.secret_files import holds_secrets

_MAX_HIDDEN: Final = 8 * MAX_COMMANDS
_MAX_NESTED_SCRIPTS: Final = 8
_MAX_FOLDERS: Final = 8
_SHOWN: Final = 200

# Commands that Bash runs itself: no file of that name can take their place.
_BUILTINS: Final = frozenset({"echo", "printf", "cd", "pwd", "test", "[", "true", "false", ":", "type"})

# All that counts as reading where nothing holds a command to it.
_CERTAIN: Final = frozenset(
    {("ls",), ("ls", "-a"), ("ls", "-l"), ("ls", "-la"), ("pwd",), ("true",), ("whoami",), ("id",), ("date",), ("uname", "-a")}
)

# Bash opens a connection where one of these is read or written (manual, 3.6).
_CONNECTIONS: Final = ("/dev/tcp/", "/dev/udp/")

# Variables that only choose language, time zone or colour; their values are further limited to plain words.
_HARMLESS_VARIABLES: Final = frozenset(
    {"LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_COLLATE", "LC_MESSAGES", "LC_NUMERIC", "LC_TIME", "TZ", "NO_COLOR"}
    | {"FORCE_COLOR", "CLICOLOR", "CI", "COLUMNS"}
)


@dataclass(frozen=True, slots=True)
class _Judge:
    """What stays the same for every part of one command. `allowing` and `about_paths` are those of the rules; `blanket` is a
    rule that allows the tool with any command; `writes`: what seems to read was seen to write."""

    text: str
    mode: Mode
    place: Place
    rules: Sequence[Rule]
    allowing: Sequence[Rule]
    about_paths: Sequence[Rule]
    cwd: str
    blanket: Rule | None
    writes: bool
    recorded: bool

    def ask_unless_auto(self, *, allowed_in_auto: bool = True) -> Verdict:
        if self.mode == "plan":
            return "deny"
        return "allow" if self.mode == "auto" and allowed_in_auto and self.place.confined else "ask"


def judge_script(
    text: str,
    cwd: str,
    rules: Sequence[Rule],
    mode: Mode,
    place: Place,
    blanket: Rule | None = None,
    *,
    writes: bool = False,
    recorded: bool = False,
) -> tuple[Part, ...]:
    """The parts of the shell command `text`, run in `cwd` (absolute, resolved). Never empty. `rules` are those that apply
    to the tool; `blanket` is one of them that allows the tool whatever the command. `writes`: it was seen to write, whatever
    is known of its programs. `recorded`: what it destroys in the workspace can be brought back."""
    allowing = [rule for rule in rules if rule.verdict == "allow"]
    about_paths = [rule for rule in rules if rule.pattern.kind in ("read", "write")]
    judge = _Judge(text, mode, place, rules, allowing, about_paths, cwd, blanket, writes, recorded)
    try:
        root = parse(text)
        mentions = tuple(_all_mentions(_commands_in(text, root)))
        reading = read_script(text, root)
    except TooMuch as error:
        return (Part(shortened(text, _SHOWN), "deny", str(error)),)
    parts = [*_forbidden(judge, mentions), *_hidden_by_error(judge, text, root.has_error)]
    if isinstance(reading, Refusal):
        folders = None if any(mention.argv[:1] == ("cd",) for mention in mentions) else (cwd,)
        parts += _destroying(judge, mentions, folders)
        parts += _writing_elsewhere(judge, find_targets(root))
        certain = not root.has_error and not _runs_unknown(mentions)
        slip = root.has_error and open_quotation(text)
        parts.append(_slip(judge, text) if slip else _refused(judge, text, reading, certain=certain))
    else:
        parts += _read(judge, reading, mentions)
    if not place.confined:
        parts = [_unconfined(part, judge) for part in parts]
    return tuple(parts) or (Part(shortened(text, _SHOWN), "allow", "The command is empty.", reads=True),)


def _unconfined(part: Part, judge: _Judge) -> Part:
    """Without the sandbox the user wants, nothing of a shell runs unasked, and no answer is kept for later."""
    if part.verdict == "deny":
        return part
    if judge.mode == "plan":
        return Part(part.text, "deny", "plan mode: nothing here can keep a shell command from writing; propose instead.")
    reason = part.reason if part.verdict == "ask" else f"There is no sandbox of level “{judge.place.weakest}” here."
    return Part(part.text, "ask", reason, "", part.destructive, part.reads)


# What could run at all: rules that forbid, and work that would be lost.


def _commands_in(text: str, root: Node) -> Iterator[Mention]:
    yield from find_commands(root)
    if "\\\n" in text:
        # Bash joins continued lines before it looks for words, the grammar sometimes does not: `r\<newline>m` is `rm`.
        yield from find_commands(parse(text.replace("\\\n", "")))


def _all_mentions(found: Iterator[Mention], nested: int = 0) -> Iterator[Mention]:
    """The mentions of a script, and those inside wrappers and scripts that are arguments. Raises TooMuch over the caps."""
    count = 0
    for mention in found:
        for words in candidates(mention.argv):
            count += 1
            if count > _MAX_HIDDEN:
                raise TooMuch("The command has too many parts to be judged. Split it.")
            yield Mention(words, mention.text)
            for script in hidden_scripts(words):
                if nested >= _MAX_NESTED_SCRIPTS:
                    raise TooMuch("The command nests too many shells to be judged. Run the inner one directly.")
                for inner in _all_mentions(_commands_in(script, parse(script)), nested + 1):
                    count += 1
                    yield inner


def _spellings(words: Words) -> Iterator[Words]:
    yield words
    if words[0] is not None and "/" in words[0]:
        yield (program_name(words[0]), *words[1:])


def _forbidden(judge: _Judge, mentions: Sequence[Mention]) -> Iterator[Part]:
    """A part for each command that a rule denies or asks about, wherever it hides."""
    by_program: dict[str, list[Rule]] = {}
    for rule in judge.rules:
        if rule.verdict != "allow" and rule.pattern.kind == "command":
            by_program.setdefault(rule.pattern.words[0], []).append(rule)
    if not by_program:
        return
    every = [rule for rules in by_program.values() for rule in rules]

    def about(words: Words) -> Sequence[Rule]:
        return every if words[0] is None else by_program.get(words[0], ())

    for mention in mentions:
        matches = (
            Found(rule, match == "yes")
            for words in _spellings(mention.argv)
            for rule in about(words)
            if (match := rule.matches_command(words)) != "no"
        )
        found = strictest(matches)
        if found is None:
            continue
        if found.certain:
            verdict: Verdict = "deny" if judge.mode == "plan" else found.rule.verdict
            yield Part(mention.text, verdict, _rule_reason(found.rule))
        else:
            yield Part(mention.text, judge.ask_unless_auto(allowed_in_auto=False), f"It could be “{found.rule.pattern}”.")


def _rule_reason(rule: Rule) -> str:
    if rule.reason:
        return rule.reason
    does = {"deny": "denies it", "ask": "asks about it", "allow": "allows it"}[rule.verdict]
    return f"The rule “{rule.pattern}” {does}."


def _hidden_by_error(judge: _Judge, text: str, has_error: bool) -> Iterator[Part]:
    """Text that no grammar accepts may still run in part. When it so much as names a denied program, it is denied."""
    if not has_error:
        return
    for rule in judge.rules:
        if rule.verdict == "deny" and rule.pattern.words and rule.pattern.words[0] in text:
            reason = f"The command cannot be read with certainty, and it names “{rule.pattern.words[0]}”, which a rule denies."
            yield Part(shortened(text, _SHOWN), "deny", reason)


def _destroying(judge: _Judge, mentions: Sequence[Mention], folders: tuple[str, ...] | None) -> Iterator[Part]:
    """A part for each command that would discard work. `folders` are those it may run in, None when they are not known."""
    place = judge.place

    def exists(name: str) -> bool:
        return any(place.exists(paths.resolve(place, folder, name)) for folder in folders or (judge.cwd,))

    for mention in mentions:
        found = destruction(mention.argv, exists)
        if found is None:
            continue
        if folders and found.files and _all_created(place, folders, found.files):
            continue
        if found.files and all(file in paths.STREAMS for file in found.files):
            continue
        if judge.mode != "plan" and _can_be_brought_back(judge, mention.argv, found, folders):
            continue
        verdict: Verdict = "deny" if judge.mode == "plan" else "ask"
        yield Part(mention.text, verdict, _plan_reason(judge, found.reason), destructive=True)


def _can_be_brought_back(judge: _Judge, words: Words, found: Destruction, folders: tuple[str, ...] | None) -> bool:
    """Whether all that it can reach in its sandbox is recorded. Git's own state is only where it has a git directory of its
    own; what is pushed is out of reach."""
    if not judge.recorded or judge.place.sandbox == "none":
        return False
    if words[0] is not None and program_name(words[0]) == "git":
        return judge.place.sandbox == "full" and take_apart(words).subcommand not in ("push", None)
    resolved = (paths.resolve(judge.place, folder, file) for folder in folders or (judge.cwd,) for file in found.files or ())
    return found.recordable and all(paths.in_workspace(judge.place, path) for path in resolved)


def _all_created(place: Place, folders: tuple[str, ...], files: tuple[str, ...]) -> bool:
    return all(paths.resolve(place, folder, file) in place.created for folder in folders for file in files)


def _runs_unknown(mentions: Sequence[Mention]) -> bool:
    return any(runs_unknown(mention.argv) for mention in mentions)


def _plan_reason(judge: _Judge, reason: str) -> str:
    return f"plan mode: propose instead. {reason}" if judge.mode == "plan" else reason


def _refused(judge: _Judge, text: str, refusal: Refusal, *, certain: bool) -> Part:
    """What the strict reader does not accept is asked about; in auto mode only when its programs are not certain either."""
    pattern = Pattern("script", text)
    if judge.mode != "plan" and _grants_script(judge, text):
        return Part(shortened(text, _SHOWN), "allow", "A rule allows exactly this command.")
    verdict = judge.ask_unless_auto(allowed_in_auto=certain)
    return Part(shortened(refusal.fragment, _SHOWN), verdict, _plan_reason(judge, refusal.reason), str(pattern))


def _slip(judge: _Judge, text: str) -> Part:
    """Bash itself says what is wrong, and says it where nothing can be changed, should it read the command otherwise."""
    reads = not judge.writes and judge.place.confined and judge.place.sandbox != "none"
    verdict: Verdict = "allow" if reads else "deny"
    return Part(shortened(text, _SHOWN), verdict, "A quotation mark is not closed: send the whole command.", reads=reads)


def _writing_elsewhere(judge: _Judge, targets: Iterator[str]) -> Iterator[Part]:
    """Parts for what a command that is not certain would write and should not."""
    for target in targets:
        path = target if target in paths.STREAMS else paths.resolve(judge.place, judge.cwd, target)
        part = path_part(judge.mode, judge.place, judge.about_paths, target, path, writes=True)
        if part.verdict != "allow":
            yield part


def _grants_script(judge: _Judge, text: str) -> bool:
    return judge.blanket is not None or any(
        rule.pattern.kind == "script" and rule.pattern.text == text for rule in judge.allowing
    )


# What certainly runs, command by command.


def _read(judge: _Judge, commands: Sequence[Command], mentions: Sequence[Mention]) -> Iterator[Part]:
    folders: tuple[str, ...] = (judge.cwd,)
    for command in commands:
        assessment = _assess(judge, command)
        yield from _command_parts(judge, command, assessment, folders)
        if assessment.moves_to is not None:
            # The folder may not exist, and then the next command runs where this one did.
            moved = (paths.resolve(judge.place, folder, assessment.moves_to) for folder in folders)
            folders = tuple(dict.fromkeys((*folders, *moved)))[:_MAX_FOLDERS]
    yield from _destroying(judge, mentions, folders if len(folders) < _MAX_FOLDERS else None)


def _assess(judge: _Judge, command: Command) -> Assessment:
    """What the command does, the identity of its program and its environment included."""
    found = _apparent(judge, command)
    if found.effect != "read" or found.moves_to is not None:
        return found
    if judge.writes:
        return unknown("It wanted to change something, though it was taken for a command that changes nothing.")
    if judge.place.sandbox == "none" and command.argv not in _CERTAIN:
        return unknown("Without a sandbox nothing would hold it to reading.")
    return found


def _apparent(judge: _Judge, command: Command) -> Assessment:
    for name, value in command.assignments:
        if name not in _HARMLESS_VARIABLES or not value.replace("_", "").replace("-", "").replace(".", "").isalnum():
            return unknown(f"It sets {name} for the command, which may change what runs.")
    name, why = _identity(judge.place, command.argv[0])
    if why:
        return unknown(why)
    argv = (name, *command.argv[1:])
    if command.globs and not takes_patterns(argv):
        return unknown("The shell puts file names in place of a pattern, and they may be read as options.")
    if name != "git":
        return assess(argv)
    if judge.place.sandbox != "full":
        return unknown("A repository may name programs that git runs; only a full sandbox holds those.")
    return assess_git(argv)


def _identity(place: Place, word: str) -> tuple[str, str]:
    """The bare name of the system program that `word` runs, or why it is none."""
    if word in _BUILTINS:
        return word, ""
    folder, _, name = word.rpartition("/")
    if folder or word.startswith("/"):
        return name, "" if folder in place.system_path else f"“{word}” is run by its path, not from the system's folders."
    found = place.which(word)
    if found is None:
        return word, f"There is no program “{word}” here."
    if found.rpartition("/")[0] not in place.system_path:
        return word, f"“{word}” is {found} here, which is not a system program."
    return word, ""


def _command_parts(judge: _Judge, command: Command, found: Assessment, folders: tuple[str, ...]) -> Iterator[Part]:
    allowed = _allowing_rule(judge, command)
    if found.effect == "unknown":
        yield _unknown_part(judge, command, found, allowed)
    elif found.effect == "write":
        yield from _write_parts(judge, command.text, found.writes, folders)
    else:
        yield Part(command.text, "allow", "It changes nothing.", reads=True)
    if allowed is None:
        yield from _reading_parts(judge, command, found, folders)
        yield from _unseen_parts(judge, command, found)
    for redirect in command.redirects:
        if redirect.writes:
            yield from _write_parts(judge, command.text, (redirect.target,), folders)
        elif redirect.target.startswith(_CONNECTIONS):
            yield Part(command.text, judge.ask_unless_auto(), _plan_reason(judge, "It opens a connection to a host."))
        else:
            yield from _reading_parts(judge, command, Assessment("read", reads=(redirect.target,)), folders)


def _allowing_rule(judge: _Judge, command: Command) -> Rule | None:
    """The rule that allows this command, program and all; none that could be led astray by what the agent can write."""
    for rule in judge.allowing:
        if rule.pattern.kind == "script" and rule.pattern.text in (command.text, judge.text):
            return rule
        harmless = all(name in _HARMLESS_VARIABLES for name, _ in command.assignments)
        if harmless and not _planted(judge.place, command) and rule.matches_command(command.argv) == "yes":
            return rule
    return judge.blanket


def _planted(place: Place, command: Command) -> bool:
    """Whether the bare name leads to a program that the agent could have put there."""
    word = command.argv[0]
    found = None if "/" in word or word in _BUILTINS else place.which(word)
    return found is not None and paths.may_write(place, place.realpath(found))


def _unknown_part(judge: _Judge, command: Command, found: Assessment, allowed: Rule | None) -> Part:
    if allowed is not None:
        return Part(command.text, "allow", _rule_reason(allowed))
    pattern, wider = Pattern("command", words=command.argv), suggest(command.argv)
    if (command.fed or command.joined_by in ("|", "|&")) and runs_input(command.argv[0]):
        # What it is given decides what it does: `bash` and `python -` are anything at all.
        pattern = wider = Pattern("script", judge.text)
    if command.assignments or _planted(judge.place, command):
        pattern = wider = Pattern("script", judge.text if command.fed else command.text)
    reason = _plan_reason(judge, found.reason)
    return Part(command.text, judge.ask_unless_auto(), reason, str(pattern), wider=str(wider))


def _reading_parts(judge: _Judge, command: Command, found: Assessment, folders: tuple[str, ...]) -> Iterator[Part]:
    """Parts for what is read and should not be: secrets by name, and files out of the sandbox's sight."""
    place = judge.place
    words = found.reads if found.moves_to is None else (*found.reads, found.moves_to)
    hidden = place.sandbox == "full"
    for word in words:
        secret = holds_secrets(word)
        if hidden and not judge.about_paths and not secret:
            # Nothing outside is there to be read. Many words are no paths at all, so asking would be noise.
            continue
        for folder in folders:
            path = paths.resolve(place, folder, word)
            part = path_part(judge.mode, place, judge.about_paths, command.text, path, writes=False)
            if part.verdict != "allow":
                yield part


def _unseen_parts(judge: _Judge, command: Command, found: Assessment) -> Iterator[Part]:
    """A part where what is read cannot be told from the words, while a rule keeps some paths from being read: names that the
    shell fills in, and what git has of files in its index and history."""
    hidden = next((rule for rule in judge.about_paths if rule.pattern.kind == "read" and rule.verdict != "allow"), None)
    if hidden is None or found.effect != "read":
        return
    if command.globs or (program_name(command.argv[0]) == "git" and prints_contents(command.argv)):
        reason = f"It may show what the rule “{hidden.pattern}” is about."
        pattern = str(Pattern("command", words=command.argv))
        yield Part(command.text, judge.ask_unless_auto(), _plan_reason(judge, reason), pattern, reads=True)


def _write_parts(judge: _Judge, text: str, words: Sequence[str], folders: tuple[str, ...]) -> Iterator[Part]:
    for word in words:
        for folder in folders:
            path = word if word in paths.STREAMS else paths.resolve(judge.place, folder, word)
            yield path_part(judge.mode, judge.place, judge.about_paths, text, path, writes=True)


def path_part(mode: Mode, place: Place, rules: Sequence[Rule], text: str, path: str, *, writes: bool) -> Part:
    """One resolved path that a shell command reads or writes."""
    part = _path_part(mode, place, rules, text, path, writes=writes)
    return part if writes and path not in paths.STREAMS else replace(part, reads=True)


def _path_part(mode: Mode, place: Place, rules: Sequence[Rule], text: str, path: str, *, writes: bool) -> Part:
    found = strictest(Found(rule) for rule in rules if rule.matches_path(path, writes=writes))
    kind: Kind = "write" if writes else "read"
    pattern = str(path_pattern(place, kind, path))
    asks: Verdict = "deny" if mode == "plan" else "ask"
    if found is not None and found.rule.verdict != "allow":
        return Part(text, "deny" if found.rule.verdict == "deny" else asks, _rule_reason(found.rule))
    if writes and path not in paths.STREAMS and mode == "plan":
        return Part(text, "deny", f"plan mode: propose instead. It writes {path}.")
    if writes and (name := paths.protected_name(place, paths.beneath_workspace(place, path))):
        return Part(text, asks, f"It writes {path}, and “{name}” is protected.")
    if found is not None:
        return Part(text, "allow", _rule_reason(found.rule))
    if not writes and holds_secrets(path):
        return Part(text, asks, f"{path} may hold secrets.", pattern)
    if writes:
        return _write_part(mode, place, text, path, pattern)
    if paths.may_read(place, path) or place.sandbox == "full" or (mode == "auto" and place.sandbox != "none"):
        return Part(text, "allow", "It changes nothing.")
    return Part(text, asks, f"It reads {path}, which is outside the workspace.", pattern)


def _write_part(mode: Mode, place: Place, text: str, path: str, pattern: str) -> Part:
    if not paths.may_write(place, path):
        return Part(text, "ask", f"It writes {path}, which is outside the workspace.", pattern)
    if mode == "auto" or place.sandbox == "full" or path in paths.STREAMS:
        return Part(text, "allow", "It writes only inside the workspace.")
    return Part(text, "ask", f"It writes {path}, and only a full sandbox holds it to that.", pattern)
