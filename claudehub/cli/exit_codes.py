"""The exit codes of all commands."""

SUCCESS = 0
FAILED = 1
USAGE = 2
NO_CONNECTION = 7
BY_OUTCOME = {
    "success": SUCCESS,
    "error": FAILED,
    "timeout": 3,
    "killed": 4,
    "cancelled": 5,
    "lost": 6,
    "interrupted": 130,
}
INTERRUPTED = BY_OUTCOME["interrupted"]

IN_HELP = """\b
Exit codes:
    0  success
    1  error: the agent has failed, or the hub refused the request
    2  the command line or a setting is wrong
    3  timeout: the time limit has ended the execution
    4  killed
    5  cancelled while it waited
    6  lost: the hub crashed during the execution
    7  no connection to the hub
  130  interrupted
"""
