"""`python -m developer [WORKSPACE]`, run from the folder above: serves over stdio.

`--write-manifest` instead writes `tools.json` anew, the static list of the tools as `tools/list` answers it, by which a
host can tell a model of the tools before it has imported anything. A test compares the two.
"""

import argparse
import json
import logging
import os
import sys
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="developer", description="MCP server with shell, file and search tools, over stdio."
    )
    parser.add_argument(
        "workspace", nargs="?", type=Path, default=Path.cwd(), help="the folder to work in (default: the current one)"
    )
    parser.add_argument("--state", type=Path, help="folder for full logs of commands (default: a temporary one)")
    parser.add_argument("--write-manifest", action="store_true", help="write tools.json and exit")
    chosen = parser.parse_args()

    if chosen.write_manifest:
        from .tools import tool_list

        text = json.dumps(tool_list(), indent=2, ensure_ascii=False) + "\n"
        Path(__file__).with_name("tools.json").write_text(text, "utf-8")
        return 0

    import anyio

    from . import server

    logging.basicConfig()
    try:
        anyio.run(server.serve, chosen.workspace, chosen.state, dict(os.environ))
    except server.Refused as refusal:
        print(refusal, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
