"""A line that was written into the terminal with the Enter that ends it."""

from textual import events


class EnteredLine(events.Paste):
    """For everything but the prompt this is a paste: an Enter that did not come alone answers no question."""


EnteredLine.handler_name = events.Paste.handler_name  # Textual names the handler of each class after the class
