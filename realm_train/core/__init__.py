"""CORE: an image and a description in, one mean opinion score of realness out."""
