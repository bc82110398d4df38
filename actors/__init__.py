"""Where things happen: the actors, in one room each.

    client ─frame─▶ connection thread ─▶ dialect ─▶ Client ─▶ Project ─▶ Executor ─▶ claude
                                                      ▲          │  ▲        │
                                                      │          │  └─ lines ┘
    client ◀─frames── outbox ◀── one encoded batch ◀──┴── feed ◀─┤
                                                           └─▶ storage (append, sync)

Tree: Hub → Projects → Executor, FileWatcher; Hub → Clients; Hub → Rotator, FileReloaders. The
Auditor stands beside the Hub, because it must outlive it.

Actors only `tell`; `ask` is for main and tests. docs/architecture.md has the table of who tells
whom.
"""
