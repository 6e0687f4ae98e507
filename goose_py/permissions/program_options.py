"""The options of programs that change nothing, as data: what each takes, from its own documentation.

Left out is what writes, runs another program, talks to the network, or is not worth its line: it is asked about. GNU coreutils
9, diffutils 3, grep 3, findutils 4, util-linux 2, procps 4, binutils 2, file 5, jq 1.7, ripgrep 13, tree 2. The differential
test runs each of them.
"""

from typing import Final

from goose_py.permissions.options import Syntax, syntax

_LS: Final = syntax(
    "-aAbBcCdDfFgGhHiklLmnNopqQrRsStuUvxXZ1 -I= -T= -w= --all --almost-all --author --escape --block-size= --ignore-backups",
    "--color? --directory --dired --classify? --file-type --format= --full-time --group-directories-first --no-group",
    "--human-readable --si --dereference-command-line --dereference --hide= --hyperlink? --indicator-style= --inode --ignore=",
    "--kibibytes --numeric-uid-gid --literal --hide-control-chars --show-control-chars --quote-name --quoting-style= --reverse",
    "--recursive --size --sort= --time= --time-style= --tabsize= --width= --context --zero",
)
_GREP: Final = syntax(
    "-EFGPacHhiIlLnoqrRsTUvwxyzZb -e= -f= -m= -A= -B= -C= -d= -D= -# --extended-regexp --fixed-strings --basic-regexp",
    "--perl-regexp --regexp= --file= --ignore-case --no-ignore-case --invert-match --word-regexp --line-regexp --count",
    "--color? --colour? --files-without-match --files-with-matches --max-count= --only-matching --quiet --silent --no-messages",
    "--byte-offset --with-filename --no-filename --label= --line-number --initial-tab --null --after-context=",
    "--before-context= --context= --group-separator= --no-group-separator --text --binary-files= --devices= --directories=",
    "--exclude= --exclude-from= --exclude-dir= --include= --recursive --dereference-recursive --line-buffered --binary",
    "--null-data",
)
_SUM: Final = syntax(
    "-bctwz -l= --binary --check --tag --text --ignore-missing --quiet --status --strict --warn --zero --length="
)
_ENCODING: Final = syntax("-di -w= --decode --ignore-garbage --wrap=")
_NONE: Final = syntax()

OPTIONS: Final[dict[str, Syntax]] = {
    "cat": syntax(
        "-AbeEnstTuv --show-all --number-nonblank --show-ends --number --squeeze-blank --show-tabs --show-nonprinting"
    ),
    "ls": _LS,
    "dir": _LS,
    "vdir": _LS,
    "head": syntax("-qvz -c= -n= -# --bytes= --lines= --quiet --silent --verbose --zero-terminated"),
    "tail": syntax(
        "-fFqvz -c= -n= -s= -# + --bytes= --follow? --lines= --pid= --quiet --silent --retry --sleep-interval= --verbose",
        "--zero-terminated --max-unchanged-stats=",
    ),
    "wc": syntax("-clLmw --bytes --chars --lines --max-line-length --words --total="),
    "pwd": syntax("-LP"),
    "basename": syntax("-az -s= --multiple --suffix= --zero", permutes=False),
    "dirname": syntax("-z --zero"),
    "realpath": syntax(
        "-emLPqsz --canonicalize-existing --canonicalize-missing --logical --physical --quiet --relative-to= --relative-base=",
        "--strip --no-symlinks --zero",
    ),
    "readlink": syntax(
        "-fenmqsvz --canonicalize --canonicalize-existing --canonicalize-missing --no-newline --quiet --silent --verbose --zero"
    ),
    "stat": syntax("-Lft -c= --dereference --file-system --cached= --format= --printf= --terse"),
    "du": syntax(
        "-0abcDhHklLmsSPx -B= -d= -t= -X= --all --apparent-size --block-size= --bytes --total --dereference-args --max-depth=",
        "--human-readable --inodes --summarize --si --separate-dirs --threshold= --time? --time-style= --exclude=",
        "--exclude-from= --one-file-system --no-dereference --dereference --null --count-links",
    ),
    "df": syntax(
        "-ahHiklPTv -B= -t= -x= --all --block-size= --human-readable --si --inodes --local --no-sync --output? --portability",
        "--print-type --total --type= --exclude-type=",
    ),
    "cut": syntax(
        "-nsz -b= -c= -d= -f= --bytes= --characters= --delimiter= --fields= --complement --only-delimited --output-delimiter=",
        "--zero-terminated",
    ),
    "tr": syntax("-cCdst --complement --delete --squeeze-repeats --truncate-set1", permutes=False),
    "nl": syntax("-p -b= -d= -f= -h= -i= -l= -n= -s= -v= -w= --body-numbering= --number-format= --number-width="),
    "tac": syntax("-br -s= --before --regex --separator="),
    "rev": _NONE,
    "fold": syntax("-bs -w= --bytes --spaces --width="),
    "paste": syntax("-sz -d= --serial --delimiters= --zero-terminated"),
    "join": syntax(
        "-iz -1= -2= -a= -e= -j= -o= -t= -v= --check-order --nocheck-order --header --ignore-case --zero-terminated"
    ),
    "comm": syntax("-123z --check-order --nocheck-order --output-delimiter= --total --zero-terminated"),
    "cmp": syntax("-bls -i= -n= --print-bytes --ignore-initial= --verbose --bytes= --quiet --silent"),
    **dict.fromkeys(("md5sum", "sha1sum", "sha224sum", "sha256sum", "sha384sum", "sha512sum", "b2sum"), _SUM),
    "cksum": syntax("-a= -l= --algorithm= --length= --untagged --tag --check --zero"),
    "sum": syntax("-rs --sysv"),
    "od": syntax(
        "-abcdfilosxv -A= -j= -N= -S= -t= -w? + --address-radix= --skip-bytes= --read-bytes= --format= --output-duplicates",
        "--width?",
    ),
    "hexdump": syntax("-bcCdovx -e= -f= -n= -s= --canonical --length= --skip= --no-squeezing"),
    "id": syntax("-agGnruzZ --context --group --groups --name --real --user --zero"),
    "whoami": _NONE,
    "uname": syntax("-asnrvmpio --all --kernel-name --nodename --kernel-release --kernel-version --machine --operating-system"),
    "groups": _NONE,
    "logname": _NONE,
    "nproc": syntax("--all --ignore="),
    "which": syntax("-a"),
    "type": syntax("-afptP", permutes=False),
    "sleep": _NONE,
    "seq": syntax("-w -f= -s= -# --equal-width --format= --separator=", permutes=False),
    **dict.fromkeys(("grep", "egrep", "fgrep"), _GREP),
    "column": syntax("-txeLJ -c= -s= -o= -N= -R= -H= --table --separator= --output-separator= --output-width= --json"),
    "expand": syntax("-i -t= -# --initial --tabs="),
    "unexpand": syntax("-a -t= --all --first-only --tabs="),
    "fmt": syntax("-cstu -w= -p= -g= -# --crown-margin --split-only --tagged-paragraph --uniform-spacing --width= --prefix="),
    "base64": _ENCODING,
    "base32": _ENCODING,
    "numfmt": syntax(
        "-z -d= --from= --to= --field= --padding= --suffix= --format= --header? --delimiter= --grouping --invalid= --round=",
        "--from-unit= --to-unit= --zero-terminated",
    ),
    "factor": _NONE,
    "uptime": syntax("-ps --pretty --since"),
    "free": syntax("-bkmghltvw -s= -c= --bytes --kibi --mebi --gibi --human --lohi --total --wide --seconds= --count="),
    "lscpu": syntax("-abcJ -e? -p? --all --online --offline --json --extended? --parse?"),
    "arch": _NONE,
    "tty": syntax("-s --silent --quiet"),
    "getconf": syntax("-a"),
    "tsort": _NONE,
    "ps": syntax(
        "-AadeEfFHjlLmMNTwyZ -C= -G= -g= -o= -O= -p= -q= -s= -t= -u= -U= -k= --forest --sort= --no-headers --headers --pid=",
        "--ppid= --user= --format= --cols= --columns= --width= --rows= --lines= --deselect",
    ),
    "strings": syntax("-afow -n= -t= -e= -s= -# --all --print-file-name --bytes= --radix= --encoding= --output-separator="),
    "jq": syntax(
        "-nrjasSCMce --null-input --raw-output --join-output --ascii-output --slurp --sort-keys --color-output",
        "--monochrome-output --compact-output --exit-status --raw-input --tab --indent~ --arg== --argjson== --slurpfile==",
        "--rawfile== --args --jsonargs --seq --stream --unbuffered -R",
    ),
    "pathchk": syntax("-pP --portability"),
    "pr": syntax("-adfFJmrtTv -D= -h= -l= -N= -o= -w= -W= -# + --header= --length= --indent= --width= --omit-header"),
    "cal": syntax("-13jy -A= -B="),
    "pgrep": syntax(
        "-acfilnovwx -d= -g= -G= -P= -s= -t= -u= -U= --list-name --list-full --full --count --newest --oldest --inverse",
        "--exact --parent= --euid= --uid= --delimiter= --ignore-case",
    ),
    "sort": syntax(
        "-bdfgiMhnRrVcCmsuz -k= -t= -S= + --ignore-leading-blanks --dictionary-order --ignore-case --general-numeric-sort",
        "--ignore-nonprinting --month-sort --human-numeric-sort --numeric-sort --random-sort --reverse --sort= --version-sort",
        "--check? --merge --key= --stable --buffer-size= --field-separator= --parallel= --unique --zero-terminated",
        "--batch-size= --debug --random-source=",
    ),
    "shuf": syntax("-erz -i= -n= --echo --input-range= --head-count= --repeat --zero-terminated --random-source="),
    "diff": syntax(
        "-abBdeEfHinNpPqrstTuvwyZc -C= -U= -W= -x= -X= -I= -F= -L= -S= -D= --brief --unified? --context? --recursive",
        "--new-file --text --ignore-all-space --ignore-space-change --ignore-blank-lines --ignore-case --ignore-tab-expansion",
        "--ignore-trailing-space --side-by-side --width= --suppress-common-lines --color? --exclude= --exclude-from= --label=",
        "--minimal --report-identical-files --strip-trailing-cr --no-dereference --starting-file= --from-file= --to-file=",
        "--show-c-function --show-function-line= --ignore-matching-lines= --expand-tabs --initial-tab --normal --ed --rcs",
        "--left-column --tabsize= --speed-large-files",
    ),
    "file": syntax(
        "-bhikLNr0 -F= --brief --mime --mime-type --mime-encoding --keep-going --no-dereference --dereference --raw",
        "--separator= --extension --apple --print0 --no-pad",
    ),
    "tree": syntax(
        "-adfilpsughDFrtcUvqNQJXCASn -L~ -P~ -I~ --dirsfirst --noreport --gitignore --prune --du --si --inodes --device",
        "--matchdirs --ignore-case",
    ),
    "rg": syntax(
        "-aciFHIlLnNoPpqsSuUvwx0 -e= -f= -A= -B= -C= -g= -j= -m= -M= -t= -T= -r= -E= -d= --after-context= --before-context=",
        "--context= --regexp= --file= --glob= --iglob= --threads= --max-count= --max-columns= --type= --type-not= --replace=",
        "--encoding= --max-depth= --case-sensitive --ignore-case --smart-case --fixed-strings --with-filename --no-filename",
        "--invert-match --line-number --no-line-number --column --files --files-with-matches --files-without-match --count",
        "--count-matches --only-matching --hidden --no-hidden --no-ignore --no-ignore-vcs --no-ignore-parent --no-config",
        "--multiline --multiline-dotall --pcre2 --word-regexp --line-regexp --heading --no-heading --json --color= --colors=",
        "--sort= --sortr= --stats --text --binary --unrestricted --follow --null --null-data --vimgrep --quiet --trim --pretty",
        "--type-list --passthru --one-file-system --max-filesize= --glob-case-insensitive --crlf --no-messages --pre-glob=",
        "--ignore-file= --context-separator=",
    ),
    "uniq": syntax(
        "-cduiDz -f= -s= -w= -# + --count --repeated --all-repeated? --skip-fields= --group? --ignore-case --skip-chars=",
        "--unique --zero-terminated --check-chars=",
    ),
    "date": syntax("-uR -d= -r= -I? --date= --reference= --utc --universal --iso-8601? --rfc-3339= --rfc-email --debug"),
}

ANY_WORDS: Final = frozenset({"echo", "true", "false", ":", "expr"})
"""Programs that know no options, or none that do anything but print."""

NO_OPTION_WRITES: Final = ANY_WORDS | frozenset(OPTIONS) - {
    "sort", "shuf", "diff", "file", "tree", "rg", "uniq", "date", "strings", "seq", "cal", "which", "type", "pgrep",
}  # fmt: skip
"""Those of which no option, described or not, writes, runs or reaches anything: a file named like an option is harmless."""
