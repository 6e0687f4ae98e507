"""Repositories, task worktrees, snapshots and diffs, all through git trees.

Two rules hold everywhere. The user's repository is read, and written only where a function says so; what touches files goes
through a private git directory that goose-py owns, so that no hook, filter, fsmonitor or driver of the repository or of the
agent's worktree is ever executed. And nothing is deleted that is not in a snapshot first.
"""
