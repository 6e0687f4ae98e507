"""Where a task works: its worktree made or found again, and what it is told of it."""
