"""Patches: both formats read, their places found, all of a patch's files changed or none."""
