"""What was said and done earlier: read, searched, brought in from other programs, gone on with, run again."""
