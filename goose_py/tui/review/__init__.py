"""The screen of a review: diffs on the line API, verdicts, and what becomes of a change."""
