"""What each setting does, as docs/configuration.md says it, in groups.

`python -m claudehub.cli.configuration_page docs/configuration.md` puts it into the page. The short
text that `--help` shows is in settings.py.
"""

from collections.abc import Mapping

# The title of a group, its settings, and for each what it does, in Markdown.
GROUPS: Mapping[str, Mapping[str, str]] = {
    "Where it listens": {
        "ws_port": (
            "port; with 0 the hub picks a free one. At its start it prints one line to standard "
            "output: `listening on ws://HOST:PORT` (`wss://` with TLS). With `off` it listens on "
            "`SOCKET` only, and prints `listening on unix:PATH`"
        ),
        "bind": (
            "the address to listen on; `localhost` stands for 127.0.0.1 and ::1, at the same "
            "port. Without `AUTHORIZED_KEYS` it must be a loopback address, unless "
            "`ALLOW_UNAUTHENTICATED=yes`"
        ),
        "socket": (
            "a Unix socket to listen on as well (mode 0600; only for the server's own user and "
            "root); its connections need no key. The `claudehub` commands [find "
            "it](security.md#on-a-machine-with-others) through the same setting"
        ),
        "tls_cert": (
            "PEM file with the certificate and its chain. If it is set, the server accepts only "
            "TLS 1.2 or later. It reads the file again within seconds after a change"
        ),
        "tls_key": (
            "PEM file with the certificate's key, not encrypted; read again with the certificate"
        ),
        "path_prefix": (
            "`/hub`: the hub is reached at this path too, and at `/` as always. For a proxy that "
            "passes the path on unchanged"
        ),
        "compression": (
            "permessage-deflate, if the client offers it. The hub compresses each live update "
            "once and sends the result to all subscribers"
        ),
    },
    "Who may come in": {
        "authorized_keys": (
            "an OpenSSH `authorized_keys` file: a client on the port must [prove that it has a "
            "key of this file](security.md#keys). The hub reads it again within a second or two "
            "after a change"
        ),
        "allow_unauthenticated": (
            "`yes`: without keys, the hub may listen on an address other than loopback. Anyone "
            "who reaches the port can then run commands as you"
        ),
        "public_names": (
            "host names and addresses under which clients reach the hub, separated by commas: "
            "`hub.example.org,*.tail1234.ts.net`. A client [signs the name that it "
            "dialled](security.md#keys), and the hub takes only these. `*.` stands for one label, "
            "as in certificates. Without this setting the hub takes the names of its certificate, "
            "the machine's host name, and the address at which the connection came in"
        ),
        "auth_timeout": (
            "the time limit for the TLS and HTTP handshakes together; a client then has the same "
            "time again to authenticate"
        ),
        "revoke_kills": (
            "`yes`: when a key is removed, expires or loses its right, the hub also kills the "
            "execution that it has started. It cancels the key's waiting prompts in any case "
            "([keys](security.md#keys))"
        ),
        "allowed_origins": "browser origins that may connect",
        "protocol_v0": (
            "`on`: the hub speaks the protocol of the older server on `/ws` "
            "([version 0](version-0.md)). Its clients cannot use keys, so a port that needs keys "
            "refuses them"
        ),
    },
    "Projects": {
        "project_roots": "the folders that may contain projects; the hub resolves links first",
        "trust_projects": (
            "`ask`: a project's own settings, hooks and servers take effect only if somebody with "
            "all rights has said that it is trusted "
            "([security](security.md#folders-that-nobody-trusts)). `all`: every project is "
            "trusted, unless somebody has said otherwise"
        ),
        "max_projects": "the maximum number of projects",
    },
    "The agent": {
        "claude_cmd": "the command of the Claude Code CLI, split as a shell splits words",
        "claude_env": (
            "further environment variables, by name, that the CLI may see. By default: PATH, "
            "HOME, USER, LOGNAME, SHELL, LANG, LC_*, TERM, TZ, TMPDIR, proxy settings, "
            "`NODE_EXTRA_CA_CERTS`, `SSL_CERT_FILE`, `SSL_CERT_DIR`, `SSH_AUTH_SOCK`, the CLI's "
            "own switches (`DISABLE_*`, `MCP_TIMEOUT`, `MCP_TOOL_TIMEOUT`, `BASH_DEFAULT_*`, "
            "`BASH_MAX_*`, `MAX_THINKING_TOKENS`, `MAX_MCP_OUTPUT_TOKENS`), and the ANTHROPIC_ "
            "and CLAUDE_ ones but the hub's own and those of an outer Claude Code session. With "
            "`CLAUDE_CODE_USE_BEDROCK` also `AWS_*`, with `CLAUDE_CODE_USE_VERTEX` also "
            "`GOOGLE_*`, `CLOUD_ML_REGION` and `VERTEX_*`. The hub logs their names when it "
            "starts"
        ),
        "agent_user": (
            "for root only: the user that agents run as, with that user's home, groups and shell. "
            "That user must own the projects' folders. Without it a server that root starts runs "
            "agents as root, and warns. [The walls](security.md#the-agents-walls)"
        ),
        "agent_limits": (
            "resource limits of each process of an agent, as in `ulimit`: `nofile=4096 nproc=512 "
            "as=8GiB cpu=1h`. The names are `nofile` and `nproc` (numbers), `as`, `core`, `data`, "
            "`fsize`, `memlock` and `stack` (sizes), `cpu` (a time). All processes of the agent "
            "inherit them and cannot raise them; `nproc` counts all processes of the user. Each "
            "start of an agent takes 11 ms longer"
        ),
        "agent_background": (
            "`off`: the CLI has no background shells, background agents or scheduled turns, so "
            "nothing runs outside of an execution. `on`: they run, and a turn that the CLI starts "
            "by itself is an execution of its own, with the same time limit"
        ),
        "permission_mode": (
            "`ask`: the hub sends a `permission_request` for a tool that needs permission. Any "
            "other value is the CLI's own permission mode. A prompt's option `permission_mode` "
            "wins for that prompt; if the CLI still asks in that mode, the hub sends a request "
            "too"
        ),
        "permission_timeout": (
            "how long the hub waits for an answer before it denies the permission"
        ),
        "warm_sessions": (
            "the number of CLI processes that the hub keeps between prompts, in total. It ends "
            "the least recently used first. With 0 it starts a process for each prompt. [What one "
            "costs](agent.md#warm-sessions)"
        ),
        "warm_idle": "how long a kept CLI process may be idle before the hub ends it",
        "warm_ahead": (
            "`on`: the hub starts a process when a client joins, before the first prompt"
        ),
        "delta_hold": (
            "the CLI collects partial output for this long before it writes it, if its version "
            "can; with 0 it writes every piece at once"
        ),
        "max_line_bytes": (
            "the longest line from the CLI. A longer line becomes a `claude_text` with "
            "`truncated`. If that line is the result, the execution still ends, but its text and "
            "cost are missing. If that line is a permission request, the hub refuses it"
        ),
    },
    "Executions": {
        "exec_timeout": "an execution's time limit",
        "max_queue": (
            "the maximum number of waiting prompts in a project. One prompt runs at a time, so "
            "with 0 the hub refuses a second one"
        ),
        "kill_grace": (
            "the time between the steps that end an execution: a request to the CLI, SIGINT, "
            "SIGTERM, SIGKILL ([the whole table](agent.md#how-things-end))"
        ),
        "stop_grace": (
            "at a stop, how long running executions may go on before the hub ends them "
            "([signals](#signals))"
        ),
    },
    "Data and history": {
        "data_dir": "the folder for all data of the server, mode 0700",
        "log_sync": (
            "`always`, `interval` (1 s), `never`: [what each "
            "promises](message-log.md#what-is-promised)"
        ),
        "msg_rotate_size": "the size at which the hub begins a new file of a log (a segment)",
        "msg_rotate_days": "the age in days at which the hub begins a new log segment",
        "log_retain_days": (
            "the hub deletes log segments whose last record is older than this many days, except "
            "the active segment; 0 keeps all"
        ),
        "log_retain_bytes": (
            "the approximate maximum size of a project's log; above it the hub deletes the oldest "
            "segments; 0 keeps all"
        ),
        "log_compress": (
            "`off`, `gzip`, `zstd`: compresses closed segments in the background. [What that "
            "means](message-log.md#compression)"
        ),
        "min_free_bytes": (
            "if less disk space than this is free, the hub refuses new prompts "
            "(`storage_failed`), so that running ones can finish"
        ),
    },
    "Limits of clients": {
        "max_conn": (
            "the maximum number of connections; the hub answers further handshakes with 503. "
            "`serve` warns if the system's limits are lower ([tuning](tuning.md))"
        ),
        "rate_limit": "requests per second of each connection, with bursts of twice that",
        "max_message_bytes": (
            "the largest message from a client, before and after decompression; after a larger "
            "one the hub closes the connection with 1009"
        ),
        "slow_client_bytes": (
            "the most bytes, before compression, that may wait for one client. Above it the hub "
            "first drops updates that are not logged; if that is not enough, it closes the "
            "connection with 1013. Replayed history does not count, nor do the changes for a "
            "client that watches: one of each project waits at most. There is also [a limit in "
            "time](#limits-without-a-setting)"
        ),
        "heartbeat": (
            "the time between pings; if a ping has no answer when the next is due, the hub closes "
            "the connection (1011)"
        ),
    },
    "Monitoring": {
        "metrics_port": (
            "the port for [monitoring](monitoring.md), on `BIND`, or on loopback with "
            "`WS_PORT=off`: `/metrics` for Prometheus, `/healthz` and `/readyz`. It needs no key "
            "and speaks no TLS ([what it shows](security.md#metrics)). 0: none"
        ),
    },
    "Log lines": {
        "log_level": "debug, info, warning, error",
        "log_format": "`text` or `json`, on standard error",
    },
}
