#!/usr/bin/env python3
"""Run fanload against several servers, interleaved, and print medians as ratios.

A servers file is JSON: {"name": {"cmd": ["prog", "{port}", ...], "env": {...}, "args": [fanload options],
"ready": "file that shows it has started"}}; {port}, the program fills in {checkout} and {scratch} (a new folder for each run).
For each cell (subscribers x size x window x deflate), each round starts every server in turn,
measures it once and stops it. The table gives the median over the rounds, and the ratio to --base:
the median of the ratios within a round, so that a slow spell of the machine cancels out.
"""

import argparse
import json
import random
import statistics as st
import subprocess

from server import running

ap = argparse.ArgumentParser()
ap.add_argument("--servers", required=True)
ap.add_argument("--only", default="", help="comma-separated names")
ap.add_argument("--base", default="")
ap.add_argument("--fanload", default="./fanload")
ap.add_argument("--cells", default="1x200,10x200,100x200,1000x200", help="SUBSxSIZE[:MESSAGES],...")
ap.add_argument("--window", type=int, default=64)
ap.add_argument("--rate", type=float, default=0)
ap.add_argument(
    "--deliveries", type=int, default=60000, help="timed deliveries aimed at in each run"
)
ap.add_argument("--rounds", type=int, default=3)
ap.add_argument("--deflate", default="0")
ap.add_argument("--join", default='{"type":"join"}')
ap.add_argument("--joined", default="joined")
ap.add_argument("--extra", default="", help="more fanload options")
ap.add_argument("--checkout", default=".", help="the hub's checkout")
ap.add_argument("--out", default="", help="append one JSON line a run here")
a = ap.parse_args()
servers = json.load(open(a.servers))
names = a.only.split(",") if a.only else list(servers)
base = a.base or names[0]


def run(name, subs, size, msgs):
    try:
        with running(servers[name], a.checkout) as (url, pid, args):
            load = [
                a.fanload,
                "--url",
                url,
                "--subs",
                str(subs),
                "--size",
                str(size),
                "--messages",
                str(msgs),
                "--warm",
                str(max(1, msgs // 10)),
                "--window",
                str(a.window),
                "--rate",
                str(a.rate),
                "--deflate",
                a.deflate,
                "--server-pid",
                str(pid),
                "--timeout",
                "20",
                "--join",
                a.join,
                "--joined",
                a.joined,
                *a.extra.split(),
                *args,
            ]
            r = subprocess.run(load, capture_output=True, text=True, timeout=180)
            return (
                json.loads(r.stdout)
                if r.stdout
                else {"ok": False, "error": r.stderr.strip()[-200:]}
            )
    except (TimeoutError, subprocess.TimeoutExpired) as error:
        return {"ok": False, "error": str(error)}


for cell in a.cells.split(","):
    spec, _, m = cell.partition(":")
    subs, size = map(int, spec.split("x"))
    msgs = int(m) if m else max(20, min(6000, a.deliveries // subs))
    res = {n: [] for n in names}
    for rnd in range(a.rounds):
        order = names[:]
        random.shuffle(order)
        for n in order:
            r = run(n, subs, size, msgs)
            r.update(name=n, round=rnd)
            res[n].append(r)
            if a.out:
                open(a.out, "a").write(json.dumps(r) + "\n")
    print(
        f"\n## subs {subs}, {size} B, {msgs} messages, window {a.window}, rate {a.rate:g}, deflate {a.deflate}, "
        f"{a.rounds} rounds; ratios to {base}",
        flush=True,
    )
    print(
        "| server | deliveries/s | ratio | p50 ms | p99 ms | server CPU us/delivery | CPU ratio | client CPU s | RSS MB | bad runs |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for n in names:
        good = [r for r in res[n] if r.get("ok")]
        if not good:
            print(f"| {n} | failed: {res[n][0].get('error', res[n][0])} |")
            continue
        med = lambda k: st.median(r[k] for r in good)

        def ratio(k):
            v = [
                r[k] / b[k]
                for r, b in zip(res[n], res[base])
                if r.get("ok") and b.get("ok") and b[k]
            ]
            return f"{st.median(v):.2f}" if v else "-"

        print(
            f"| {n} | {med('deliveries_per_s'):,.0f} | {ratio('deliveries_per_s')} | {med('p50_us') / 1e3:.2f} | "
            f"{med('p99_us') / 1e3:.2f} | {med('server_cpu_us_per_delivery'):.2f} | {ratio('server_cpu_us_per_delivery')} | "
            f"{med('client_cpu_s'):.2f} | {med('server_rss_peak_mb'):.0f} | {len(res[n]) - len(good)} |",
            flush=True,
        )
