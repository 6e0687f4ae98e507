"""What a task sees at the places of its user: folders to hang mounts on, and copy-on-write shares."""
