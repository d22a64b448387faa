"""Tables of scores: rows and their formats, and how a table survives a kill."""
