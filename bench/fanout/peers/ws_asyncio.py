"""Peer: websockets asyncio server with broadcast() (frames once per subscriber, one loop)."""

import asyncio
import json
import sys

from websockets.asyncio.server import broadcast, serve

subs = set()
seq = 0


async def handler(ws):
    global seq
    try:
        async for text in ws:
            m = json.loads(text)
            if m["type"] == "join":
                subs.add(ws)
                await ws.send('{"type":"joined"}')
                continue
            seq += 1
            broadcast(subs, json.dumps({"type": "message", "seq": seq, "data": m["data"]}))
    finally:
        subs.discard(ws)


async def main():
    async with serve(handler, "127.0.0.1", int(sys.argv[1]), backlog=1024, ping_interval=None) as s:
        await s.serve_forever()


if len(sys.argv) > 2 and sys.argv[2] == "uvloop":
    import uvloop

    uvloop.run(main())
else:
    asyncio.run(main())
