"""The doctor: what of this machine the engine can use, what it cannot, and what cures it."""
