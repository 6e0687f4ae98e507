"""Consumers for runs without a screen: text, one JSON document, or a stream of JSON lines.

Standard output carries the result and nothing else; progress goes to standard error. The exit code tells the truth.
"""
