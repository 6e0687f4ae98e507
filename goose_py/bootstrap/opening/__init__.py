"""The steps of opening a task: `open_task` takes them in order."""
