"""Opens the way to the proxy and becomes the command. Run as a file inside the container: `python -I -S reach.py JSON`.

It imports nothing of ours but the file beside it. JSON is one object: `socket` (of the proxy), `filter` (the system-call filter
that the command gets, without local sockets) and `argv`. Exits 126 with one sentence on standard error where that fails.
"""

import json
import os
import socket
import sys

LIFELINE = 250
"""The descriptor that stays open in the command and all it starts, so that the proxy sees when the last of them has gone."""


def main():
    sys.path.insert(0, os.path.dirname(__file__))  # noqa: PTH120 - pathlib would double the time to start
    import confine

    try:
        wanted = json.loads(sys.argv[1])
        with open(wanted["filter"], "rb") as file:  # noqa: PTH123
            calls = file.read()
        program = confine.find_program(wanted["argv"][0])
        proxy = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        proxy.connect(wanted["socket"])
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        socket.send_fds(proxy, [b"l"], [listener.fileno()])
        listener.close()
        os.dup2(proxy.fileno(), LIFELINE, inheritable=True)
        proxy.close()
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
            os.environ[name] = address
        os.environ["NO_PROXY"] = os.environ["no_proxy"] = "localhost,127.0.0.1,::1"
        os.environ["NODE_USE_ENV_PROXY"] = "1"
        confine.filter_calls(calls)
        os.execv(program, wanted["argv"])
    except (OSError, ValueError, KeyError) as error:
        sys.stderr.write(f"The way to the allowed hosts could not be opened, so the command was not run: {error}\n")
        sys.exit(126)


if __name__ == "__main__":
    main()
