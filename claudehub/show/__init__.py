"""What people see in a terminal: updates, tool calls, edits and questions as text. The command line
and the live views use it."""
