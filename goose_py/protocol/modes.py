"""Modes: how much a session may do without asking."""

from typing import Literal

Mode = Literal["plan", "ask", "auto", "chat"]
"""`plan`: nothing is written, a plan is proposed. `ask`: what the rules do not allow is asked. `auto`: only what is
gated in every mode is asked. `chat`: no tools are run."""
