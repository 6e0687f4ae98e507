"""The screen of a conversation: its log, its prompt, and what is offered while something is typed."""
