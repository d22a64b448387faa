"""The suites, one file each: `run(settings, book, say)` adds cases and tables to the book."""
