"""The terminal interface opened, with everything that it is handed of the world."""
