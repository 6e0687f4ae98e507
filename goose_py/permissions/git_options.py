"""The options of git commands that change nothing, as data: what each takes, from git's own documentation (2.39 to 2.47).

Left out is what writes a file (`--output`), runs a program (`--ext-diff`, `--textconv`, `-O` of grep), or makes objects
(`--remerge-diff`): it is asked about. So are abbreviations.
"""

from typing import Final

from goose_py.permissions.options import Syntax, syntax

_FORMAT: Final = (
    "--oneline --pretty? --format= --abbrev-commit --no-abbrev-commit --abbrev? --no-abbrev --decorate? --no-decorate",
    "--decorate-refs= --decorate-refs-exclude= --clear-decorations --date= --relative-date --parents --children --left-right",
    "--graph --no-graph --encoding= --notes? --no-notes --color? --no-color --source --mailmap --no-mailmap --use-mailmap",
    "--no-use-mailmap --log-size --full-diff -L=",
)  # fmt: skip
_RANGE: Final = (
    "-iEFPg -n= -# --max-count= --skip= --since= --after= --until= --before= --since-as-filter= --author= --committer= --grep=",
    "--grep-reflog= --all-match --invert-grep --regexp-ignore-case --extended-regexp --fixed-strings --perl-regexp",
    "--basic-regexp --merges --no-merges --min-parents= --max-parents= --no-min-parents --no-max-parents --first-parent --all",
    "--branches? --tags? --remotes? --glob= --exclude= --reflog --cherry --cherry-mark --cherry-pick --left-only --right-only",
    "--boundary --simplify-by-decoration --full-history --dense --sparse --simplify-merges --ancestry-path? --show-pulls",
    "--date-order --topo-order --author-date-order --reverse --walk-reflogs --not --merge --count --no-walk? --do-walk",
    "--follow --ignore-missing --exclude-first-parent-only --quiet",
)  # fmt: skip
_DIFF: Final = (
    "-pusDRabwWzqtrcm -U= -B? -M? -C? -l= -S= -G= -I= -X? --patch --no-patch --unified= --raw --patch-with-raw",
    "--patch-with-stat --indent-heuristic --no-indent-heuristic --minimal --patience --histogram --anchored= --diff-algorithm=",
    "--stat? --compact-summary --numstat --shortstat --dirstat? --cumulative --summary --name-only --name-status --submodule?",
    "--color? --no-color --color-moved? --no-color-moved --color-moved-ws= --word-diff? --word-diff-regex= --color-words?",
    "--no-renames --rename-empty --no-rename-empty --check --ws-error-highlight= --full-index --binary --abbrev? --no-abbrev",
    "--find-renames? --find-copies? --find-copies-harder --irreversible-delete --diff-filter= --find-object= --pickaxe-all",
    "--pickaxe-regex --skip-to= --rotate-to= --relative? --no-relative --text --ignore-cr-at-eol --ignore-space-at-eol",
    "--ignore-space-change --ignore-all-space --ignore-blank-lines --ignore-matching-lines= --inter-hunk-context=",
    "--function-context --no-ext-diff --no-textconv --ignore-submodules? --src-prefix= --dst-prefix= --no-prefix",
    "--default-prefix --line-prefix= --ita-invisible-in-index --exit-code --quiet --cc --combined-all-paths --diff-merges=",
    "--no-diff-merges --dd --root",
)  # fmt: skip
_LOG: Final = syntax(*_FORMAT, *_RANGE, *_DIFF)
_DIFF_OBJECTS: Final = syntax(*_DIFF, *_FORMAT, "-v --cached --merge-base --stdin --no-commit-id --always")
_BLAME: Final = syntax(
    "-tsewfnpcbl -L= -M? -C? -# --root --show-stats --show-email --show-name --show-number --porcelain --line-porcelain",
    "--incremental --date= --abbrev= --since= --first-parent --reverse --color-lines --color-by-age --ignore-rev= --minimal",
    "--progress --no-progress",
)

# Subcommands of which every form with these options reads. `status` may refresh the index, which is a cache.
READING: Final[dict[str, Syntax]] = {
    "log": _LOG,
    "show": _LOG,
    "whatchanged": _LOG,
    "diff": syntax(*_DIFF, "--staged --cached --merge-base --no-index --base --ours --theirs -0"),
    "diff-tree": _DIFF_OBJECTS,
    "diff-index": _DIFF_OBJECTS,
    "diff-files": _DIFF_OBJECTS,
    "range-diff": syntax(*_DIFF, "--creation-factor= --no-dual-color --left-only --right-only"),
    "rev-list": syntax(
        *_FORMAT, *_RANGE, "--objects --objects-edge --header --timestamp --disk-usage? --no-object-names --no-commit-header"
    ),
    "shortlog": syntax(*_RANGE, "-se -w? --numbered --summary --email --group= --format="),
    "status": syntax(
        "-sbvz -u? --short --branch --show-stash --porcelain? --long --verbose --untracked-files? --ignore-submodules?",
        "--ignored? --column? --no-column --ahead-behind --no-ahead-behind --renames --no-renames --find-renames?",
    ),
    "blame": _BLAME,
    "annotate": _BLAME,
    "rev-parse": syntax(
        "-q --abbrev-ref? --short? --verify --quiet --symbolic --symbolic-full-name --all --branches? --tags? --remotes?",
        "--show-toplevel --show-prefix --show-cdup --git-dir --absolute-git-dir --git-common-dir --is-inside-work-tree",
        "--is-inside-git-dir --is-bare-repository --is-shallow-repository --show-superproject-working-tree --path-format=",
        "--git-path= --show-object-format? --sq --not --revs-only --no-revs --flags --no-flags --default=",
    ),
    "ls-files": syntax(
        "-cdmoisukztv -x= -X= --cached --deleted --modified --others --ignored --stage --unmerged --killed --directory",
        "--no-empty-directory --eol --exclude= --exclude-from= --exclude-per-directory= --exclude-standard --error-unmatch",
        "--full-name --abbrev? --deduplicate --format= --debug",
    ),
    "ls-tree": syntax("-drtlz --name-only --name-status --long --full-name --full-tree --abbrev? --format= --object-only"),
    "cat-file": syntax("-epts --batch? --batch-check? --batch-all-objects --unordered --follow-symlinks --buffer"),
    "describe": syntax(
        "--all --tags --contains --abbrev? --candidates= --exact-match --debug --long --match= --exclude= --always",
        "--first-parent --dirty? --broken?",
    ),
    "name-rev": syntax("--tags --refs= --exclude= --all --name-only --no-undefined --always"),
    "merge-base": syntax("-a --all --octopus --independent --is-ancestor --fork-point"),
    "grep": syntax(
        "-ivwhHIlLnrcoqEFGPpWza -A= -B= -C= -e= -f= -m= -# --cached --untracked --no-index --exclude-standard",
        "--no-exclude-standard --and --or --not --all-match --max-depth= --threads= --color? --no-color --column --heading",
        "--break --name-only --files-with-matches --files-without-match --count --line-number --ignore-case --word-regexp",
        "--invert-match --full-name --extended-regexp --fixed-strings --perl-regexp --basic-regexp --only-matching",
        "--show-function --function-context --context= --after-context= --before-context= --text --null --quiet --recursive",
        "--no-recursive --max-count=",
    ),
    "for-each-ref": syntax(
        "--count= --sort= --format= --color? --shell --perl --python --tcl --points-at? --merged? --no-merged? --contains?",
        "--no-contains? --ignore-case --exclude=",
    ),
    "show-ref": syntax("-dq --head --heads --branches --tags --dereference --hash? --verify --quiet --abbrev? --exists"),
    "show-branch": syntax("-ar --all --remotes --list --topo-order --date-order --sha1-name --no-name --current --topics"),
    "count-objects": syntax("-vH --verbose --human-readable"),
    "version": syntax("--build-options"),
    "check-ignore": syntax("-qvzn --quiet --verbose --stdin --non-matching --no-index"),
    "check-attr": syntax("-az --all --cached --stdin"),
    "cherry": syntax("-v --abbrev?"),
    "var": syntax("-l"),
    "check-ref-format": syntax("--branch --normalize --allow-onelevel --refspec-pattern"),
    "patch-id": syntax("--stable --unstable --verbatim"),
    "stripspace": syntax("-sc --strip-comments --comment-lines"),
}

# Those of which only these second words read, with the options that follow them.
SECOND_WORDS: Final[dict[tuple[str, str], Syntax]] = {
    ("stash", "list"): _LOG,
    ("stash", "show"): syntax(*_DIFF, "--include-untracked --only-untracked"),
    ("worktree", "list"): syntax("-vz --porcelain --verbose --expire="),
    ("notes", "list"): syntax(),
    ("notes", "show"): syntax(),
    ("bisect", "log"): syntax(),
    ("submodule", "status"): syntax("--cached --recursive --quiet"),
    ("reflog", ""): syntax(),
    ("reflog", "show"): _LOG,
    ("reflog", "list"): syntax(),
    ("reflog", "exists"): syntax(),
    ("sparse-checkout", "list"): syntax(),
    ("remote", "get-url"): syntax("--all --push"),
}
