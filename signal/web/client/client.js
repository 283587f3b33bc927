// A call in one room of a Switchboard node: who is there, what they say, their sound and pictures.
// What an app may use of it, and each event with its detail, is described in client.d.ts.

import { iceServers, renewIn } from "./ice.js";
import { Peer } from "./peer.js";
import { difference, readRoster } from "./roster.js";
import { Seat } from "./seat.js";
import { OF_CALLS, RESERVED, ROOM, SERVER, Signaling } from "./signaling.js";

const LOOK_EVERY = 2000;
// Frames of peers that the roster does not name yet are kept, this many.
const STRANGERS = 200;
// A room whose node forgot it fills up again little by little: whom we still hear is not taken for gone at once.
const SETTLED_AFTER = 10_000;
const KINDS = ["audio", "video", "screen"];
const OVER = ["new", "ended"];
// The node that served this file.
const HOME = new URL(import.meta.url).origin;

/** Without one frame of who sent most: a candidate, which a later description says again, or else the oldest. */
function spare(frames) {
  const bySender = new Map();
  for (const frame of frames) bySender.set(frame.sender, [...(bySender.get(frame.sender) ?? []), frame]);
  const most = [...bySender.values()].reduce((one, other) => (other.length > one.length ? other : one));
  const least = most.find(({ type }) => type === "icecandidate") ?? most[0];
  return frames.filter((frame) => frame !== least);
}

// As the node itself says it of messages without a name.
const REASONS = {
  absent: (receiver) => `no client ${receiver} in this room`,
  full: (receiver) => `too much waits for client ${receiver} already`,
  expired: (receiver) => `client ${receiver} did not come back`,
};

function notDelivered({ receiver, reason }) {
  const why = REASONS[reason] ?? ((receiver) => `client ${receiver} cannot be reached`);
  return `Not delivered: ${why(receiver)}`;
}

/** The slug `room`, or an error that says what one looks like. */
function checkedRoom(room) {
  if (typeof room === "string" && /^[a-z0-9-]{1,64}$/.test(room)) return room;
  throw new TypeError(`room: ${JSON.stringify(room)} is not one; it is a slug of 1 to 64 of a-z, 0-9 and "-", like "tea"`);
}

/** The URL `server`, or an error that says what one looks like. */
function checkedServer(server) {
  if (URL.canParse(server) && /^https?:$/.test(new URL(server).protocol)) return server;
  throw new TypeError(`server: ${JSON.stringify(server)} is not one; it is an address like "https://call.example.org"`);
}

export class Client extends EventTarget {
  #line;
  #seat;
  // When we last said something: no two lines of ours have the same time, by which one that is back is known again.
  #spoke = 0;
  #tracks = new Map();
  #policy;
  #servers = null;
  #renewal;
  #looks;
  #roster = [];
  #strangers = [];
  #greets;
  #catchUp = false;
  #settled = 0;

  /**
   * For a page that gets its passes in another way: `passes`, best first ([{id, token}, …]), which this client then does
   * not keep; `locked`: the room is known to have a password; `resumed`: the first of them was in use before this page
   * was loaded. All else is in client.d.ts.
   */
  constructor({ room, username = "", password, server = HOME, keep = true, passes, locked, resumed, iceTransportPolicy = "all" }) {
    super();
    this.username = username;
    this.state = "new";
    this.peers = new Map();
    this.#policy = iceTransportPolicy;
    this.#greets = Boolean(resumed);
    const where = { server: checkedServer(server), room: checkedRoom(room) };
    this.#seat = keep && !passes ? new Seat(where.server, where.room) : null;
    this.#line = new Signaling({ ...where, passes: passes ?? [], username, password, locked: locked ?? Boolean(password) });
    this.#line.addEventListener("open", () => this.#opened());
    this.#line.addEventListener("welcome", ({ detail: { first, again } }) => this.#welcomed(first, again));
    this.#line.addEventListener("pass", () => this.#keep());
    this.#line.addEventListener("frame", ({ detail }) => this.#heard(detail));
    this.#line.addEventListener("down", () => this.#become("reconnecting"));
    this.#line.addEventListener("lost", ({ detail }) => this.#tell("warning", detail));
    this.#line.addEventListener("problem", ({ detail }) => this.#tell("problem", detail));
    this.#line.addEventListener("ended", ({ detail }) => this.#ended(detail));
  }

  get id() {
    return this.#line.id;
  }

  /** {id, token} that proves this client's id, also after this page is gone. */
  get pass() {
    return this.#line.pass;
  }

  /** Everybody in the room, in order of arrival: [{id, username}]. */
  get roster() {
    return this.#roster;
  }

  /** Enters the room, or comes back to it when that has ended. */
  connect() {
    if (!OVER.includes(this.state)) return;
    this.#become("connecting");
    this.#looks = setInterval(() => this.#look(), LOOK_EVERY);
    this.#start();
  }

  /** Says goodbye: the others see us leave at once. */
  leave() {
    if (OVER.includes(this.state)) return;
    this.#line.leave();
    // Not even begun.
    if (this.state !== "ended") this.#ended({ why: "left", text: "" });
  }

  /** Sends `track` to everybody, now and later, as our "audio", "video" or "screen"; null sends none. */
  setTrack(kind, track) {
    if (!KINDS.includes(kind)) throw new TypeError(`kind: ${JSON.stringify(kind)} is none; it is one of ${KINDS.join(", ")}`);
    if (track) this.#tracks.set(kind, track);
    else this.#tracks.delete(kind);
    for (const peer of this.peers.values()) peer.publish(kind, track);
  }

  rename(username) {
    this.username = username;
    this.#line.send(SERVER, "profile", { username });
  }

  /** A line for everybody in the room; it waits while there is no connection. False when it is not sent. */
  say(text) {
    this.#spoke = Math.max(Date.now(), this.#spoke + 1);
    const line = { from: this.username, time: this.#spoke, text };
    this.#tell("text", { sender: this.id, ...line, own: true, pending: true });
    const taken = this.#line.send(ROOM, "text", line);
    const message = { receiver: ROOM, type: "text", data: line };
    if (!taken) this.#tell("warning", { text: "Not sent: too much waits already, or it is too long", message });
    return taken;
  }

  /** A message of a type of your own to a peer's id or ROOM; it waits while there is no connection. */
  send(receiver, type, data) {
    if (typeof receiver !== "string" || typeof type !== "string") throw new TypeError("send: receiver and type are strings");
    if (receiver === SERVER || !RESERVED.has(type)) return this.#line.send(receiver, type, data);
    throw new TypeError(`type: "${type}" is not one of your own; no more are ${[...RESERVED].join(", ")}`);
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #become(state, { why = "", text = "" } = {}) {
    if (this.state === state) return;
    this.state = state;
    this.#tell("state", { state, why, text });
  }

  async #start() {
    const kept = this.id ? null : await this.#seat?.recall();
    if (this.state !== "connecting") return;
    if (kept) this.#greets = true;
    this.#line.start(kept);
  }

  #opened() {
    if (this.username && this.#roster.length === 0) this.rename(this.username);
    this.#ask();
  }

  #ask() {
    this.#line.send(SERVER, "get-ice-servers");
    if (this.#servers) this.#line.send(SERVER, "get-room-info");
  }

  #welcomed(first, again) {
    // Not before: what was held for us comes first, and may hold a roster of some time ago.
    this.#catchUp = true;
    this.#keep();
    if (again) {
      this.#settled = Date.now() + SETTLED_AFTER;
      return;
    }
    // Whom we knew under an id that is no more knows us as somebody else now.
    if (!first) this.#removeAll();
    this.#tell("id", { id: this.id });
  }

  #keep() {
    this.#seat?.keep(this.pass);
    this.#tell("pass", this.pass);
  }

  #heard({ sender, receiver, type, data }) {
    if (sender === SERVER && type === "ice-servers") return this.#serve(iceServers(data));
    if (sender === SERVER && type === "room-info") return this.#assemble(readRoster(data));
    if (sender === SERVER && type === "error") return this.#tell("warning", { text: data });
    if (sender === SERVER && type === "undeliverable") return this.#undelivered(data);
    if (type === "bye") return this.#left(sender);
    if (type === "text") return this.#read(sender, data);
    if (!OF_CALLS.has(type)) return this.#tell("message", { sender, receiver, type, data });
    const peer = this.peers.get(sender);
    if (peer) return peer.hear(type, data);
    if (sender === SERVER || sender === this.id) return;
    if (!this.#strangers.some((stranger) => stranger.sender === sender)) this.#line.send(SERVER, "get-room-info");
    this.#strangers.push({ sender, type, data });
    if (this.#strangers.length > STRANGERS) this.#strangers = spare(this.#strangers);
  }

  /** Whom something could not be delivered to may have left without our hearing of it. */
  #undelivered(data) {
    this.#tell("warning", { text: notDelivered(data), message: this.#line.find(data.id) });
    this.#line.send(SERVER, "get-room-info");
  }

  get #configuration() {
    // One transport for sound and pictures: half the candidates, half of what can go wrong.
    return { iceServers: this.#servers ?? [], iceTransportPolicy: this.#policy, bundlePolicy: "max-bundle" };
  }

  #serve(servers) {
    if (!this.#servers) this.#line.send(SERVER, "get-room-info");
    this.#servers = servers;
    for (const peer of this.peers.values()) peer.configure(this.#configuration);
    clearTimeout(this.#renewal);
    const wait = renewIn(servers);
    if (wait !== null) this.#renewal = setTimeout(() => this.#line.send(SERVER, "get-ice-servers"), wait);
  }

  /**
   * The room as it is. Before the ICE servers are known nobody can be called: when they are, we ask. And before our id is
   * known we would be one of the others.
   */
  #assemble(clients) {
    if (!this.#servers || !this.#line.up) return;
    this.#roll(clients);
    if (!clients.some(({ id }) => id === this.id)) return;
    const known = this.#strangers.filter(({ sender }) => this.peers.has(sender));
    this.#strangers = this.#strangers.filter(({ sender }) => !this.peers.has(sender));
    for (const { sender, type, data } of known) this.peers.get(sender).hear(type, data);
    if (this.#catchUp) this.#caughtUp();
  }

  #caughtUp() {
    this.#catchUp = false;
    this.#become("connected");
    // Once only: the node may have its own opinion of a name.
    const { username } = this.#roster.find(({ id }) => id === this.id);
    if (this.username && username !== this.username) this.rename(this.username);
    for (const peer of this.peers.values()) {
      if (this.#greets) this.#line.send(peer.id, "greeting", "I am back.");
      peer.restate();
    }
    this.#greets = false;
  }

  #roll(clients) {
    const { came, left, renamed } = difference(this.#roster, clients);
    this.#roster = clients;
    for (const { id } of left) this.#miss(id);
    for (const { id, username } of renamed) this.peers.get(id)?.rename(username);
    for (const client of came) if (client.id !== this.id && !this.peers.has(client.id)) this.#add(client);
    if (came.length + left.length + renamed.length > 0) this.#tell("roster", { clients });
  }

  #add({ id, username }) {
    const peer = new Peer({
      id,
      username,
      polite: this.id < id,
      configuration: this.#configuration,
      tracks: this.#tracks,
      say: (type, data) => this.#line.up && this.#line.send(id, type, data),
    });
    peer.addEventListener("failed", () => this.#line.send(SERVER, "get-ice-servers"));
    this.peers.set(id, peer);
    this.#tell("peer", peer);
  }

  #left(id) {
    this.#remove(id);
    this.#roll(this.#roster.filter((client) => client.id !== id));
  }

  #miss(id) {
    const heard = this.peers.get(id)?.connection.connectionState === "connected";
    if (!heard || Date.now() > this.#settled) return this.#remove(id);
    setTimeout(() => this.#roster.some((client) => client.id === id) || this.#remove(id), SETTLED_AFTER);
  }

  #remove(id) {
    const peer = this.peers.get(id);
    if (!peer) return;
    this.peers.delete(id);
    peer.close();
    this.#tell("gone", peer);
  }

  #removeAll() {
    this.#roster = [];
    this.#strangers = [];
    for (const id of [...this.peers.keys()]) this.#remove(id);
  }

  #read(sender, data) {
    if (typeof data?.text !== "string") return;
    const { from, time, text } = data;
    const own = sender === this.id;
    const said = { time: Number.isFinite(time) ? time : Date.now(), text, own, pending: false };
    this.#tell("text", { sender, from: this.#nameOf(sender, from), ...said });
  }

  /** What the server calls somebody counts, not what they call themselves in a message. */
  #nameOf(sender, from) {
    return this.#roster.find(({ id }) => id === sender)?.username ?? String(from ?? "");
  }

  /** In a tab that nobody looks at, calls are put through too; only which way they go is of no interest there. */
  #look() {
    // A node that was busy did not hear what we asked.
    if (this.#line.up && this.state !== "connected") this.#ask();
    const seen = globalThis.document?.visibilityState !== "hidden";
    for (const peer of this.peers.values()) {
      peer.mend();
      if (seen) peer.look();
    }
  }

  #ended(detail) {
    clearInterval(this.#looks);
    clearTimeout(this.#renewal);
    this.#removeAll();
    this.#greets = true;
    this.#seat?.forget();
    this.#become("ended", detail);
  }
}
