"""Commands: started, watched, their output kept within bounds, their whole family ended."""
