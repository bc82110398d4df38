// A TCP proxy before a hub, which cuts, refuses, and keeps back what the hub says.

import { once } from "node:events";
import { connect, createServer } from "node:net";

export class Proxy {
  constructor(port) {
    this.target = port;
    this.pairs = new Set();
    this.isShut = false;
    this.isDeaf = false; // what the hub sends is thrown away
    this.server = createServer((client) => this.take(client));
  }
  async start() {
    this.server.listen(0, "127.0.0.1");
    await once(this.server, "listening");
    this.url = `ws://127.0.0.1:${this.server.address().port}`;
    return this;
  }
  take(client) {
    if (this.isShut) return client.destroy();
    const hub = connect(this.target, "127.0.0.1");
    const pair = [client, hub];
    this.pairs.add(pair);
    client.on("data", (bytes) => hub.write(bytes));
    hub.on("data", (bytes) => this.isDeaf || client.write(bytes));
    for (const side of pair) {
      side.on("error", () => this.end(pair));
      side.on("close", () => this.end(pair));
    }
  }
  end(pair) {
    this.pairs.delete(pair);
    for (const side of pair) side.destroy();
  }
  /** Cut every connection; with `shut` refuse new ones until `open`. */
  cut({ shut = false } = {}) {
    this.isShut = shut;
    for (const pair of this.pairs) this.end(pair);
  }
  open() {
    this.isShut = this.isDeaf = false;
  }
  async close() {
    this.cut();
    this.server.close();
    await once(this.server, "close");
  }
}
