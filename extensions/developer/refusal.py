"""The one exception by which a tool says no."""


class Refused(Exception):
    """A tool call that cannot be done, told to the model as it stands.

    The message is one clear sentence (a shown region of a file may follow it): what is wrong, where, and what to do.
    Whoever raises it has left every file as it was.
    """
