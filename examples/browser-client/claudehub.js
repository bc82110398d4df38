// A claudehub client for browsers: one ES module, no dependencies.
//
//   const hub = new Hub("ws://127.0.0.1:8080", { onUpdate: (update) => console.log(update) });
//   hub.join("site", { last: 50 });              // from here on no update is missed, none comes twice
//   await hub.execute("site", "Run the tests");  // runs once, however often the line drops meanwhile
// Callbacks, all optional: onState(state, detail) with connecting, connected, waiting or closed;
// onUpdate(update); onJoined(project, result); onGone(project, details); onRefused(project, error).
const [AT_ONCE, NO_MORE] = [new Set([1001, 1013]), 1008]; // it restarts, we were slow; not allowed
const [FIRST_DELAY_MS, LONGEST_DELAY_MS, STEADY_MS, WELCOME_MS] = [250, 30_000, 1000, 15_000];
const newKey = () => crypto.getRandomValues(new Uint32Array(4)).join("-"); // randomUUID wants TLS
export class Hub {
  #url; #on; #socket; #timer; #pulse; #isReady; #openedAt; #heardAt; #attempt = 0; #number = 0;
  #pending = new Map(); // id → message and done. Each may reach the hub twice, so a drop only repeats it
  #positions = new Map(); // project → where its updates go on: log_id and seq
  constructor(url, callbacks = {}) {
    [this.#url, this.#on] = [url, (name, ...values) => callbacks[name]?.(...values)];
    this.#connect();
  }
  request(type, payload = {}) { // resolves to the result, or rejects with code, message and details
    return new Promise((ok, no) => this.#ask(type, payload, (error, result) => (error ? no(error) : ok(result))));
  }
  execute(project_id, prompt, key = newKey()) { return this.request("execute", { project_id, prompt, key }); }
  join(project, { last = 0, log_id = null, seq = null } = {}) {
    this.#positions.set(project, { last, log_id, seq, isJoined: false });
    if (this.#isReady) this.#join(project);
  }
  leave(project_id) {
    if (this.#positions.delete(project_id)) this.#send({ type: "project_leave", payload: { project_id } });
  }
  check(within_ms = 5000) { // call it after a sleep, or when the network is back
    if (this.#timer) return this.#connect();
    const [socket, askedAt] = [this.#socket, Date.now()];
    this.#send({ type: "ping" });
    setTimeout(() => this.#isReady && this.#heardAt < askedAt && this.#lost(socket, 1006, ""), within_ms);
  }
  close(reason = "closed by this client") {
    this.#drop();
    this.#pending.forEach(({ done }) => done({ code: "closed", message: reason }));
    this.#pending.clear();
    this.#on("onState", "closed", { reason });
  }
  #connect() {
    clearTimeout(this.#timer);
    [this.#timer, this.#openedAt, this.#heardAt] = [null, 0, 0];
    const socket = (this.#socket = new WebSocket(this.#url, ["claudehub.v1"])); // throws for a bad URL
    socket.onmessage = ({ data }) => socket === this.#socket && this.#receive(JSON.parse(data));
    socket.onclose = ({ code, reason }) => this.#lost(socket, code, reason);
    setTimeout(() => this.#isReady || this.#lost(socket, 1006, ""), WELCOME_MS);
    this.#on("onState", "connecting", {});
  }
  #drop() { // without waiting for onclose: a dead line takes minutes to call it
    [this.#timer, this.#pulse].forEach(clearInterval);
    this.#socket?.close();
    [this.#socket, this.#timer, this.#isReady] = [null, null, false];
  }
  #lost(socket, code, reason) {
    if (socket !== this.#socket) return;
    const age_ms = this.#openedAt && Date.now() - this.#openedAt; // 0: it never was one
    this.#drop();
    // A join is made anew, from where this client is then. All else is sent again as it was.
    this.#pending.forEach(({ message: { type } }, id) => type === "project_join" && this.#pending.delete(id));
    if (code === NO_MORE) return this.close(reason || "the hub wants no connection of this client");
    if (age_ms > STEADY_MS) this.#attempt = 0; // it was a good one: the delays begin anew
    const longest_ms = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** this.#attempt++);
    const delay_ms = age_ms > STEADY_MS && AT_ONCE.has(code) ? 0 : Math.random() * longest_ms;
    this.#timer = setTimeout(() => this.#connect(), delay_ms);
    this.#on("onState", "waiting", { code, reason, delay_ms, wasOpen: age_ms > 0 });
  }
  #send(message) { if (this.#isReady) this.#socket.send(JSON.stringify(message)); }
  #ask(type, payload, done = () => {}) {
    const message = { type, id: String(++this.#number), payload };
    this.#pending.set(message.id, { message, done });
    this.#send(message);
  }
  #receive({ type, id, payload }) {
    this.#heardAt = Date.now();
    if (type === "welcome") return this.#welcome(payload);
    if (type === "update") return this.#update(payload);
    const [asked, error] = [this.#pending.get(id), type === "error" ? payload : null];
    if (!asked || error?.code === "shutting_down") return; // the next hub gets it
    const again = () => this.#pending.has(id) && this.#send(asked.message);
    if (error?.code === "rate_limited") return setTimeout(again, 1000 * error.details.retry_after_seconds);
    this.#pending.delete(id);
    asked.done(error, payload);
  }
  #welcome(welcome) {
    if (welcome.auth) return this.close("this hub wants an SSH key, and this client has none");
    [this.#openedAt, this.#isReady] = [Date.now(), true];
    this.#pending.forEach(({ message }) => this.#send(message));
    for (const project of this.#positions.keys()) this.#join(project);
    const beat_ms = 1000 * welcome.heartbeat_seconds; // a browser hides the hub's pings
    this.#pulse = setInterval(() => this.check(beat_ms), beat_ms);
    this.#on("onState", "connected", { welcome });
  }
  #join(project) {
    const at = this.#positions.get(project);
    const from = at.seq === null ? { last: at.last } : { after_seq: at.seq, log_id: at.log_id };
    at.isJoined = false;
    this.#ask("project_join", { project_id: project, ...from }, (error, result) => {
      if (this.#positions.get(project) !== at) return; // left, or joined anew
      if (error?.code === "history_gone") {
        this.join(project, { log_id: error.details.log_id, seq: error.details.first_seq - 1 });
        return this.#on("onGone", project, { ...error.details, seen: { log_id: at.log_id, seq: at.seq } });
      }
      if (error) return this.#positions.delete(project) && this.#on("onRefused", project, error);
      at.seq ??= Math.max(result.last_seq - at.last, result.first_seq - 1);
      Object.assign(at, { log_id: result.log_id, isJoined: true });
      this.#on("onJoined", project, result);
    });
  }
  #update(update) {
    const at = this.#positions.get(update.project_id);
    const seq = update.update_type === "gap" ? update.data.last_seq : update.seq;
    if (at && seq && (!at.isJoined || seq <= at.seq)) return; // of a replaced subscription, or seen before
    if (at && seq) at.seq = seq;
    if (update.update_type === "project_deleted") this.#positions.delete(update.project_id);
    this.#on("onUpdate", update);
  }
}
