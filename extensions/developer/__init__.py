"""The tools of a developer, bound to one workspace folder: as functions, and as an MCP server.

The package stands alone: it imports nothing of the program that ships it, and uses relative imports only, so that a
host may load it under any name. `tools.bind` gives the functions; `server.create_server` builds the server that answers
with them, and `python -m developer WORKSPACE` serves it over stdio. Importing this package imports nothing else: `mcp` loads
with `.server` alone.
"""
