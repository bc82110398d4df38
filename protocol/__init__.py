"""The wire protocol: text in, values out.

Pure: no socket, no clock, no file, no log line, and no import of our other packages.
`docs/protocol.md` says what is stable. PROTOCOL_VERSION changes only when an old client would no
longer understand the hub.
"""

PROTOCOL_VERSION = 1

# The version of the program, as `welcome` and `health_check` name it.
VERSION = "0.1.0"
