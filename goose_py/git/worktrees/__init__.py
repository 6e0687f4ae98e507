"""A task's worktree: its base, its life, the commits made in it, and what no tree of it can hold."""
