"""Studies: The batch size, and what goes with it."""
