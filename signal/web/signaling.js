// The line to the node: camus frames over one WebSocket that comes back by itself.
//
// Events:
//   open     the socket is there: say what you want to know
//   welcome  the node has told us our id; detail {id, first, again}: the first time, or with the id of before
//   down     the socket is gone, another one follows
//   frame    detail {sender, receiver, type, data}: whatever is not the line's own business
//   problem  detail {status, text, final}: why the node does not let us in
//   ended    detail {why: "left" | "replaced" | "refused", text}: nothing more happens by itself

export const SERVER = "ground control";
export const ROOM = "room";

const BACKOFF = { first: 500, most: 15_000 };
// A socket that lived this long was a good one: the next drop starts from a short delay again.
const STEADY = 10_000;
const OPEN_WITHIN = 10_000;
const BEAT_EVERY = 15_000;
const ANSWER_WITHIN = 8_000;

const REFUSALS = {
  401: "The password of this room has to be given again: reload the page.",
  403: "The server no longer takes this page's pass for the room. Reload the page for a new one.",
  404: "This room is no longer there.",
  418: "This room is full.",
  429: "Too many attempts from this address. It is tried again in a while.",
  503: "The server is busy. It is tried again in a moment.",
};

/** How long to wait before attempt `n` (from 0), in ms: full jitter, so that a crowd comes back spread out. */
export function delay(n, random = Math.random) {
  return random() * Math.min(BACKOFF.most, BACKOFF.first * 2 ** n);
}

export class Signaling extends EventTarget {
  #base;
  #username;
  #locked;
  #passes;
  #socket = null;
  #attempts = 0;
  #since = 0;
  #welcomed = false;
  #met = false;
  #leaving = false;
  #over = true;
  #patient = false;
  #retry;
  #beat;
  #deadline;
  #wake = () => this.#hurry();

  /**
   * `passes`: what proves who we are, best first: [{id, token}, …]; when one is refused the next is tried, at last none.
   * `locked`: the room has a password, so that without a pass there is no way in. `base`: any URL of the node.
   */
  constructor({ slug, passes = [], username = "", locked = false, base = location.href }) {
    super();
    this.slug = slug;
    this.#passes = passes.filter((pass) => pass?.token);
    this.#username = username;
    this.#locked = locked;
    this.#base = base;
    this.id = this.pass?.id ?? null;
  }

  /** The pass in force: {id, token}, or undefined. */
  get pass() {
    return this.#passes[0];
  }

  /** True while frames can be sent and are answered. */
  get up() {
    return this.#welcomed;
  }

  /** Connects. `renew` asks for an id first: for somebody who has said `bye`. */
  start({ renew = false } = {}) {
    if (this.#socket) this.#drop(this.#socket);
    this.#over = this.#leaving = false;
    this.#attempts = 0;
    addEventListener("online", this.#wake);
    document.addEventListener("visibilitychange", this.#wake);
    if (renew || !this.pass) this.#ask({ renew });
    else this.#dial();
  }

  /** Sends one frame; false when there is no socket to send it on. */
  send(receiver, type, data) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify({ receiver, type, data }));
    return true;
  }

  /** Says `bye`, or will as soon as there is a socket again: the others should not wait for somebody who has left. */
  leave() {
    if (this.#over || this.#leaving) return;
    this.#leaving = true;
    this.#tell("ended", { why: "left", text: "" });
    if (this.#welcomed) this.send(SERVER, "bye", Date.now());
    else this.#hurry();
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #dial() {
    clearTimeout(this.#retry);
    const url = new URL(`/room/${encodeURIComponent(this.slug)}/ws`, this.#base);
    url.protocol = url.protocol.replace("http", "ws");
    url.searchParams.set("token", this.pass.token);
    const socket = new WebSocket(url);
    let opened = false;
    this.#socket = socket;
    this.#deadline = setTimeout(() => this.#lost(socket, opened, 1006), OPEN_WITHIN);
    socket.onopen = () => {
      opened = true;
      clearTimeout(this.#deadline);
      this.#ping();
      if (!this.#leaving) this.#tell("open");
    };
    socket.onmessage = ({ data }) => this.#hear(data);
    socket.onclose = ({ code }) => this.#lost(socket, opened, code);
  }

  #hear(text) {
    clearTimeout(this.#deadline);
    let frame;
    try {
      frame = JSON.parse(text);
    } catch {
      return;
    }
    if (frame.sender === SERVER && frame.type === "pong") this.#welcome(frame.receiver);
    else if (frame.type === "ping") this.send(frame.sender, "pong", frame.data);
    else if (frame.type !== "pong" && !this.#leaving) this.#tell("frame", frame);
  }

  #welcome(id) {
    if (this.#welcomed) return;
    this.#welcomed = true;
    this.#since = Date.now();
    this.#beat = setInterval(() => this.#ping(), BEAT_EVERY);
    if (this.#leaving) {
      this.send(SERVER, "bye", Date.now());
      return;
    }
    const first = !this.#met;
    const again = !first && this.id === id;
    this.#met = true;
    this.id = id;
    this.#tell("welcome", { id, first, again });
  }

  /** A socket may be dead for minutes before the browser notices: an unanswered ping says so in seconds. */
  #ping() {
    const socket = this.#socket;
    if (!this.send(SERVER, "ping", Date.now())) return;
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => this.#lost(socket, true, 1006), ANSWER_WITHIN);
  }

  #lost(socket, opened, code) {
    if (socket !== this.#socket) return;
    const wasUp = this.#welcomed;
    this.#drop(socket);
    if (this.#leaving && (wasUp || code === 1000)) return this.#stop();
    if (wasUp && Date.now() - this.#since > STEADY) this.#attempts = 0;
    if (code === 1000) return this.#end("left", "You left this call in another place.");
    if (code === 4001) return this.#end("replaced", "This call went on in another tab or window.");
    if (wasUp) this.#tell("down");
    if (code === 4003 || !opened) this.#ask({ renew: code === 4003 });
    else this.#later();
  }

  #drop(socket) {
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
    this.#socket = null;
    this.#welcomed = false;
    clearTimeout(this.#deadline);
    clearInterval(this.#beat);
  }

  #later(atLeast = 0) {
    clearTimeout(this.#retry);
    this.#patient = atLeast > 0;
    this.#retry = setTimeout(() => this.#dial(), Math.max(atLeast, delay(this.#attempts++)));
  }

  /** The network is back, or somebody looks at the page: no reason to wait any longer. */
  #hurry() {
    if (document.visibilityState === "hidden" && !this.#leaving) return;
    if (this.#socket) this.#ping();
    else if (this.#retry && !this.#patient) this.#dial();
  }

  /** A browser does not say why an upgrade failed: this route does, and gives the next pass. */
  async #ask({ renew = false } = {}) {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    const shown = this.pass;
    const token = shown?.token;
    // Without a pass the node would make an open room under the name of one that had a password.
    if (!token && this.#locked) return this.#end("refused", REFUSALS[401]);
    let response;
    let answer;
    try {
      response = await fetch(new URL(`/api/rooms/${encodeURIComponent(this.slug)}/clients`, this.#base), {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ username: this.#username || undefined, token }),
      });
      answer = await response.json().catch(() => ({}));
    } catch {
      return this.#later();
    }
    if (this.#over) return;
    // Another id that nobody expected may be one of another, open room of the same name.
    const strange = this.#locked && !renew && response.status === 201 && answer.id !== shown.id;
    if (response.status === 201 && !strange) {
      const known = answer.id === shown?.id;
      this.#passes[0] = { id: answer.id, token: answer.token };
      // A known id whose socket was refused: the node is not ready for it yet.
      return known ? this.#later() : this.#dial();
    }
    if (strange || (response.status === 403 && token)) {
      this.#passes.shift();
      return this.pass ? this.#dial() : this.#ask();
    }
    this.#refused(response, answer);
  }

  #refused(response, answer) {
    const { status } = response;
    const text = REFUSALS[status] ?? answer.message ?? `The server answered ${status}.`;
    const final = status < 500 && status !== 429;
    // A load balancer without a healthy node says 503 too, but without a time: that is an outage, not a refusal.
    const wait = Number(response.headers.get("retry-after")) * 1000;
    if (!final && !wait) return this.#later();
    this.#tell("problem", { status, text, final });
    if (final) this.#end("refused", text);
    else this.#later(wait);
  }

  #end(why, text) {
    const said = this.#leaving;
    this.#stop();
    if (!said) this.#tell("ended", { why, text });
  }

  #stop() {
    this.#over = true;
    clearTimeout(this.#retry);
    this.#retry = undefined;
    removeEventListener("online", this.#wake);
    document.removeEventListener("visibilitychange", this.#wake);
  }
}
