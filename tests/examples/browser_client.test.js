// examples/browser-client in Chromium against a real hub: what it gets is compared with the log.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";

import { launch, serve } from "./browser.js";
import { Hub, until } from "./hub.js";
import { pretend } from "./pretended_hub.js";
import { Proxy } from "./proxy.js";

describe("browser-client", () => {
  let [server, hub, browser] = [];
  let number = 0;
  before(async () => {
    server = await serve();
    hub = await new Hub({ ALLOWED_ORIGINS: server.origin }).start();
    browser = await launch();
  });
  after(async () => {
    await browser.close();
    server.close();
    await hub.close();
  });
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
  /** A page with a Hub in it, which keeps all that its callbacks get. */
  const open = async (t, url) => {
    const page = await browser.newPage();
    t.after(() => page.close());
    await page.goto(`${server.origin}/empty.html`);
    await page.evaluate(async (address) => {
      const { Hub } = await import("/browser-client/claudehub.js");
      globalThis.got = { updates: [], states: [], joined: [], gone: [], refused: [] };
      globalThis.hub = new Hub(address, {
        onUpdate: (update) => got.updates.push(update),
        onState: (state, detail) => got.states.push({ state, ...detail }),
        onJoined: (id, result) => got.joined.push(result),
        onGone: (id, details) => got.gone.push(details),
        onRefused: (id, error) => got.refused.push(error),
      });
    }, url);
    return page;
  };
  const logged = (page) => page.evaluate(() => got.updates.filter(({ seq }) => seq !== undefined));
  const states = (page, name) => page.evaluate((wanted) => got.states.filter(({ state }) => state === wanted), name);
  const assertSameAsLog = async (page, id) => {
    const log = await hub.log(id);
    await until("the end of the log", async () => (await logged(page)).at(-1)?.seq >= log.at(-1).seq);
    assert.deepEqual(await logged(page), log);
    assert.deepEqual(log.map(({ seq }) => seq), log.map((_, index) => index + 1));
  };
  const follow = async (page, id, from = {}) => {
    await page.evaluate(([project_id, position]) => hub.join(project_id, position), [id, from]);
    await until("the join", () => page.evaluate(() => got.joined.length + got.gone.length + got.refused.length));
  };
  /** Begin a prompt; what becomes of the request is kept in the page as `answer`. */
  const execute = (page, id, prompt) => page.evaluate(([project_id, text]) => {
    hub.execute(project_id, text).then((answer) => { globalThis.answer = answer; });
  }, [id, prompt]);

  it("goes on behind a kill -9 of the hub in mid stream", async (t) => {
    const id = await project();
    const page = await open(t, hub.url);
    await follow(page, id);
    await execute(page, id, "many [[lines:2000]] [[pace:0.002]]");
    await until("a part of the stream", async () => (await logged(page)).length > 100);
    await hub.stop("SIGKILL");
    await hub.start();
    await until("the end", async () => (await logged(page)).some(({ data }) => data.outcome === "lost"));
    await assertSameAsLog(page, id);
  });

  it("goes on behind cuts of the line, with no hole and no double", async (t) => {
    const id = await project();
    const proxy = await proxied(t);
    const page = await open(t, proxy.url);
    await follow(page, id);
    await execute(page, id, "many [[lines:1200]] [[pace:0.002]]");
    for (let cut = 1; cut <= 4; cut += 1) {
      await until("more of the stream", async () => (await logged(page)).length > cut * 100);
      proxy.cut();
    }
    await until("the end", async () => (await logged(page)).some(({ update_type }) => update_type === "execution_finished"));
    await assertSameAsLog(page, id);
    assert.ok((await states(page, "connected")).length > 1);
  });

  it("runs a prompt once whose answer was lost with the line, and one that was sent without a line", async (t) => {
    const id = await project();
    const proxy = await proxied(t);
    const page = await open(t, proxy.url);
    await follow(page, id);
    proxy.isDeaf = true;
    await execute(page, id, "sent, but never answered");
    await until("the prompt in the log", async () => (await hub.log(id)).length > 0);
    proxy.cut({ shut: true });
    await until("a drop", async () => (await states(page, "waiting")).length);
    await page.evaluate(() => { delete globalThis.answer; });
    await execute(page, id, "sent without a line");
    proxy.open();
    await until("both ends", async () => (await logged(page)).filter(({ update_type }) => update_type === "execution_finished").length === 2);
    assert.ok(await page.evaluate(() => answer.execution_id));
    await assertSameAsLog(page, id);
    const prompts = (await hub.log(id)).filter(({ update_type }) => update_type === "prompt");
    assert.deepEqual(prompts.map(({ data }) => data.prompt), ["sent, but never answered", "sent without a line"]);
  });

  it("says that the history is gone, and goes on with what there is", async (t) => {
    const id = await project();
    const client = await hub.client();
    await client.request("project_join", { project_id: id });
    await client.request("execute", { project_id: id, prompt: "one" });
    await client.update("execution_finished");
    client.close();
    const page = await open(t, hub.url);
    await follow(page, id, { log_id: "another-log", seq: 3 });
    await assertSameAsLog(page, id);
    const [gone] = await page.evaluate(() => got.gone);
    assert.deepEqual([gone.first_seq, gone.seen], [1, { log_id: "another-log", seq: 3 }]);
  });

  it("begins with the last updates if it is asked to, and tells a project that is not there", async (t) => {
    const id = await project();
    const page = await open(t, hub.url);
    await follow(page, id);
    await execute(page, id, "one [[lines:20]]");
    await until("the end", async () => (await logged(page)).some(({ update_type }) => update_type === "execution_finished"));
    const late = await open(t, hub.url);
    await follow(late, id, { last: 5 });
    await until("the last five", async () => (await logged(late)).length === 5);
    assert.deepEqual(await logged(late), (await hub.log(id)).slice(-5));
    const lost = await open(t, hub.url);
    await follow(lost, "nosuch");
    assert.deepEqual(await lost.evaluate(() => got.refused.map(({ code }) => code)), ["project_not_found"]);
  });

  for (const code of [1001, 1013]) {
    it(`connects again at once after ${code}`, async (t) => {
      const made = await pretend(t, (socket, nth) => nth === 1 && setTimeout(() => socket.close(code), 1200));
      const page = await open(t, made.url);
      await until("a second connection", () => made.connectedAt.length === 2);
      assert.deepEqual((await states(page, "waiting")).map(({ delay_ms }) => delay_ms), [0]);
    });
  }

  it("waits longer each time, by chance up to 0.25, 0.5, 1 and 2 s", async (t) => {
    const page = await open(t, "ws://127.0.0.1:9");
    await until("four tries", async () => (await states(page, "waiting")).length >= 4);
    (await states(page, "waiting")).slice(0, 4).forEach(({ delay_ms }, attempt) => assert.ok(delay_ms <= 250 * 2 ** attempt));
  });

  it("ends after 1008, and with it what was asked", async (t) => {
    const made = await pretend(t, (socket) => socket.on("message", () => socket.close(1008, "the key is no longer good")));
    const page = await open(t, made.url);
    const error = await page.evaluate(() => hub.request("project_list").catch((reason) => reason));
    assert.equal(error.message, "the key is no longer good");
    assert.deepEqual((await states(page, "closed")).map(({ reason }) => reason), ["the key is no longer good"]);
    assert.equal(made.connectedAt.length, 1);
  });

  it("gives up a line from which nothing comes any more", async (t) => {
    const made = await pretend(t, () => {}, { heartbeat_seconds: 0.1 });
    await open(t, made.url);
    await until("a second connection", () => made.connectedAt.length >= 2);
  });
});
