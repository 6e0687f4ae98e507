"""Who could answer, and what is known of them."""
