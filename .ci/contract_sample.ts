// A program on the types of the protocol. It is compiled and not run: `@ts-expect-error` fails the
// compiler if the line below it is right.
import type { ErrorFacts, Message, Options, Request, Results, Update } from "./claudehub";

type Kind = Request["type"];
type PayloadOf<K extends Kind> = Extract<Request, { type: K }>["payload"];

class Hub {
  private waiting = new Map<string, (payload: unknown) => void>();
  private positions = new Map<string, number>();
  private number = 0;

  constructor(private send: (text: string) => void) {}

  ask<K extends Kind>(type: K, payload: PayloadOf<K>): Promise<Results[K]> {
    const id = String(++this.number);
    this.send(JSON.stringify({ type, id, payload }));
    return new Promise((resolve) => this.waiting.set(id, resolve as (payload: unknown) => void));
  }

  take(text: string): string {
    const message = JSON.parse(text) as Message;
    switch (message.type) {
      case "welcome":
        return message.payload.auth?.challenge ?? message.payload.server;
      case "result":
        this.waiting.get(message.id ?? "")?.(message.payload);
        return "";
      case "error":
        return this.advice(message.payload);
      case "update":
        return this.show(message.payload);
    }
  }

  advice(error: ErrorFacts): string {
    if (error.code === "rate_limited") return `again in ${error.details.retry_after_seconds ?? 1} s`;
    return error.message;
  }

  show(update: Update): string {
    if ("seq" in update) this.positions.set(update.project_id, update.seq);
    switch (update.update_type) {
      case "prompt":
        return update.data.prompt ?? update.data.content?.map((block) => block.type).join() ?? "";
      case "claude":
        return String(update.data["type"]);
      case "permission_request":
        return `${update.data.tool}: ${JSON.stringify(update.data.input)}`;
      case "execution_finished":
        return `${update.data.outcome} after ${update.data.duration_ms} ms`;
      case "gap":
        this.positions.set(update.project_id, update.data.last_seq);
        return "";
      default:
        return ""; // also what a later hub sends
    }
  }
}

const hub = new Hub((text) => console.log(text));
const options: Options = { permission_mode: "plan", max_turns: 3 };
const answer = await hub.ask("execute", { project_id: "site", prompt: "Run the tests", options });
const state: "started" | "queued" | "finished" = answer.state;
const page = await hub.ask("get_messages", { project_id: "site", limit: 10 });
const texts: string[] = page.messages.map((update) => hub.show(update));
await hub.ask("project_list", {});
console.log(state, texts);

// @ts-expect-error: no such request
hub.ask("execute_all", {});
// @ts-expect-error: project_id is missing
hub.ask("execute", { prompt: "x" });
// @ts-expect-error: no such option
const wrong: Options = { permission_mode: "root" };
// @ts-expect-error: no such field
answer.seq;
declare const update: Update;
// @ts-expect-error: not every update has it
update.data.outcome;
if (update.update_type === "status") {
  // @ts-expect-error: no such status
  update.data.status === "asleep";
}
console.log(wrong);
