"""The command line `realm-engine`: one file per verb, no logic."""
