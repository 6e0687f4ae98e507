"""Every setting that exists: its name, type, default, documentation, and who may set it.

These types are the only list there is. Parsing, the names of environment variables, `goose-py config list` and the
checks of a project's file are all derived from them (see `goose_py.config.keys`), so that a key cannot be documented
and not parsed, or the other way round.

Who may set a key is its scope:

- `user`: the user's own file, environment and flags. A repository must not choose where code is sent, what runs
  without asking, or how strong the sandbox is.
- `both`: a trusted repository may set it too.
- `tighten`: a trusted repository may only make it stricter.
- `executes`: a trusted repository may propose it; it counts once the person approved exactly these commands.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NoReturn

import msgspec
from msgspec import Meta

from goose_py.protocol.events import Limits, Phase
from goose_py.protocol.messages import Effort, ModelRef
from goose_py.protocol.modes import Mode

Scope = Literal["user", "both", "tighten", "executes"]

Count = Annotated[int, Meta(ge=1)]
Amount = Annotated[float, Meta(ge=0)]
Seconds = Annotated[float, Meta(gt=0)]
NoLimit = Literal["none"]
Name = Annotated[str, Meta(min_length=1)]
FileName = Annotated[str, Meta(pattern=r"\A[^/\\\x00]+\Z", min_length=1)]


def user(doc: str) -> Meta:
    return Meta(description=doc, extra={"scope": "user"})


def both(doc: str) -> Meta:
    return Meta(description=doc, extra={"scope": "both"})


def tighten(doc: str) -> Meta:
    return Meta(description=doc, extra={"scope": "tighten"})


def executes(doc: str) -> Meta:
    return Meta(description=doc, extra={"scope": "executes"})


class Table(dict[str, Any]):
    """A mapping that cannot be changed; a dict so that msgspec, json and pickle know how to write it."""

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("settings are frozen after parsing")

    __setitem__ = __delitem__ = clear = pop = popitem = setdefault = update = __ior__ = _refuse  # type: ignore[assignment]

    def __reduce__(self) -> tuple[type, tuple[dict[str, Any]]]:
        return Table, (dict(self),)

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset((key, repr(value)) for key, value in self.items()))


def _freeze(value: Any) -> Any:
    if isinstance(value, dict):
        return Table({key: _freeze(item) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return tuple(_freeze(item) for item in value)
    return value


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file. Mappings inside are frozen too."""

    def __post_init__(self) -> None:
        for field in self.__struct_fields__:
            value = getattr(self, field)
            if isinstance(value, dict) and not isinstance(value, Table):
                msgspec.structs.force_setattr(self, field, _freeze(value))


class PhaseSettings(Section, frozen=True, kw_only=True):
    """Who answers in one phase. What is not set is the default provider's, model's and effort's."""

    provider: Annotated[Name | None, user("Provider of this phase")] = None
    model: Annotated[Name | None, both("Model of this phase")] = None
    effort: Annotated[Effort | None, both("How hard the model of this phase thinks")] = None


class Phases(Section, frozen=True, kw_only=True):
    plan: PhaseSettings = PhaseSettings()
    execute: PhaseSettings = PhaseSettings()
    verify: PhaseSettings = PhaseSettings()
    summarise: PhaseSettings = PhaseSettings()


class LimitSettings(Section, frozen=True, kw_only=True):
    """`max_*` end the work, `warn_*` only say so. None, written `"none"` in TOML, is no limit."""

    max_turns: Annotated[Count | NoLimit | None, tighten("Model requests that one task may make")] = 200
    max_seconds: Annotated[Seconds | NoLimit | None, tighten("Seconds that one task may work")] = None
    max_cost: Annotated[Amount | NoLimit | None, tighten("US dollars that one task may spend")] = None
    max_tokens: Annotated[Count | NoLimit | None, tighten("Tokens of any kind that one task may use")] = None
    warn_turns: Annotated[Count | None, both("Say so after this many model requests")] = None
    warn_seconds: Annotated[Seconds | None, both("Say so after this many seconds")] = None
    warn_cost: Annotated[Amount | None, both("Say so after this many US dollars")] = None
    warn_tokens: Annotated[Count | None, both("Say so after this many tokens")] = None

    def __post_init__(self) -> None:
        for field in self.__struct_fields__:
            if getattr(self, field) == "none":
                msgspec.structs.force_setattr(self, field, None)

    def hard(self) -> Limits:
        """The limits that end a turn, as the loop takes them."""
        return Limits(
            max_turns=self.max_turns, max_seconds=self.max_seconds, max_cost=self.max_cost, max_tokens=self.max_tokens
        )

    def soft(self) -> Limits:
        """The limits that are only said."""
        return Limits(
            max_turns=self.warn_turns, max_seconds=self.warn_seconds, max_cost=self.warn_cost, max_tokens=self.warn_tokens
        )


class Timeouts(Section, frozen=True, kw_only=True):
    connect: Annotated[Seconds | None, user("Seconds until the connection must stand")] = None
    first_byte: Annotated[Seconds | None, user("Seconds until the answer must begin")] = None
    idle: Annotated[Seconds | None, user("Seconds of silence inside an answer")] = None
    stall: Annotated[Seconds | None, user("Seconds without content while the line is kept open")] = None


class ProviderSettings(Section, frozen=True, kw_only=True):
    """A provider of the user's own, or what differs from the preset of that name. None: as the preset says."""

    protocol: Annotated[
        Literal["anthropic", "responses", "chat", "ollama", "scripted"] | None, user("Wire protocol that it speaks")
    ] = None
    base_url: Annotated[
        Annotated[str, Meta(pattern=r"\A(https?|unix|file)://.+|\A/.+\Z")] | None,
        user("Address of its API; of the scripted provider, the path of its file"),
    ] = None
    api_key_env: Annotated[Name | None, user("Environment variable, or stored key, that holds its API key")] = None
    needs_key: Annotated[bool | None, user("Whether it needs a key at all")] = None
    transport: Annotated[Literal["http", "sdk"] | None, user("Speak the protocol directly, or through the vendor's SDK")] = None
    sdk: Annotated[Name | None, user("Client of the SDK: anthropic, bedrock, vertex, openai, azure")] = None
    headers: Annotated[Mapping[str, str], user("Headers sent with each request")] = {}
    query: Annotated[Mapping[str, str], user("Parameters appended to its address")] = {}
    options: Annotated[
        Mapping[str, str],
        user("For cloud clients: region and profile (Bedrock), project and region (Vertex), api_version (Azure)"),
    ] = {}
    timeouts: Annotated[Timeouts, user("How long to wait")] = Timeouts()
    context_window: Annotated[Count | None, user("Tokens that its models can take, where a model does not say")] = None


class Price(Section, frozen=True, kw_only=True):
    """US dollars per million tokens."""

    input: Amount
    output: Amount
    cache_read: Amount | None = None
    cache_write: Amount | None = None


class ModelSettings(Section, frozen=True, kw_only=True):
    """What differs from the catalogue for one model, named `provider/model` or `model`. None: as the catalogue says."""

    context_window: Annotated[Count | None, user("Tokens that it can take")] = None
    max_output_tokens: Annotated[Count | None, user("Tokens that it may write in one answer")] = None
    price: Annotated[Price | None, user("US dollars per million tokens")] = None
    images: Annotated[bool | None, user("Whether it takes pictures")] = None
    temperature: Annotated[bool | None, user("Whether it accepts a temperature")] = None
    tool_calls: Annotated[Literal["native", "text"] | None, user("How it asks for tools")] = None
    tool_set: Annotated[Literal["full", "small"] | None, user("How many tools it is offered")] = None
    edit_format: Annotated[Literal["edit", "apply_patch"] | None, user("Edit tool that it is offered")] = None
    efforts: Annotated[Mapping[str, str | int | bool] | None, user("Its own words for our efforts")] = None
    extra_body: Annotated[Mapping[str, Any], user("Fields added to each request")] = {}


REQUIRED_FIELD = {"stdio": "cmd", "streamable_http": "uri"}
"""What an extension of a type cannot be started without."""


class ExtensionSettings(Section, frozen=True, kw_only=True):
    """An MCP server. Goose's field names; `env_keys` are read from the environment or the stored keys."""

    type: Annotated[Literal["builtin", "stdio", "streamable_http"], executes("How it is reached")]
    name: Annotated[Name | None, executes("Name shown and used in tool names; the table's own by default")] = None
    description: Annotated[str, executes("What it is for")] = ""
    enabled: Annotated[bool, executes("Whether sessions start it")] = True
    cmd: Annotated[Name | None, executes("Program of a stdio extension")] = None
    args: Annotated[tuple[str, ...], executes("Its arguments")] = ()
    env: Annotated[Mapping[str, str], executes("Environment variables given to it")] = {}
    env_keys: Annotated[tuple[str, ...], executes("Names of secrets given to it")] = ()
    cwd: Annotated[Name | None, executes("Folder that it starts in; the workspace by default")] = None
    uri: Annotated[Name | None, executes("Address of a streamable_http extension")] = None
    headers: Annotated[Mapping[str, str], executes("Headers sent to it; $NAME is filled from env_keys")] = {}
    timeout: Annotated[Seconds, executes("Seconds that one call may take")] = 300.0
    available_tools: Annotated[tuple[str, ...], executes("Tools to offer; all of them when empty")] = ()

    def missing(self) -> str | None:
        """The field that this type needs and does not have."""
        field = REQUIRED_FIELD.get(self.type)
        return field if field is not None and getattr(self, field) is None else None


class RuleEntry(Section, frozen=True, kw_only=True):
    """One `[[rules]]` table as it stands in a file. What its fields mean is the permissions package's affair; `file` and
    `line` let it say where a rule that it refuses stands."""

    fields: Mapping[str, Any]
    layer: Literal["user", "project"] = "user"
    file: str = ""
    line: int = 0


class WorktreeSettings(Section, frozen=True, kw_only=True):
    location: Annotated[Name | None, user("Folder for worktrees; a folder of our own by default")] = None
    include: Annotated[tuple[str, ...], both("Ignored files to copy into a worktree, besides those of .worktreeinclude")] = ()
    caches: Annotated[
        tuple[str, ...], both("Ignored folders such as node_modules to clone into a worktree, where a copy costs no space")
    ] = ()
    share: Annotated[
        tuple[str, ...] | None,
        user("Ignored files and folders to share besides those that are found, `!` before what is not; [] shares nothing"),
    ] = None
    setup: Annotated[Name | None, executes("Shell command that makes a new worktree ready")] = None
    setup_timeout: Annotated[Seconds, both("Seconds that it may take")] = 600.0


class TaskSettings(Section, frozen=True, kw_only=True):
    parallel: Annotated[Count, user("Background tasks that work at once; further ones wait in a queue")] = 4
    ports: Annotated[Count, user("Ports that each task has for itself, from $PORT on")] = 10
    first_port: Annotated[Annotated[int, Meta(ge=1024, le=60000)], user("Where the ports of tasks begin")] = 21000


class SandboxSettings(Section, frozen=True, kw_only=True):
    level: Annotated[
        Literal["full", "partial", "none"], user("Weakest sandbox in which commands may run without being asked for")
    ] = "partial"
    network: Annotated[bool, user("Whether commands may reach the network")] = False
    allow_hosts: Annotated[tuple[str, ...], user("Hosts that commands may reach while the network is off")] = ()
    readable: Annotated[tuple[str, ...], user("Folders outside the workspace that commands may read")] = ()
    env: Annotated[tuple[Name, ...], user("Variables of yours that commands get: names, or globs such as AWS_*")] = ()


class UiSettings(Section, frozen=True, kw_only=True):
    theme: Annotated[Name | None, user("Theme; chosen from the terminal's colours by default")] = None
    ascii: Annotated[bool, user("Draw with ASCII characters only")] = False


AUTO = "auto"
"""Among checks: those that are found in the project."""
NONE = "none"
"""In the place of checks: not even those that are found."""


class Settings(Section, frozen=True, kw_only=True):
    """Everything, resolved. Two `Settings` of the same sources are equal."""

    provider: Annotated[Name | None, user("Provider that answers")] = None
    model: Annotated[Name | None, both("Model that answers")] = None
    effort: Annotated[Effort | None, both("How hard it thinks; the provider's own default when not set")] = None
    phases: Phases = Phases()
    mode: Annotated[Mode, user("What may be done without asking: plan, ask, auto, chat")] = "ask"
    plan_approval: Annotated[
        Literal["ask", "auto", "off"], user("Wait for your word on a plan, go on with it, or make none; plan mode always waits")
    ] = "auto"
    limits: LimitSettings = LimitSettings()
    providers: Annotated[Mapping[str, ProviderSettings], user("Providers of your own")] = {}
    models: Annotated[Mapping[str, ModelSettings], user("What differs from the catalogue of models")] = {}
    extensions: Annotated[Mapping[str, ExtensionSettings], executes("MCP servers, by name")] = {}
    checks: Annotated[
        tuple[Name, ...], executes("Shell commands that must succeed before work counts as done; [] runs not even those found")
    ] = ()
    check_timeout: Annotated[Seconds, both("Seconds that one check may take")] = 600.0
    worktree: WorktreeSettings = WorktreeSettings()
    tasks: TaskSettings = TaskSettings()
    sandbox: SandboxSettings = SandboxSettings()
    rules: Annotated[tuple[RuleEntry, ...], tighten("Permission rules, each a table that allows, asks or denies")] = ()
    context_files: Annotated[tuple[FileName, ...], both("Names of instruction files that are read")] = (
        "AGENTS.md",
        ".goosehints",
    )
    encoding: Annotated[Name, both("Encoding of text files that are not UTF-8 and say nothing")] = "latin-1"
    ui: UiSettings = UiSettings()

    def model_for(self, phase: Phase | None = None) -> ModelRef | None:
        """Who answers, in a phase or by default; None where no provider or model was chosen. A phase with a provider of its
        own takes the default model only from that same provider."""
        own: PhaseSettings = getattr(self.phases, phase) if phase is not None else PhaseSettings()
        provider = own.provider or self.provider
        model = own.model or (self.model if provider == self.provider else None)
        if provider is None or model is None:
            return None
        return ModelRef(provider=provider, model=model, effort=own.effort or self.effort)
