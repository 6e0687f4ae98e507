"""What a log knows of each recorded state of a task: when it was, how it came about, who made which line of it. Pure folds."""
