// Headless Chromium, and a static server for examples/.

import { once } from "node:events";
import { createReadStream, existsSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join } from "node:path";
import { chromium } from "playwright-core";

import { ROOT } from "./hub.js";

const TYPES = { ".html": "text/html", ".js": "text/javascript" };
const FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];
export const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true };
export const DESKTOP = { viewport: { width: 1280, height: 800 } };

export async function serve() {
  const server = createServer((request, response) => {
    if (request.url === "/empty.html") return response.writeHead(200, { "content-type": "text/html" }).end("<title>empty</title>");
    const path = join(ROOT, "examples", new URL(request.url, "http://x").pathname);
    if (!existsSync(path) || !(extname(path) in TYPES)) return response.writeHead(404).end();
    response.writeHead(200, { "content-type": TYPES[extname(path)] });
    createReadStream(path).pipe(response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const origin = `http://127.0.0.1:${server.address().port}`;
  return { origin, close: () => server.close() };
}

export function launch() {
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  return chromium.launch({ executablePath, args: FLAGS });
}
