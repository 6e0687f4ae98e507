"""The processes that carry tasks: started, found, copied from a warm parent, queued, and ended."""
