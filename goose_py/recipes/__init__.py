"""Recipes: a file that says what to do, with which parameters, tools, checks and answer. Goose's format (1.47 to 1.52), read
so that nothing in a parameter's value can change what the file says.

`load` reads one, `render` fills it in, `executables` lists every command that it would run.
"""
