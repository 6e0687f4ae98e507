"""Sessions: the event log, the bus that fans it out, the turns between them, and what can be read out of a log."""
