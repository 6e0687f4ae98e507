"""Trees: snapshots of folders, differences between them, and ways from one to another."""
