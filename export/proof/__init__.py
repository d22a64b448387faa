"""Whether a bundle answers as PyTorch does, and every precision of it as float32 does."""
