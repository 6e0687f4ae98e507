"""Looking at what a task changed, deciding on it, and bringing it to the user's files and branch."""
