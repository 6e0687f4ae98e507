"""The environment of every git process that goose-py starts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

_INHERITED = (
    "PATH", "HOME", "XDG_CONFIG_HOME", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "USERPROFILE",
    "GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "EMAIL", "SUDO_UID",
)  # fmt: skip

_FIXED = {
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_PAGER": "cat",
    "GIT_EDITOR": "false",
    "GIT_SEQUENCE_EDITOR": "false",
    "GIT_ASKPASS": "false",
    "SSH_ASKPASS": "false",
    "GIT_SSH_COMMAND": "false",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_ADVICE": "0",
}

# Command-scope configuration outranks what a repository says about itself.
_OVERRIDES = (
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.untrackedCache", "false"),
    ("core.splitIndex", "false"),
    ("core.quotePath", "false"),
    ("core.logAllRefUpdates", "true"),
    ("commit.gpgSign", "false"),
    ("tag.gpgSign", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("submodule.recurse", "false"),
    ("status.submoduleSummary", "false"),
    ("index.sparse", "false"),
    ("protocol.allow", "never"),
    ("credential.helper", ""),
    ("color.ui", "false"),
    ("diff.renameLimit", "2000"),
)


# Since git 2.54 hooks can also be defined in the configuration, which core.hooksPath does not stop (git-hook(1)). A later
# version switches them off by event; for 2.54 itself `disabled_hooks` names each.
_HOOK_EVENTS = (
    "reference-transaction", "post-checkout", "post-index-change", "pre-auto-gc", "pre-commit", "prepare-commit-msg",
    "commit-msg", "post-commit", "pre-merge-commit", "post-merge", "pre-rebase", "post-rewrite", "pre-push",
)  # fmt: skip


def disabled_hooks(names: Iterable[str]) -> list[tuple[str, str]]:
    """Configuration that switches off hooks, by their name or by their event."""
    return [(f"hook.{name}.enabled", "false") for name in names]


def with_configuration(env: Mapping[str, str], pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """`env` with more command-scope configuration."""
    extended = dict(env)
    count = int(extended.get("GIT_CONFIG_COUNT", "0"))
    for key, value in pairs:
        extended[f"GIT_CONFIG_KEY_{count}"] = key
        extended[f"GIT_CONFIG_VALUE_{count}"] = value
        count += 1
    extended["GIT_CONFIG_COUNT"] = str(count)
    return extended


def hardened_environment(base: Mapping[str, str]) -> dict[str, str]:
    """From the user's environment, only what git needs to run; then everything that keeps it from executing anything
    (hooks, fsmonitor, editors, pagers, askpass, transports), from prompting, from the network and from other configuration
    than the repository's own. Filters, textconv and drivers are kept away by the private git directory, whose
    configuration names none, and by `--no-ext-diff --no-textconv` on diffs."""
    env = {name: base[name] for name in _INHERITED if name in base}
    env.update(_FIXED)
    return with_configuration(env, (*_OVERRIDES, *disabled_hooks(_HOOK_EVENTS)))
