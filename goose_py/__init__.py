"""goose-py: a coding agent for the terminal that works in git worktrees and lets a person approve every change."""

__version__ = "0.1.0"
