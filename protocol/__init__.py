"""The wire protocol: text in, values out.

Pure: no socket, no clock, no file, no log line, and nothing of ours imported. What is stable is
`docs/protocol.md`; PROTOCOL_VERSION changes only when an old client would no longer understand.
"""

PROTOCOL_VERSION = 1

# The program's own version: what `welcome` and `health_check` name.
VERSION = "0.1.0"
