"""What the screen knows: frozen values, made from the worker's events by one pure function."""
