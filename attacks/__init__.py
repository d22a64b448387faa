"""What a stranger might hand to the engine, one script each, and what must happen: `python -m attacks`."""
