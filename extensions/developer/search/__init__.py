"""Finding files and lines, with ripgrep where it is there."""
