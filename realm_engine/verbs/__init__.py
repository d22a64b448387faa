"""The work behind each word of the command line, callable without it."""
