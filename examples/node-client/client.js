#!/usr/bin/env node
// Join a project of a claudehub, print each update as a line of JSON, and go on after any drop.
//
//   node client.js PROJECT [PROMPT | -] [--after LOG_ID:SEQ | --last 20] [--url ws://127.0.0.1:8080]
//
// With PROMPT it runs the prompt and ends with it: exit code 0 for success, else 1. With - each line
// of standard input is a prompt. With neither it follows for ever. Standard error says what happens to
// the connection, and at the end the position, from which --after goes on another day.
import { randomUUID } from "node:crypto";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import WebSocket from "ws";

const [AT_ONCE, NO_MORE] = [new Set([1001, 1013]), 1008]; // it restarts, we were slow; not allowed
const [FIRST_DELAY_MS, LONGEST_DELAY_MS, STEADY_MS, WELCOME_MS] = [250, 30_000, 1000, 15_000];
const url = process.env.CLAUDEHUB_URL ?? "ws://127.0.0.1:8080";
const options = { url: { type: "string", default: url }, after: { type: "string" }, last: { type: "string" } };
const { values, positionals: [project_id, prompt] } = parseArgs({ options, allowPositionals: true });
const last = Number(values.last ?? 0);

// The position: the log, and the last update of it that was printed. It is all that recovery takes.
let [log_id, seq] = values.after ? [values.after.split(":")[0], Number(values.after.split(":")[1])] : [null, null];
let [socket, silence, isReady, openedAt, heartbeat_ms, attempt] = [null, null, false, 0, 0, 0];
const pending = new Map(); // key → an execute without an answer yet: a drop repeats it
const running = new Map(); // key → execution_id of a prompt of ours, as soon as that is known
let [hasMore, hasFailed] = [prompt === "-" || !prompt, false];

function connect() {
  const fresh = (socket = new WebSocket(values.url, ["claudehub.v1"], { handshakeTimeout: WELCOME_MS }));
  let problem = "";
  fresh.on("message", (text) => receive(JSON.parse(text)));
  fresh.on("ping", hear);
  fresh.on("error", (error) => (problem = error.message));
  fresh.on("close", (code, reason) => lost(code, String(reason) || problem || `code ${code}`));
  hear();
}
function hear() { // the hub pings each heartbeat: two without a sign of life, and the line is dead
  clearTimeout(silence);
  silence = setTimeout(() => socket.terminate(), 2.5 * heartbeat_ms || WELCOME_MS);
}
function lost(code, reason) {
  clearTimeout(silence);
  if (code === NO_MORE) end(1, `the hub closed the connection: ${reason}`);
  const wasSteady = isReady && Date.now() - openedAt > STEADY_MS;
  isReady = false;
  if (wasSteady) attempt = 0; // it was a good one: the delays begin anew
  const longest_ms = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** attempt++);
  const delay_ms = wasSteady && AT_ONCE.has(code) ? 0 : Math.random() * longest_ms;
  tell(`not connected (${reason}); next try in ${(delay_ms / 1000).toFixed(1)} s`);
  setTimeout(connect, delay_ms);
}
function send(message) { if (isReady) socket.send(JSON.stringify(message)); }
function receive({ type, id, payload }) {
  hear();
  if (type === "welcome") return welcome(payload);
  if (type === "update") return update(payload);
  const error = type === "error" ? payload : null;
  if (error?.code === "shutting_down") return; // the next hub gets it
  const again = () => (id === "join" ? join() : pending.has(id) && send(pending.get(id)));
  if (error?.code === "rate_limited") return setTimeout(again, 1000 * error.details.retry_after_seconds);
  if (id === "join") return joined(error, payload);
  pending.delete(id);
  if (error) tell(`the prompt was refused: ${error.message}`);
  if (error) finish(id, error.code);
}
function welcome({ auth, heartbeat_seconds }) {
  if (auth) end(1, "this hub wants an SSH key, and this client has none: use the hub's Unix socket");
  [isReady, openedAt, heartbeat_ms] = [true, Date.now(), 1000 * heartbeat_seconds];
  hear();
  join();
  pending.forEach(send);
}
function join() {
  const from = seq === null ? { last } : { after_seq: seq, log_id };
  send({ type: "project_join", id: "join", payload: { project_id, ...from } });
}
function joined(error, result) {
  if (error?.code === "history_gone") { // whoever reads the stream must know of the hole in it
    print({ project_id, update_type: "history_gone", data: error.details });
    [log_id, seq] = [error.details.log_id, error.details.first_seq - 1];
    return join();
  }
  if (error) end(1, error.message);
  [log_id, seq] = [result.log_id, seq ?? Math.max(result.last_seq - last, result.first_seq - 1)];
  tell(`joined ${project_id} at ${log_id}:${seq}`);
}
function update(update) {
  const { update_type, data } = update;
  const reached = update_type === "gap" ? data.last_seq : update.seq; // a gap: records that cannot be read
  if (reached <= seq) return; // printed before
  seq = reached ?? seq; // partial output has no number
  print(update);
  if (update_type === "project_deleted") end(1, `${project_id} was deleted`);
  if (update_type === "prompt" && running.has(data.key)) running.set(data.key, data.execution_id);
  if (update_type !== "execution_finished") return;
  for (const [key, execution_id] of running) if (execution_id === data.execution_id) finish(key, data.outcome);
}
function execute(prompt) {
  const key = randomUUID(); // with it the prompt runs once, however often it is sent
  running.set(key, null);
  pending.set(key, { type: "execute", id: key, payload: { project_id, prompt, key } });
  send(pending.get(key));
}
function finish(key, outcome) { // a null key: standard input has ended
  if (!running.delete(key)) hasMore = false;
  hasFailed ||= outcome !== "success";
  if (!hasMore && !running.size) end(hasFailed ? 1 : 0, outcome);
}
function print(update) { process.stdout.write(`${JSON.stringify(update)}\n`); }
function tell(text) { process.stderr.write(`client: ${text}\n`); }
function end(code, text) {
  tell(log_id ? `${text}; position ${log_id}:${seq}` : text);
  process.exit(code);
}
if (!project_id) end(2, "usage: client.js PROJECT [PROMPT | -] [--after LOG_ID:SEQ | --last N] [--url URL]");
process.on("SIGINT", () => end(130, "interrupted"));
if (prompt === "-") createInterface(process.stdin).on("line", execute).on("close", () => finish(null, "success"));
else if (prompt) execute(prompt);
connect();
