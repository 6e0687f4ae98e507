"""Recipe files found, shown, filled in and run."""
