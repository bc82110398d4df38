"""The one name that others import: a client, and the command line."""
