// One peer's way to the node: the requests that come before, the WebSocket, and each frame of it, as they happen.

// What only a browser says of a close, and no close frame does (RFC 6455, 7.4.1).
const UNSAID = {
  1005: "the close frame had no code",
  1006:
    "no close frame: the line was lost, or the node did not open a WebSocket. " +
    "A page is not told why; the lines for a shell show it",
};

const size = (text) => new TextEncoder().encode(text).length;

export class Connection extends EventTarget {
  #protocol;
  #known;
  #goodbyes;
  #socket = null;
  #cancelled = new AbortController();
  #since = 0;

  /** `known` is read when it is needed and learns what is told; `goodbyes`: the node's close codes, [{code, reason}]. */
  constructor(protocol, known, goodbyes) {
    super();
    this.#protocol = protocol;
    this.#known = known;
    this.#goodbyes = goodbyes;
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Is done when the socket is open, or will not be. Tells "frame" {way, text, title, bytes, at} and "end". */
  async open() {
    this.#since = performance.now();
    try {
      for (const request of this.#protocol.requests ?? []) await this.#ask(request);
      this.#cancelled.signal.throwIfAborted();
      await this.#connect();
    } catch (problem) {
      // With what was kept from before it may be that nobody is let in any more.
      for (const name of this.#protocol.keeps ?? []) delete this.#known[name];
      this.#end(problem.message);
    }
  }

  send(text) {
    this.#socket.send(text);
    this.#known.sent += 1;
    this.#learn(this.#protocol.says, text);
    this.#tell("out", text);
  }

  close() {
    this.#cancelled.abort(new Error("Cancelled."));
    this.#socket?.close(1000);
  }

  async #ask({ method, path, body, gives, refused }) {
    const [address, words] = [path(this.#known), JSON.stringify(body(this.#known))];
    this.#tell("out", words, `${method} ${address}`);
    const headers = { "content-type": "application/json" };
    const answer = await fetch(address, { method, body: words, headers, signal: this.#cancelled.signal });
    const text = await answer.text();
    this.#tell("in", text, `${answer.status} ${answer.statusText}`);
    const told = parsed(text);
    const problem = answer.ok ? refused?.(told, this.#known) : (told.message ?? "The node refused.");
    if (problem) throw new Error(problem);
    for (const name of gives) this.#known[name] = told[name];
  }

  #connect() {
    const { socket, subprotocol, opens } = this.#protocol;
    const address = new URL(socket(this.#known), location.href.replace(/^http/, "ws"));
    this.#tell("out", address.href, subprotocol ? `WebSocket, ${subprotocol}` : "WebSocket");
    this.#socket = new WebSocket(address, subprotocol ?? []);
    this.#socket.binaryType = "arraybuffer";
    return new Promise((resolve) => {
      this.#socket.onopen = () => {
        Object.assign(this.#known, opens?.(this.#known));
        this.#note("The WebSocket is open.");
        resolve();
      };
      this.#socket.onmessage = ({ data }) => this.#hear(data);
      this.#socket.onclose = ({ code, reason }) => {
        this.#end(this.#farewell(code, reason));
        resolve();
      };
    });
  }

  #hear(data) {
    if (typeof data !== "string") return this.#tell("in", new TextDecoder().decode(data), "binary");
    this.#learn(this.#protocol.hears, data);
    this.#tell("in", data);
  }

  #learn(lessons, text) {
    const frame = parsed(text);
    Object.assign(this.#known, lessons?.[frame.type]?.(frame, this.#known));
  }

  #farewell(code, reason) {
    const meanings = this.#goodbyes.filter((goodbye) => goodbye.code === code).map((goodbye) => goodbye.reason);
    const meaning = reason || meanings.join(", or: ") || UNSAID[code];
    const more = this.#protocol.closes?.[reason];
    return `Closed with ${[code, meaning, more].filter(Boolean).join(": ")}.`;
  }

  #end(why) {
    this.#note(why);
    this.dispatchEvent(new Event("end"));
  }

  #note(text) {
    this.#tell("note", text);
  }

  #tell(way, text, title = parsed(text).type) {
    const detail = { way, text, title, bytes: size(text), at: performance.now() - this.#since };
    this.dispatchEvent(new CustomEvent("frame", { detail }));
  }
}

/** The object in `text`; an empty one where there is none. */
function parsed(text) {
  try {
    return Object(JSON.parse(text));
  } catch {
    return {};
  }
}
