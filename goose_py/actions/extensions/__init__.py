"""The servers of tools, as their user handles them."""
