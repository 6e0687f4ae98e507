"""Sessions of other agents as events of ours: pure mappings, one module a program.

What was said, called and answered is carried over, in order. Signatures of thinking, prompts of the other program and its
own bookkeeping are not: they are worth nothing here, and the report says so by name and number."""
