"""Where things happen: the map.

    client ─frame─▶ connection thread ─▶ codec ─▶ Client ─▶ Project ─▶ Executor ─▶ claude
                                                    ▲          │  ▲         │
                                                    │          │  └─ lines ─┘
    client ◀─frames── outbox ◀── one encoded batch ◀┴──────────┤
                                                               └─▶ storage (append, sync)

Tree: Hub → Projects → Executor, FileWatcher; Hub → Clients; Hub → Rotator, FileReloaders; the
Auditor beside the Hub, since it must outlive it.

Who may send to whom (only `tell`; `ask` is for main and tests):

    connection thread   Client              a request; the connection is lost
    Client              Hub                 create, delete, list, health
    Client              Project             join, leave, execute, kill, new session, history
    Project             Client              replies, snapshots for joins and history
    Project             any Subscriber      batches of frames
    Project             its Executor        start, kill, credit
    Executor            its Project         lines, facts, the one end
    FileWatcher         its Project         paths
    Project             Hub                 its status, its description, its end, its death
    Rotator, timers     Project             rotate; a timer that fired
    Client, others      Auditor             a line for the audit log
    FileReloader        Hub                 the keys have changed
    Hub                 all                 stop
"""
