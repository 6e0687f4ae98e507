"""`python tests/benchmarks/run.py [NAME ...]`: prints figures beside their goals; all benchmarks without a name. Never fails on
time: what is slow on a busy machine is no bug. Names are those of the files, without `bench_`."""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> int:
    scripts = {path.stem.removeprefix("bench_"): path for path in sorted(HERE.glob("bench_*.py"))}
    wanted = sys.argv[1:] or list(scripts)
    if unknown := [name for name in wanted if name not in scripts]:
        print(f"There is no benchmark {unknown[0]!r}; there are: {', '.join(scripts)}.", file=sys.stderr)
        return 2
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(HERE.parent), str(HERE.parent.parent)))}
    failed = 0
    for name in wanted:
        print(f"== {name}", flush=True)
        failed |= subprocess.run([sys.executable, scripts[name]], env=env, check=False).returncode
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
