"""Tasks: a spec, a worktree, a session and a changeset; the processes that run them, and how others reach those."""
