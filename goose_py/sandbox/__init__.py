"""Confinement of processes by the operating system: policies, backends, and the probe that tells which one holds here."""
