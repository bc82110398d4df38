#!/usr/bin/env python3
"""One of N subscribers never reads: measure the others, the server's memory, and the slow one's end.

Each server runs twice a round, without and with a stalled subscriber, in one interleaved run.
"""

import argparse
import json
import subprocess

from server import running

ap = argparse.ArgumentParser()
ap.add_argument("--servers", required=True)
ap.add_argument("--only", default="")
ap.add_argument("--fanload", default="./fanload")
ap.add_argument("--subs", default="100")
ap.add_argument("--size", default="16384")
ap.add_argument("--rate", default="100")
ap.add_argument("--messages", default="700")
ap.add_argument("--rounds", type=int, default=1)
ap.add_argument("--checkout", default=".", help="the hub's checkout")
ap.add_argument("--join", default='{"type":"join"}')
ap.add_argument("--joined", default="joined")
a = ap.parse_args()
servers = json.load(open(a.servers))
print(
    "| server | stalled | p50 ms | p99 ms | max ms | RSS growth MB | fate of the slow one | all the others complete |"
)
print("|---|---|---|---|---|---|---|---|")
for _ in range(a.rounds):
    for n in a.only.split(",") if a.only else servers:
        for stall in (0, 1):
            with running(servers[n], a.checkout) as (url, pid, args):
                cmd = [
                    a.fanload,
                    "--url",
                    url,
                    "--subs",
                    a.subs,
                    "--size",
                    a.size,
                    "--messages",
                    a.messages,
                    "--warm",
                    "20",
                    "--window",
                    "2000",
                    "--rate",
                    a.rate,
                    "--join",
                    a.join,
                    "--joined",
                    a.joined,
                    "--server-pid",
                    str(pid),
                    "--timeout",
                    "5",
                    *args,
                ]
                if stall:
                    cmd += ["--stall", "1", "--resume", "0"]
                r = subprocess.run(cmd, capture_output=True, text=True, timeout=120)
                try:
                    j = json.loads(r.stdout)
                except ValueError:
                    print(f"| {n} | {stall} | {r.stderr.strip()[:80]} |", flush=True)
                    continue
                fate = (
                    f"got {j['stalled_got']}, closed {j['stalled_closed']}, code {j['stalled_close_code']}"
                    if stall
                    else ""
                )
                print(
                    f"| {n} | {stall} | {j['p50_us'] / 1e3:.2f} | {j['p99_us'] / 1e3:.2f} | {j['max_us'] / 1e3:.1f} | "
                    f"{j['server_rss_growth_mb']:.0f} | {fate} | {j['ok']} {j.get('error', '')} |",
                    flush=True,
                )
