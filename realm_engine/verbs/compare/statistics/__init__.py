"""Arithmetic of comparisons: pure functions on arrays, every one with a seed where it draws."""
