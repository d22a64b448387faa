"""Measures: numbers for a picture, one file per kind."""
