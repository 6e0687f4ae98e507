"""What the terminal sends, read by us: a paste is text whatever it holds, and only a key that came alone is a key."""
