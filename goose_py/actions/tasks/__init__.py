"""Starting, steering, comparing and cleaning up tasks."""
