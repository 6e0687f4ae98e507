"""The cases of the reducer by what they are about. Each sees the state with `seq` and `at` already those of its record."""
