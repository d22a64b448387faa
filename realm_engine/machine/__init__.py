"""The machine that REALM runs on: files and locks, processor, memory, control groups."""
