"""Scores and maps over HTTP: the work behind `realm-engine serve`."""
