"""The name that others import: the client, and the command line."""
