"""Settings: frozen values made once, from files, environment and flags that are handed in.

Nothing here reads `os.environ`, the working directory or a clock. `load` makes `Settings`, `secrets` keeps keys, `edit`
is the only thing that ever writes the user's file, and only when `configure` is asked to.
"""
