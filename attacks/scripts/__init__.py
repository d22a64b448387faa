"""The attacks, a script each. `ATTACKS`: those of a script, variants of one thing."""
