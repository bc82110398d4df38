// A made-up hub: what it does with each connection is the test's choice.

import { once } from "node:events";
import { WebSocketServer } from "ws";

/** `take(socket, nth)` gets each connection, behind a welcome with these fields. It ends with the test. */
export async function pretend(t, take, welcome = {}) {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  await once(server, "listening");
  const connectedAt = [];
  server.on("connection", (socket) => {
    connectedAt.push(Date.now());
    socket.send(JSON.stringify({ type: "welcome", payload: { heartbeat_seconds: 30, auth: null, ...welcome } }));
    take(socket, connectedAt.length);
  });
  t.after(() => {
    server.clients.forEach((socket) => socket.terminate());
    server.close();
  });
  return { url: `ws://127.0.0.1:${server.address().port}`, connectedAt };
}
