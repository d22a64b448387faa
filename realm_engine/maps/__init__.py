"""Maps: a number for every pixel, from windows and their similarity to a text."""
