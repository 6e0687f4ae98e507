"""The terminal interface: a pure reducer over the task's events, and widgets that draw what it says.

Nothing here does work of its own. The screen attaches to a worker over its socket, sends commands, and draws records; it may
come and go while the work goes on.
"""
