"""The agent: ports, the turn loop, tool calls, what the model sees. It imports no SDK, no git and no subprocess."""
