"""What becomes of a task's changes: decided, rebased, checked, merged, described."""
