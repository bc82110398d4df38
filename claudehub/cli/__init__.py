"""The command line: the server, the demo, the commands of a client, and tools for the data
folder."""
