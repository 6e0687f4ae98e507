"""The modules that speak MCP. They import the SDK, which takes most of a second: `toolbox.endpoint` loads them in a
thread, at the first connection."""
