// Pictures of examples/page/ with a scripted agent: pictures.js FOLDER. Two sizes, light and dark.
// Four of them are in docs/pictures/.

import { mkdirSync } from "node:fs";
import { join } from "node:path";

import { DESKTOP, launch, PHONE, serve } from "./browser.js";
import { Hub } from "./hub.js";

const [folder] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
const server = await serve();
const hub = await new Hub({ ALLOWED_ORIGINS: server.origin, PERMISSION_TIMEOUT: "10m" }, "examples/scripted_agent.py").start();
const browser = await launch();
let me = null;
try {
  await furnish();
  for (const [size, options] of Object.entries({ phone: { ...PHONE, deviceScaleFactor: 1.5 }, desktop: DESKTOP })) {
    for (const colorScheme of ["light", "dark"]) await take(`${size}-${colorScheme}`, { ...options, colorScheme });
  }
} finally {
  await browser.close();
  server.close();
  await hub.close();
}

async function furnish() {
  const prompts = {
    dates: "The date parser fails in two tests. Find out why, and fix it.",
    site: "Add a cache for the rendered pages",
    infra: "Plan the move to Python 3.14",
    notes: "Find the flaky test",
  };
  const client = await hub.client();
  for (const [project_id, prompt] of Object.entries(prompts)) {
    await hub.project(project_id);
    await client.request("project_join", { project_id });
    await client.request("execute", { project_id, prompt });
    await client.update(project_id === "notes" ? "execution_finished" : "permission_request");
    client.updates = [];
  }
  await client.request("execute", { project_id: "dates", prompt: "Then say in the README which dates are allowed" });
  me = client.welcome.client_id;
}

async function take(name, options) {
  const context = await browser.newContext({ ...options, reducedMotion: "reduce", locale: "en-GB" });
  // The prompts above shall be this person's own.
  await context.addInitScript((id) => localStorage.setItem("claudehub.clients", JSON.stringify([id])), me);
  const page = await context.newPage();
  const shoot = (what) => page.screenshot({ path: join(folder, `page-${name}-${what}.png`) });
  const open = (id) => page.evaluate((hash) => { location.hash = hash; }, id);
  await page.goto(`${server.origin}/page/index.html`);
  await page.fill("#address", "ws://127.0.0.1:9");
  await page.click("#connect button");
  await page.waitForSelector("#why:not([hidden])");
  await shoot("connect");
  await page.fill("#address", hub.url);
  await page.click("#connect button");
  await page.waitForSelector("#projects a");
  await shoot("list");
  for (const id of ["notes", "infra", "site", "dates"]) {
    await open(id);
    await page.waitForSelector(id === "notes" ? ".mark" : ".card button");
    if (id === "site") await page.click("text=SQLite file");
    await shoot(id);
  }
  if (name === "desktop-dark") await finish(page, shoot);
  await context.close();
}

async function finish(page, shoot) {
  await page.click(".card .primary");
  await page.waitForSelector("text=Run this command?");
  await shoot("command");
  await page.click(".card .primary");
  await page.waitForSelector(".mark >> text=Done");
  await page.locator("summary", { hasText: "src/dates/parser.py" }).last().click();
  await shoot("done");
  await hub.stop();
  await page.waitForSelector("#trouble:not([hidden])");
  await shoot("gone");
}
