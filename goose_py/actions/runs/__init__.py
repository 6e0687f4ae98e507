"""A task run to its end in front of the user, without a screen."""
