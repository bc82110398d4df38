// examples/node-client against a real hub: what it prints is compared with the log.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, describe, it } from "node:test";

import { Hub, ROOT, until } from "./hub.js";
import { pretend } from "./pretended_hub.js";
import { Proxy } from "./proxy.js";

const PROGRAM = join(ROOT, "examples/node-client/client.js");

const start = (t, ...words) => {
  const example = new Example(...words);
  t.after(() => example.end());
  return example;
};

/** The example as a process: what it printed, what it said. */
class Example {
  constructor(...words) {
    this.process = spawn(process.execPath, [PROGRAM, ...words], { stdio: ["pipe", "pipe", "pipe"] });
    [this.printed, this.said] = [[], ""];
    createInterface(this.process.stdout).on("line", (line) => this.printed.push(JSON.parse(line)));
    this.process.stderr.on("data", (text) => (this.said += text));
    this.ended = once(this.process, "close").then(([code]) => code);
  }
  type(line) {
    this.process.stdin.write(`${line}\n`);
  }
  seen(update_type, data = {}) {
    const fits = (one) => one.update_type === update_type && Object.entries(data).every(([key, value]) => one.data[key] === value);
    return until(`${update_type} in what the client prints`, () => this.printed.find(fits));
  }
  says(text) {
    return until(`"${text}" on standard error`, () => this.said.includes(text));
  }
  logged() {
    return this.printed.filter((update) => update.seq !== undefined);
  }
  async end() {
    this.process.kill();
    await this.ended;
  }
}

describe("node-client", () => {
  let hub;
  let number = 0;
  before(async () => { hub = await new Hub().start(); });
  after(() => hub.close());
  const project = async () => {
    const id = `p${(number += 1)}`;
    await hub.project(id);
    return id;
  };
  const proxied = async (t) => {
    const proxy = await new Proxy(hub.port).start();
    t.after(() => proxy.close());
    return proxy;
  };
  /** Wait until the client has printed the newest update, then compare all of it with the log. */
  const assertSameAsLog = async (example, id) => {
    const log = await hub.log(id);
    await until("the end of the log", () => example.logged().at(-1)?.seq >= log.at(-1).seq);
    assert.deepEqual(example.logged(), log);
    assert.deepEqual(log.map(({ seq }) => seq), log.map((_, index) => index + 1));
  };

  it("runs a prompt, prints the stream, and ends with the outcome", async (t) => {
    const id = await project();
    const good = start(t, id, "hello [[slow:3:0.01]]", "--url", hub.url);
    assert.equal(await good.ended, 0);
    assert.ok(good.printed.some(({ update_type }) => update_type === "claude_delta"));
    await assertSameAsLog(good, id);
    const bad = start(t, id, "hello [[error:400]]", "--url", hub.url);
    assert.equal(await bad.ended, 1);
    const nowhere = start(t, "nosuch", "hello", "--url", hub.url);
    assert.equal(await nowhere.ended, 1);
    assert.match(nowhere.said, /no such project/);
  });

  it("goes on behind a kill -9 of the hub in mid stream", async (t) => {
    const id = await project();
    const example = start(t, id, "-", "--url", hub.url);
    await example.says("joined");
    example.type("many [[lines:2000]] [[pace:0.002]]");
    await until("a part of the stream", () => example.logged().length > 100);
    await hub.stop("SIGKILL");
    await hub.start();
    await example.seen("execution_finished", { outcome: "lost" });
    example.type("again [[lines:50]]");
    await example.seen("execution_finished", { outcome: "success" });
    await assertSameAsLog(example, id);
  });

  it("goes on behind cuts of the line, with no hole and no double", async (t) => {
    const id = await project();
    const proxy = await proxied(t);
    const example = start(t, id, "-", "--url", proxy.url);
    await example.says("joined");
    example.type("many [[lines:1500]] [[pace:0.002]]");
    for (let cut = 1; cut <= 6; cut += 1) {
      await until("more of the stream", () => example.logged().length > cut * 100);
      proxy.cut();
    }
    await example.seen("execution_finished");
    await assertSameAsLog(example, id);
  });

  it("runs a prompt once that was typed while there was no line", async (t) => {
    const id = await project();
    const proxy = await proxied(t);
    const example = start(t, id, "-", "--url", proxy.url);
    await example.says("joined");
    proxy.cut({ shut: true });
    await example.says("not connected");
    example.type("typed without a line");
    proxy.open();
    await example.seen("execution_finished");
    await assertSameAsLog(example, id);
    const prompts = (await hub.log(id)).filter(({ update_type }) => update_type === "prompt");
    assert.deepEqual(prompts.map(({ data }) => data.prompt), ["typed without a line"]);
  });

  it("runs a prompt once whose answer was lost with the line", async (t) => {
    const id = await project();
    const proxy = await proxied(t);
    const example = start(t, id, "-", "--url", proxy.url);
    await example.says("joined");
    proxy.isDeaf = true;
    example.type("sent, but never answered");
    await until("the prompt in the log", async () => (await hub.log(id)).length > 0);
    proxy.cut();
    proxy.open();
    await example.seen("execution_finished");
    example.type("the one behind it");
    await until("the second end", () => example.printed.filter(({ update_type }) => update_type === "execution_finished").length === 2);
    await assertSameAsLog(example, id);
    const prompts = (await hub.log(id)).filter(({ update_type }) => update_type === "prompt");
    assert.deepEqual(prompts.map(({ data }) => data.prompt), ["sent, but never answered", "the one behind it"]);
  });

  it("goes on from the position that it said at its end", async (t) => {
    const id = await project();
    const first = start(t, id, "one", "--url", hub.url);
    await first.ended;
    const second = start(t, id, "two", "--url", hub.url, "--after", /position (\S+)/.exec(first.said)[1]);
    await second.ended;
    assert.deepEqual([...first.logged(), ...second.logged()], await hub.log(id));
  });

  it("says in the stream that the history is gone, and goes on with what there is", async (t) => {
    const id = await project();
    await start(t, id, "one", "--url", hub.url).ended;
    const example = start(t, id, "two", "--url", hub.url, "--after", "another-log:3");
    assert.equal(await example.ended, 0);
    assert.equal(example.printed[0].update_type, "history_gone");
    assert.equal(example.printed[0].data.first_seq, 1);
    await assertSameAsLog(example, id);
  });

  it("takes a gap for what cannot be read, and joins behind it", async (t) => {
    const id = await project();
    await start(t, id, "one [[lines:20]]", "--url", hub.url).ended;
    const client = await hub.client();
    const { log_id } = await client.request("get_messages", { project_id: id });
    await hub.stop();
    const lines = readFileSync(hub.logFile(id), "utf8").split("\n");
    lines[9] = lines[9].replace('"seq"', '"SEQ"');
    writeFileSync(hub.logFile(id), lines.join("\n"));
    await hub.start();
    const proxy = await proxied(t);
    const example = start(t, id, "-", "--url", proxy.url, "--after", `${log_id}:0`);
    await example.seen("gap", { first_seq: 10, last_seq: 10 });
    proxy.cut();
    example.type("two");
    await until("the second end", () => example.printed.filter(({ update_type }) => update_type === "execution_finished").length === 2);
    const seqs = (await hub.log(id)).map(({ seq, data }) => seq ?? data.last_seq);
    assert.deepEqual(example.printed.flatMap(({ seq, update_type, data }) => seq ?? (update_type === "gap" ? data.last_seq : [])), seqs);
    assert.deepEqual(seqs, seqs.map((_, index) => index + 1));
  });
});

describe("node-client and the reason for a drop", () => {
  for (const code of [1001, 1013]) {
    it(`connects again at once after ${code}`, async (t) => {
      const hub = await pretend(t, (socket, nth) => nth === 1 && setTimeout(() => socket.close(code, "for a reason"), 1200));
      const example = start(t, "site", "--url", hub.url);
      await example.says("for a reason); next try in 0.0 s");
      await until("a second connection", () => hub.connectedAt.length === 2);
    });
  }

  it("waits longer each time, by chance up to 0.25, 0.5, 1 and 2 s", async (t) => {
    const example = start(t, "site", "--url", "ws://127.0.0.1:9");
    const delays = () => [...example.said.matchAll(/next try in ([\d.]+) s/g)].map((found) => Number(found[1]));
    await until("four tries", () => delays().length >= 4);
    delays().slice(0, 4).forEach((delay_s, attempt) => assert.ok(delay_s <= 0.25 * 2 ** attempt + 0.05, `${delays()}`));
  });

  it("ends after 1008", async (t) => {
    const hub = await pretend(t, (socket) => socket.close(1008, "the key is no longer good"));
    const example = start(t, "site", "--url", hub.url);
    assert.equal(await example.ended, 1);
    assert.match(example.said, /the key is no longer good/);
    assert.equal(hub.connectedAt.length, 1);
  });

  it("gives up a line from which nothing comes any more", async (t) => {
    const hub = await pretend(t, () => {}, { heartbeat_seconds: 0.1 });
    const example = start(t, "site", "--url", hub.url);
    await until("a second connection", () => hub.connectedAt.length >= 2);
  });

  it("sends a request again that was refused for its rate, and ends without a key that it would need", async (t) => {
    const asked = [];
    const details = { retry_after_seconds: 0.05 };
    const hub = await pretend(t, (socket) => socket.on("message", (text) => {
      const { id, type } = JSON.parse(text);
      asked.push(type);
      socket.send(JSON.stringify({ type: "error", id, payload: { code: "rate_limited", message: "too fast", details } }));
    }));
    const example = start(t, "site", "--url", hub.url);
    await until("three joins", () => asked.filter((type) => type === "project_join").length >= 3);
    const locked = await pretend(t, () => {}, { auth: { method: "ssh" } });
    const stranger = start(t, "site", "--url", locked.url);
    assert.equal(await stranger.ended, 1);
    assert.match(stranger.said, /wants an SSH key/);
  });
});
