"""What is needed once: configuration, trust, a check of the machine, the demonstration."""
