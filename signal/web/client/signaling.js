// The line to the node: camus frames over one WebSocket that comes back by itself.
//
// Events:
//   open     the socket is there: say what you want to know
//   welcome  the node has told us our id; detail {id, first, again}: the first time, or with the id of before
//   down     the socket is gone, another one follows
//   pass     the proof of our id is a newer one
//   frame    detail {sender, receiver, type, data}: whatever is not the line's own business; each once
//   lost     detail {text, message: {receiver, type, data}}: a message that is not sent any more, and why
//   problem  detail {status, text, final}: why the node does not let us in; status 0: it has not been reached yet
//   ended    detail {why: "left" | "replaced" | "refused", text}: nothing more happens by itself

import { Outbox } from "./outbox.js";
import { askForPass, refusalOf } from "./pass.js";

export const SERVER = "ground control";
export const ROOM = "room";

// What clients say to each other for their calls, and say anew when they have been apart.
export const OF_CALLS = new Set(["offer", "answer", "icecandidate", "greeting"]);

// What this module takes for itself, whoever it is from.
export const RESERVED = new Set([...OF_CALLS, "ping", "pong", "bye"]);

const UNKNOWN = "Not known whether a message arrived";

const BACKOFF = { first: 500, most: 15_000 };
// A socket that lived this long was a good one: the next drop starts from a short delay again.
const STEADY = 10_000;
const OPEN_WITHIN = 10_000;
const BEAT_EVERY = 15_000;
const ANSWER_WITHIN = 8_000;
// A timer that is later than this tells of a page that stood still, and of answers that may be waiting to be read.
const STOOD_STILL = 1000;
// A pass expires, after some hours by default, whether the line is up or not; as long as it is good it gets a newer one.
const RENEW_EVERY = 3600_000;
// With this the node says when a message is safe, and numbers what it carries.
const SUBPROTOCOL = "switchboard.v1";
// Of what was heard so much is known again when it comes a second time.
const REMEMBERED = 4096;
const LOCKED = 401;
const FORBIDDEN = 403;
const TOO_MANY = 429;

/** How long to wait before attempt `n` (from 0), in ms: full jitter, so that a crowd comes back spread out. */
export function delay(n, random = Math.random) {
  return random() * Math.min(BACKOFF.most, BACKOFF.first * 2 ** n);
}

export class Signaling extends EventTarget {
  #server;
  #room;
  #introduction;
  #locked;
  #passes;
  #socket = null;
  #opened = false;
  #outbox = new Outbox();
  #heard = new Set();
  // How soon the node that is about to stop wants us back.
  #awayFor = null;
  #attempts = 0;
  #since = 0;
  #welcomed = false;
  #met = false;
  // Let in since the last start.
  #entered = false;
  #leaving = false;
  #goodbyes = 0;
  #left = false;
  #over = true;
  // Another one after each start and each end: an answer that was waited for in an earlier one is of no interest.
  #turn = 0;
  #patient = false;
  #retry;
  #beat;
  #renewal;
  #deadline;
  #online = () => this.#hurry();
  #seen = () => document.visibilityState === "visible" && this.#hurry();

  /**
   * `server`: the node's URL. `passes`: what proves who we are, best first: [{id, token}, …]; when one is refused the
   * next is tried, at last the `password`. `locked`: the room is known to have one, so that without a pass or the
   * password there is no way in.
   */
  constructor({ server, room, passes, username, password, locked }) {
    super();
    this.#server = server;
    this.#room = room;
    this.#passes = passes.filter((pass) => pass?.token);
    this.#introduction = { username: username || undefined, password: password || undefined };
    this.#locked = locked;
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

  /** Connects: as who we were, with `kept` as the best proof if it is given; but as somebody new after `bye`. */
  start(kept) {
    if (this.#socket) this.#drop(this.#socket);
    if (kept) this.#passes.unshift(kept);
    const renew = this.#left;
    this.#turn += 1;
    this.#over = this.#leaving = this.#left = this.#entered = false;
    this.#attempts = this.#goodbyes = 0;
    globalThis.addEventListener("online", this.#online);
    globalThis.document?.addEventListener("visibilitychange", this.#seen);
    if (renew) this.#ask({ renew });
    else this.#connect();
  }

  /**
   * To the server: sends one frame; false when there is no socket to send it on. To others: it is kept, and sent again
   * after each new connection, until it is safe; false when too much waits already, or it is larger than the node takes.
   */
  send(receiver, type, data) {
    if (receiver === SERVER) return this.#write(JSON.stringify({ receiver, type, data }));
    const kept = this.#outbox.add({ receiver, type, data });
    if (kept && this.#welcomed) this.#put(kept);
    return kept !== null;
  }

  /** The message {receiver, type, data} that has this `id`, while it is not known to be safe. */
  find(id) {
    return this.#outbox.find(id);
  }

  #put(kept) {
    if (this.#write(kept.frame)) kept.written = true;
  }

  #write(frame) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(frame);
    return true;
  }

  /** Says `bye`, or will as soon as there is a socket again: the others should not wait for somebody who has left. */
  leave() {
    if (this.#over || this.#leaving) return;
    this.#leaving = this.#left = true;
    if (this.#welcomed) this.#sayBye();
    else if (this.pass) this.#hurry();
    else this.#stop();
    // At last: who hears it may begin anew.
    this.#tell("ended", { why: "left", text: "" });
  }

  /** With a ping, as a line that is dead should be found so. */
  #sayBye() {
    this.#goodbyes += 1;
    this.#ping();
    this.send(SERVER, "bye", Date.now());
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #connect() {
    if (this.pass) this.#dial();
    else this.#ask();
  }

  #dial() {
    clearTimeout(this.#retry);
    if (this.#socket) this.#drop(this.#socket);
    const url = new URL(`/room/${encodeURIComponent(this.#room)}/ws`, this.#server);
    url.protocol = url.protocol.replace("http", "ws");
    url.searchParams.set("token", this.pass.token);
    const socket = new WebSocket(url, [SUBPROTOCOL]);
    this.#socket = socket;
    this.#opened = false;
    this.#expect(OPEN_WITHIN);
    socket.onopen = () => {
      this.#opened = true;
      this.#ping();
      if (!this.#leaving) this.#tell("open");
    };
    socket.onmessage = ({ data }) => this.#hear(data);
    socket.onclose = ({ code }) => this.#lost(socket, code);
  }

  #hear(text) {
    // Before the node has told us our id, that alone is an answer: it may greet, or be busy, and never come to it.
    if (this.#welcomed) clearTimeout(this.#deadline);
    let frame;
    try {
      frame = JSON.parse(text);
    } catch {
      return;
    }
    if (frame.sender === SERVER && this.#minds(frame)) return;
    if (frame.type === "ping") this.send(frame.sender, "pong", frame.data);
    else if (frame.type !== "pong" && !this.#leaving && this.#isNew(frame.id)) this.#tell("frame", frame);
  }

  /** What the server says about the line itself. */
  #minds({ receiver, type, data }) {
    const means = {
      pong: () => this.#welcome(receiver),
      session: () => this.#begin({ id: receiver, token: data.token }, data),
      accepted: () => this.#outbox.remove(data.id),
      "going-away": () => (this.#awayFor = data.reconnect_after_ms),
    };
    means[type]?.();
    return type in means;
  }

  #begin(pass, session) {
    if (pass.id === this.pass?.id) this.#passes[0] = pass;
    const largest = session.max_message_bytes;
    this.#outbox.largest = largest;
    // The node would close the line for it, each time.
    this.#lose(this.#outbox.take(({ size }) => size > largest), "A message was not sent: it is longer than the server takes");
  }

  /** A message that the node could not know to have arrived comes again, with the number that it had. */
  #isNew(id) {
    if (id === undefined) return true;
    if (this.#heard.has(id)) return false;
    this.#heard.add(id);
    if (this.#heard.size > REMEMBERED) this.#heard.delete(this.#heard.values().next().value);
    return true;
  }

  #welcome(id) {
    if (this.#welcomed) return;
    clearTimeout(this.#deadline);
    this.#welcomed = true;
    this.#since = Date.now();
    this.#beat = setInterval(() => this.#ping(), BEAT_EVERY);
    this.#renewal = setInterval(() => this.#renew(), RENEW_EVERY);
    const first = !this.#met;
    const again = !first && this.id === id;
    const lost = this.id === id ? [] : this.#disown();
    this.#met = this.#entered = true;
    this.id = id;
    // Before anybody hears of it, and has something new to say.
    for (const kept of this.#outbox.kept) this.#put(kept);
    if (this.#leaving) this.#sayBye();
    else this.#tell("welcome", { id, first, again });
    this.#lose(lost, UNKNOWN);
  }

  /** Takes out what was written under another id: who has heard it would take it for something new from somebody else. */
  #disown() {
    this.#outbox.take(({ message }) => RESERVED.has(message.type));
    return this.#outbox.take(({ written }) => written);
  }

  /** Nobody says any more what still waits: of what an app said it is told. */
  #forget() {
    const ofApp = this.#outbox.take(() => true).filter(({ message }) => !RESERVED.has(message.type));
    this.#lose(ofApp.filter(({ written }) => written), UNKNOWN);
    this.#lose(ofApp.filter(({ written }) => !written), "A message was not sent");
  }

  #lose(lost, why) {
    for (const { message } of lost) this.#tell("lost", { text: why, message });
  }

  /** A socket may be dead for minutes before the browser notices: an unanswered ping says so in seconds. */
  #ping() {
    if (this.send(SERVER, "ping", Date.now())) this.#expect(ANSWER_WITHIN);
  }

  /** Gives the line up when nothing stops this in `time`, or in twice that if the page stood still meanwhile. */
  #expect(time, again = false) {
    const socket = this.#socket;
    const due = Date.now() + time;
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => {
      if (again || Date.now() < due + STOOD_STILL) return this.#lost(socket, 1006);
      this.send(SERVER, "ping", Date.now());
      this.#expect(time, true);
    }, time);
  }

  #lost(socket, code) {
    if (socket !== this.#socket) return;
    const wasUp = this.#welcomed;
    const after = this.#awayFor;
    this.#drop(socket);
    // One goodbye may have been lost with the line.
    if (this.#leaving && (code === 1000 || this.#goodbyes > 1)) return this.#stop();
    if (wasUp && Date.now() - this.#since > STEADY) this.#attempts = 0;
    if (code === 1000) return this.#end("left", "You left this call in another place.");
    if (code === 4001) return this.#end("replaced", "This call went on in another tab or window.");
    if (wasUp && !this.#leaving) this.#tell("down");
    if (code === 4003 || !this.#opened) this.#ask({ renew: code === 4003 });
    else if (after !== null) this.#retry = setTimeout(() => this.#connect(), after);
    else this.#later();
  }

  #drop(socket) {
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
    this.#socket = null;
    this.#welcomed = false;
    this.#awayFor = null;
    clearTimeout(this.#deadline);
    clearInterval(this.#beat);
    clearInterval(this.#renewal);
  }

  #later(atLeast = 0) {
    clearTimeout(this.#retry);
    this.#patient = atLeast > 0;
    this.#retry = setTimeout(() => this.#connect(), Math.max(atLeast, delay(this.#attempts++)));
  }

  /** The network is back, or somebody looks at the page: no reason to wait any longer. */
  #hurry() {
    if (this.#socket) this.#ping();
    else if (this.#retry && !this.#patient) this.#connect();
  }

  /** No pass yet, or the socket was refused: the answer to this says why, and gives the next pass. */
  async #ask({ renew = false } = {}) {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    const shown = this.pass;
    // Without any proof the node would make an open room under the name of one that had a password.
    if (!shown && this.#locked && !this.#introduction.password) return this.#refused({ status: LOCKED, text: refusalOf(LOCKED) });
    const turn = this.#turn;
    const { pass, ...refusal } = await this.#exchange(shown);
    if (turn !== this.#turn) return;
    // Who we were is gone, and nobody else has to say goodbye.
    if (this.#leaving && (pass ? pass.id !== shown?.id : refusal.status === FORBIDDEN)) return this.#stop();
    // Another id that nobody expected may be one of another, open room of the same name.
    const strange = this.#locked && shown && !renew && pass && pass.id !== shown.id;
    if (strange || (shown && refusal.status === FORBIDDEN)) {
      this.#passes.shift();
      return this.#connect();
    }
    if (!pass) return this.#refused(refusal);
    this.#passes[0] = pass;
    // A known id whose socket was refused: the node is not ready for it yet.
    if (pass.id === shown?.id) this.#later();
    else this.#dial();
  }

  async #renew() {
    const turn = this.#turn;
    const { pass } = await this.#exchange(this.pass);
    if (turn !== this.#turn || pass?.id !== this.id) return;
    this.#passes[0] = pass;
    this.#tell("pass");
  }

  /** The answer to who shows a pass, or none, and asks for the next. */
  #exchange(shown) {
    return askForPass({ server: this.#server, room: this.#room, token: shown?.token, ...this.#introduction });
  }

  #refused({ status, text, wait = 0 }) {
    const final = status > 0 && status < 500 && status !== TOO_MANY;
    // A load balancer without a healthy node says 503 too, but without a time: that is an outage, not a refusal.
    const told = final || wait > 0 || !this.#entered;
    if (told && !this.#leaving) this.#tell("problem", { status, text, final });
    if (final) this.#end("refused", text);
    else this.#later(wait);
  }

  #end(why, text) {
    const said = this.#leaving;
    if (why === "left") this.#left = true;
    this.#stop();
    if (!said) this.#tell("ended", { why, text });
  }

  #stop() {
    this.#over = true;
    this.#turn += 1;
    clearTimeout(this.#retry);
    this.#retry = undefined;
    globalThis.removeEventListener("online", this.#online);
    globalThis.document?.removeEventListener("visibilitychange", this.#seen);
    // Else what waits is for the next start.
    if (this.#leaving) this.#forget();
  }
}
