"""What `goose-py demo` works on: a small project with a failing test, and the scripted model's replies."""

from pathlib import Path

FOLDER = Path(__file__).resolve().parent
PROJECT = FOLDER / "project"
SCRIPT = FOLDER / "script.yaml"
TEST = "test_cart.py"
