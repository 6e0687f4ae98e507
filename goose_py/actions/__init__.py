"""What a user can ask for, by noun. The command line and the screen call the same functions, so that nothing is done twice.

Each reads the machine through `bootstrap.host`, does one thing, and says how it went; exit codes are the command line's.
"""
