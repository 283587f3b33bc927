/**
 * A call in one room of a Switchboard node: who is there, what they say, their sound and pictures.
 *
 *     const call = new Client({ room: "tea", username: "Ada" });
 *     call.addEventListener("peer", ({ detail: peer }) => show(peer.stream));
 *     call.setTrack("audio", track);
 *     call.connect();
 *
 * A client enters by itself, comes back by itself when the line to the node or the node itself is gone, renews its TURN
 * credentials, and keeps one RTCPeerConnection to each peer (RFC 8829, perfect negotiation). Calls go on while there is
 * no line.
 *
 * What goes wrong is told by events, never by a rejected promise, as it may happen at any time: `problem` says why the
 * node does not let us in, and whether it is tried again; when it is not, `state` is "ended" next. Only what could never
 * be right, like a room's name with a space in it, is a TypeError at once.
 */

/** Proof of an id in a room, signed by the node. */
export interface Pass {
  /** 32 hex digits. */
  id: string;
  token: string;
}

/** Somebody in the room. */
export interface Member {
  id: string;
  username: string;
}

export interface ClientOptions {
  /** The room's slug: 1 to 64 of a-z, 0-9 and "-". A node makes a room of that name if there is none, unless it is told not to. */
  room: string;
  /** How the others see us; the node cuts it at 100 characters. */
  username?: string;
  /** For a room that has one. */
  password?: string;
  /** Address of the node, like "https://call.example.org"; by default the one that served this module. */
  server?: string;
  /** Whether this tab keeps its pass in its sessionStorage, so that a reload is the same person; by default it does. */
  keep?: boolean;
  /** As in RTCConfiguration: "relay" lets no media go but through a TURN server. */
  iceTransportPolicy?: RTCIceTransportPolicy;
  /** For an app that gets passes in another way, best first. It keeps them itself: see the event `pass`. */
  passes?: readonly Pass[];
  /** With `passes`: the room is known to have a password, so that an open room of the same name is not the one meant. */
  locked?: boolean;
  /** With `passes`: the first of them was in use before this page was loaded; the others are told that the page is new. */
  resumed?: boolean;
}

/**
 * "new" → "connecting" → "connected" ⇄ "reconnecting" → "ended"; from there `connect` begins again. While it is
 * "reconnecting" there is no line to the node, but calls go on.
 */
export type ClientState = "new" | "connecting" | "connected" | "reconnecting" | "ended";

/** What of ours is sent: microphone, camera, and a screen beside them. */
export type TrackKind = "audio" | "video" | "screen";

export interface StateChange {
  state: ClientState;
  /** Why it is "ended": by `leave`, because this id went on elsewhere, or because of a final `problem`; else "". */
  why: "" | "left" | "replaced" | "refused";
  /** The same for a person to read, where there is more to say; else "". */
  text: string;
}

/** Why the node does not let us in. */
export interface Problem {
  /**
   * HTTP status: 401 wrong or no password, 403 this page may not, 404 no such room, 418 the room is full, 429 too many
   * attempts, 503 busy; 0 when the node has not been reached yet.
   */
  status: number;
  /** The same for a person to read. */
  text: string;
  /** False when it is tried again by itself. */
  final: boolean;
}

/** A line of the chat. */
export interface Line {
  /** Id of who said it. */
  sender: string;
  /** Name of who said it, as the room knows it. */
  from: string;
  /** When it was said, by its sender's clock, in ms since 1970. A line of our own has a time unlike that of any other. */
  time: number;
  text: string;
  /** Said by us. */
  own: boolean;
  /** Ours, and not heard yet by the room. It is told again, with false, when it is. */
  pending: boolean;
}

/** A message of a type of the app's own. */
export interface Message {
  /** Id of who sent it. */
  sender: string;
  /** Our id. */
  receiver: string;
  type: string;
  /** Whatever JSON was sent. */
  data: unknown;
}

/** What is wrong with something of ours. */
export interface Warning {
  /** For a developer to read. */
  text: string;
  /**
   * The message that it is about, where that is known, with the `time` of a line of the chat in its data. It is not sent
   * again by itself, but some may have it: so it is when our id became another one before it was known to be safe.
   */
  message?: { receiver: string; type: string; data?: unknown };
}

export interface ClientEventMap {
  /** `Client.state` has changed. */
  state: CustomEvent<StateChange>;
  /** `Client.id` is known, or another one: then all peers have gone, and come anew. */
  id: CustomEvent<{ id: string }>;
  /** `Client.pass` is a newer one: every now and then, as they expire. */
  pass: CustomEvent<Pass>;
  /** Somebody came, went, or has another name. */
  roster: CustomEvent<{ clients: readonly Member[] }>;
  /** A peer came. Its own events tell what becomes of it. */
  peer: CustomEvent<Peer>;
  /** A peer left the room; it has been told to itself as `gone`. */
  gone: CustomEvent<Peer>;
  /** A line of the chat, ours too. */
  text: CustomEvent<Line>;
  /** A message of the app's own. */
  message: CustomEvent<Message>;
  /** What became of something of ours that did not go well, like "Not delivered: …". */
  warning: CustomEvent<Warning>;
  /** Why the node does not let us in. */
  problem: CustomEvent<Problem>;
}

/** Ourselves in a room. */
export class Client extends EventTarget {
  /** Does nothing yet; what could never be right is a TypeError. */
  constructor(options: ClientOptions);

  readonly state: ClientState;
  /** How we call ourselves: see `rename`. */
  readonly username: string;
  /** Our id in the room; null until the node has given one. */
  readonly id: string | null;
  /** What proves it, also after this page is gone. */
  readonly pass: Pass | undefined;
  /** Everybody in the room, ourselves too, in order of arrival. */
  readonly roster: readonly Member[];
  /** Everybody else, by id. */
  readonly peers: ReadonlyMap<string, Peer>;

  /** Enters the room; after the end comes back to it, with another id if the one before has said goodbye. */
  connect(): void;
  /**
   * Says goodbye: the others see us leave at once, and our calls end. Who closes the page without it may be about to come
   * back: the node keeps that place for a while (its setting `camus.grace`).
   */
  leave(): void;
  /**
   * Sends `track` as our `kind` to everybody who is there, and to those who come; null sends none. It may be called
   * before `connect`, and at any time. The track stays the app's own: it is never stopped.
   */
  setTrack(kind: TrackKind, track: MediaStreamTrack | null): void;
  rename(username: string): void;
  /**
   * A line of the chat for everybody in the room. While there is no line to the node it waits. Each is shown once. False
   * when it is not sent, as in `send`: then it stays `pending`, and `warning` says so too.
   */
  say(text: string): boolean;
  /**
   * A message of a `type` of your own to the id of a peer, or to `ROOM`: everybody, ourselves too. `data` is anything that
   * JSON can carry. It is heard once; while there is no line it waits. Who is not there any more is told of as `warning`.
   * False when too much waits already, or it is larger than the node takes: it is not sent then. Types of the module's own
   * are a TypeError, as no app would hear of them: "ping", "pong", "bye", "offer", "answer", "icecandidate", "greeting".
   */
  send(receiver: string, type: string, data?: unknown): boolean;

  addEventListener<K extends keyof ClientEventMap>(
    type: K,
    listener: (this: Client, event: ClientEventMap[K]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
  removeEventListener<K extends keyof ClientEventMap>(
    type: K,
    listener: (this: Client, event: ClientEventMap[K]) => void,
    options?: boolean | EventListenerOptions,
  ): void;
  removeEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | EventListenerOptions): void;
}

/**
 * Which way a peer's media goes: "none" before there is any, "failed" when no way was found (it is tried again). Looked
 * after every 2 s, while the page is in sight.
 */
export type Path = "none" | "connecting" | "direct" | "relayed" | "failed";

export interface PeerEventMap {
  /** The tracks of `stream`, `screen` or `receives` have changed. */
  stream: Event;
  /** `path` has changed. */
  path: Event;
  /** `username` has changed. */
  name: Event;
  /** No way through any more. Fresh ICE servers are asked for, and it is tried again. */
  failed: Event;
  /** It left the room. Nothing comes after this. */
  gone: Event;
}

/** Somebody else in the room. Clients make them. */
export interface Peer extends EventTarget {
  readonly id: string;
  readonly username: string;
  /** Its microphone and camera: the same object for as long as the peer is there, whatever becomes of its tracks. */
  readonly stream: MediaStream;
  /** The screen that it shares, or null. */
  readonly screen: MediaStream | null;
  /** Whether its microphone and camera have been agreed upon. One that is switched off later still counts. */
  readonly receives: { readonly audio: boolean; readonly video: boolean };
  readonly path: Path;
  /** Sound as it arrives now: whether any does, and how loud, from 0 to 1. */
  readonly sound: { on: boolean; level: number };
  /** The connection in force, for what this module does not offer; it may be another one after each event. */
  readonly connection: RTCPeerConnection;

  addEventListener<K extends keyof PeerEventMap>(
    type: K,
    listener: (this: Peer, event: PeerEventMap[K]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
  removeEventListener<K extends keyof PeerEventMap>(
    type: K,
    listener: (this: Peer, event: PeerEventMap[K]) => void,
    options?: boolean | EventListenerOptions,
  ): void;
  removeEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | EventListenerOptions): void;
}

/** Receiver of a message to everybody in the room, ourselves too. */
export const ROOM: "room";
/** The node itself, as a sender or receiver of messages. */
export const SERVER: "ground control";
