// A hub as a process with the mock of the CLI, a client of it, and waiting for what happens.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, realpathSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import WebSocket from "ws";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const PYTHON = process.env.CLAUDEHUB_PYTHON ?? join(ROOT, ".venv/bin/python");
const WAIT_MS = 30_000;
const LOOK_MS = 20;

/** Wait until `look` gives something; return it. */
export async function until(what, look) {
  const end = Date.now() + WAIT_MS;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`waited ${WAIT_MS / 1000} s in vain for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

export class Hub {
  /** `agent` is a Python program in tests/ that plays the CLI. */
  constructor(settings = {}, agent = "mock_claude.py") {
    this.scratch = realpathSync(mkdtempSync(join(tmpdir(), "claudehub-examples-")));
    this.roots = join(this.scratch, "src");
    mkdirSync(this.roots);
    this.port = "0";
    const kept = Object.entries(process.env).filter(([name]) => !/^(CLAUDE|ANTHROPIC)/.test(name));
    this.settings = {
      ...Object.fromEntries(kept),
      DATA_DIR: join(this.scratch, "data"),
      PROJECT_ROOTS: this.roots,
      CLAUDE_CMD: `${PYTHON} ${join(ROOT, "tests", agent)}`,
      CLAUDE_MOCK_VERSION: "2.1.197",
      CLAUDE_MOCK_SESSIONS: join(this.scratch, "sessions"),
      MIN_FREE_BYTES: "0",
      KILL_GRACE: "1s",
      RATE_LIMIT: "100000",
      XDG_CONFIG_HOME: this.scratch,
      ...settings,
    };
  }
  /** Start it; after the first time, on the same port. */
  async start() {
    const command = [join(ROOT, "claudehub", "__main__.py"), "serve"];
    const env = { ...this.settings, WS_PORT: this.port };
    this.process = spawn(PYTHON, command, { env, stdio: ["ignore", "pipe", "pipe"] });
    this.errors = "";
    this.process.stderr.on("data", (text) => (this.errors += text));
    const [line] = await Promise.race([once(createInterface(this.process.stdout), "line"), once(this.process, "exit")]);
    if (!String(line).startsWith("listening on ")) throw new Error(`the hub did not start: ${this.errors}`);
    this.url = line.split(" ").at(-1);
    this.port = new URL(this.url).port;
    return this;
  }
  async stop(signal = "SIGTERM") {
    const { process: hub } = this;
    if (!hub || hub.exitCode !== null || hub.signalCode !== null) return;
    hub.kill(signal);
    await once(hub, "exit");
  }
  async close() {
    await this.stop();
    rmSync(this.scratch, { recursive: true });
  }
  /** Make a project of a new folder. */
  async project(project_id, name = undefined) {
    const path = join(this.roots, project_id);
    mkdirSync(path);
    const client = await this.client();
    await client.request("project_create", { path, project_id, name });
    client.close();
    return path;
  }
  client() {
    return Client.open(this.url);
  }
  /** Return every update in a project's log. */
  async log(project_id) {
    const client = await this.client();
    const found = [];
    for (;;) {
      const after_seq = found.at(-1)?.seq ?? 0;
      const { messages, more } = await client.request("get_messages", { project_id, after_seq, limit: 1000 });
      found.push(...messages);
      if (!more) break;
    }
    client.close();
    return found;
  }
  /** Return the newest file of a project's log. */
  logFile(project_id) {
    const found = readdirSync(join(this.scratch, "data"), { recursive: true });
    const segments = found.filter((name) => name.includes(project_id) && name.endsWith(".jsonl"));
    return join(this.scratch, "data", segments.sort().at(-1));
  }
}

/** A client that shares no code with the examples. */
class Client {
  static async open(url) {
    const client = new Client();
    client.socket = new WebSocket(url);
    client.updates = [];
    client.waiting = [];
    client.socket.on("message", (text) => client.receive(JSON.parse(text)));
    await until("a welcome", () => client.welcome);
    return client;
  }
  receive({ type, payload }) {
    if (type === "welcome") this.welcome = payload;
    else if (type === "update") this.updates.push(payload);
    else this.waiting.shift()(type === "error" ? Promise.reject(Object.assign(new Error(payload.message), payload)) : payload);
  }
  request(type, payload = {}) {
    return new Promise((resolve) => {
      this.waiting.push(resolve);
      this.socket.send(JSON.stringify({ type, payload }));
    });
  }
  /** Wait for an update of that type with these data. */
  update(update_type, data = {}) {
    const fits = (one) => one.update_type === update_type && Object.entries(data).every(([key, value]) => one.data[key] === value);
    return until(update_type, () => this.updates.find(fits));
  }
  close() {
    this.socket.close();
  }
}
