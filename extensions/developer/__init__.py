"""An MCP server with the tools of a developer, bound to one workspace folder.

The package stands alone: it imports nothing of the program that ships it, and uses relative imports only, so that a
host may load it under any name. `server.create_server` builds the server; `python -m developer WORKSPACE` serves it
over stdio. Importing this package imports nothing else: `mcp` loads with `.server`.
"""
