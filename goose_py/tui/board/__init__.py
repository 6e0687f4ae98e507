"""The screen of all tasks: what each does, needs, and can be answered from here."""
