// One other person: an RTCPeerConnection under perfect negotiation, whatever becomes of the line to the node.
// What an app may use of it, and its events, are described in client.d.ts.

import { route } from "./ice.js";

// Sound that stopped arriving for this long is off at its source.
const SILENT_AFTER = 1000;

/** The parts of `o=` that name a description's author (one RTCPeerConnection) and the description itself. */
function origin(sdp) {
  const [, author, version] = /^o=\S+ (\S+) (\S+)/m.exec(sdp) ?? [];
  return { author, version: `${author} ${version}` };
}

// A handshake this long after a way was found does not end any more; the polite one leaves it to the other at first.
const HANDSHAKE_WITHIN = { polite: 9000, impolite: 5000 };
// An offer that got no answer in this time may have been lost, or the node could not deliver it: it is said again.
const ANSWER_WITHIN = 5000;
const REPEATS = 5;

export class Peer extends EventTarget {
  #polite;
  #configuration;
  #say;
  #connection;
  // Ours: a screen is a stream of its own, so that other programs do not mix it with the camera.
  #local = { camera: new MediaStream(), screen: new MediaStream() };
  #tracks = new Map();
  #senders = new Map();
  // Author of the remote description in force: a reloaded page has a new one.
  #author = null;
  // The `mid` of what they send as their screen.
  #theirScreen = null;
  #since = 0;
  #offeredAt = 0;
  #repeats = 0;
  #making = false;
  #ignoring = false;
  #early = [];
  #work = Promise.resolve();

  /**
   * `say(type, data)` sends to this peer, and is false when it could not; `tracks`: our own, by kind.
   * The polite one gives way when two offers cross.
   */
  constructor({ id, username, polite, configuration, tracks, say }) {
    super();
    this.id = id;
    this.username = username;
    this.stream = new MediaStream();
    this.screen = null;
    this.receives = { audio: false, video: false };
    this.path = "none";
    this.#polite = polite;
    this.#configuration = configuration;
    this.#say = say;
    this.#tracks = new Map(tracks);
    this.#begin();
  }

  /** The RTCPeerConnection in force, for what this class does not offer. */
  get connection() {
    return this.#connection;
  }

  rename(username) {
    this.username = username;
    this.#tell("name");
  }

  /**
   * Sends `track` as our `kind` ("audio", "video" or "screen") from now on, or nothing when null. Another microphone or
   * camera, or none, needs no word with the other side, so it also works while the line to the node is away; it is seen
   * by what arrives. The start and the end of a screen are said, as they change what the other side shows.
   */
  publish(kind, track) {
    if (track) this.#tracks.set(kind, track);
    else this.#tracks.delete(kind);
    const sender = this.#senders.get(kind);
    if (!sender) return track && this.#add(kind, track);
    sender.replaceTrack(track).catch(() => {});
    if (kind === "screen") this.#direct(sender, Boolean(track));
  }

  /** Hears `offer`, `answer`, `icecandidate` or `greeting`, each when the one before it is done. */
  hear(type, data) {
    const does = {
      offer: () => this.#offered(data),
      answer: () => this.#answered(data),
      icecandidate: () => this.#candidate(data),
      greeting: () => this.#greeted(),
    };
    this.#queue(does[type]);
  }

  /** After the line was gone: says again what may have been lost with it, the answer before an offer of our own. */
  restate() {
    this.#queue(() => {
      const { currentLocalDescription: current, pendingLocalDescription: pending, connectionState } = this.#connection;
      if (current?.type === "answer" || (!pending && connectionState !== "connected")) this.#describe(current);
      this.#describe(pending);
    });
  }

  /** New ICE servers: for the next restart, which follows at once where there is no way through. */
  configure(configuration) {
    this.#configuration = configuration;
    this.#connection.setConfiguration(configuration);
    if (this.#connection.connectionState === "failed") this.#connection.restartIce();
  }

  /** Looks after what may have got stuck: to be called every now and then, also while nobody looks at the page. */
  mend() {
    if (this.#stuck) this.#queue(() => this.#stuck && this.#begin());
    if (this.#unanswered) this.#queue(() => this.#unanswered && this.#repeat());
  }

  /** Looks which way the media goes, if it goes at all. */
  async look() {
    const path = await this.#findPath();
    if (path === this.path) return;
    this.path = path;
    this.#tell("path");
  }

  /** Chromium's DTLS may wait for ever when the other's first word overtook the answer: then all is begun anew. */
  get #stuck() {
    const { connectionState, iceConnectionState, signalingState } = this.#connection;
    const through = iceConnectionState === "connected" || iceConnectionState === "completed";
    const patience = HANDSHAKE_WITHIN[this.#polite ? "polite" : "impolite"];
    return connectionState === "connecting" && through && signalingState === "stable" && Date.now() - this.#since > patience;
  }

  get #unanswered() {
    const waiting = this.#connection.pendingLocalDescription && this.#repeats < REPEATS;
    return waiting && Date.now() - this.#offeredAt > ANSWER_WITHIN;
  }

  /** Sound as it arrives now: {on, level}, the level from 0 to 1. */
  get sound() {
    const receiver = this.#connection.getReceivers().find(({ track }) => track.kind === "audio");
    const [source] = receiver?.getSynchronizationSources() ?? [];
    const age = source ? performance.timeOrigin + performance.now() - source.timestamp : Infinity;
    return age < SILENT_AFTER ? { on: this.receives.audio, level: source.audioLevel ?? 0 } : { on: false, level: 0 };
  }

  close() {
    this.#connection.close();
    this.path = "none";
    this.#tell("gone");
  }

  #tell(type) {
    this.dispatchEvent(new Event(type));
  }

  #queue(step) {
    const connection = this.#connection;
    this.#work = this.#work.then(step).catch((error) => {
      // What concerns a connection that has been closed meanwhile is of no interest.
      if (connection === this.#connection && connection.signalingState !== "closed") console.warn(this.id, error);
    });
  }

  #begin() {
    this.#connection?.close();
    this.#author = this.#theirScreen = null;
    this.#making = this.#ignoring = false;
    this.#early = [];
    this.#senders.clear();

    const connection = new RTCPeerConnection(this.#configuration);
    this.#connection = connection;
    connection.onnegotiationneeded = () => this.#negotiate(connection);
    connection.onicecandidate = ({ candidate }) => candidate && this.#say("icecandidate", candidate.toJSON());
    connection.onconnectionstatechange = () => {
      this.look();
      if (connection.connectionState === "failed") this.#tell("failed");
    };
    for (const [kind, track] of this.#tracks) this.#add(kind, track);
    this.#agreed();
  }

  #add(kind, track) {
    this.#senders.set(kind, this.#connection.addTrack(track, this.#local[kind === "screen" ? "screen" : "camera"]));
  }

  #transceiverOf(sender) {
    return this.#connection.getTransceivers().find((transceiver) => transceiver.sender === sender);
  }

  /** Sends or no longer sends; what is received stays, as the other side may show something in the same place. */
  #direct(sender, sends) {
    const transceiver = this.#transceiverOf(sender);
    const receives = transceiver.direction.includes("recv");
    const [both, one] = sends ? ["sendrecv", "sendonly"] : ["recvonly", "inactive"];
    transceiver.direction = receives ? both : one;
  }

  /** What has been agreed upon is what is received: a track's own `muted` may lag behind by seconds. */
  #agreed() {
    const received = this.#connection.getTransceivers().filter(({ currentDirection }) => currentDirection?.includes("recv"));
    const screen = received.find(({ mid }) => mid === this.#theirScreen);
    const tracks = received.filter((transceiver) => transceiver !== screen).map(({ receiver }) => receiver.track);
    const has = (wanted) => tracks.some(({ kind }) => kind === wanted);
    this.receives = { audio: has("audio"), video: has("video") };
    this.#hold(tracks);
    this.#show(screen?.receiver.track);
    this.#tell("stream");
  }

  #hold(tracks) {
    for (const track of this.stream.getTracks()) if (!tracks.includes(track)) this.stream.removeTrack(track);
    for (const track of tracks) this.stream.addTrack(track);
  }

  #show(track) {
    if (!track) this.screen = null;
    else if (this.screen?.getTracks()[0] !== track) this.screen = new MediaStream([track]);
  }

  async #negotiate(connection) {
    try {
      this.#making = true;
      await connection.setLocalDescription();
      if (connection !== this.#connection) return;
      this.#repeats = 0;
      this.#describe(connection.pendingLocalDescription);
    } catch (error) {
      if (connection.signalingState !== "closed") console.warn(this.id, error);
    } finally {
      if (connection === this.#connection) this.#making = false;
    }
  }

  /**
   * An answer names the offer it is for (`re`), as one that comes late must not be taken for another's. `screen` is the
   * `mid` of what we send as our screen, if we do: a description itself does not say what a picture is of.
   */
  #describe(description) {
    if (!description) return false;
    const { type, sdp } = description;
    if (type === "offer") this.#offeredAt = Date.now();
    const re = type === "answer" ? origin(this.#connection.currentRemoteDescription.sdp).version : undefined;
    const screen = this.#transceiverOf(this.#senders.get("screen"))?.mid ?? undefined;
    return this.#say(type, { type, sdp, re, screen });
  }

  /** What could not even be sent does not count: a line that comes back should find repeats left. */
  #repeat() {
    if (this.#describe(this.#connection.pendingLocalDescription)) this.#repeats += 1;
  }

  async #offered({ sdp, screen }) {
    const { author } = origin(sdp);
    const collision = this.#making || this.#connection.signalingState !== "stable";
    this.#ignoring = collision && !this.#polite;
    if (this.#ignoring) return;
    // An offer of ours that gives way before anything was agreed goes with its whole connection:
    // Chromium, rolling back a description whose candidates it has just begun to gather, may never gather again.
    if (this.#author ? this.#author !== author : collision) this.#begin();
    else if (collision) await this.#giveWay(sdp);
    await this.#remote({ type: "offer", sdp }, { author, screen });
    await this.#connection.setLocalDescription();
    this.#describe(this.#connection.currentLocalDescription);
    this.#agreed();
  }

  /**
   * Takes our offer back for theirs. Where it had something of ours for the first time, Chromium opens a new channel then,
   * and joins what they send there to nothing, unless they seem to send something else than before: it would be decoded,
   * and neither shown nor heard any more. So their offer comes without the numbers of its sources first, and then as it is.
   */
  #giveWay(sdp) {
    return this.#connection.setRemoteDescription({ type: "offer", sdp: sdp.replace(/^a=ssrc.*\r?\n/gm, "") });
  }

  async #answered({ sdp, re, screen }) {
    const { signalingState, localDescription } = this.#connection;
    if (signalingState !== "have-local-offer") return;
    if (re && re !== origin(localDescription.sdp).version) return;
    const { author } = origin(sdp);
    if (this.#author && this.#author !== author) return this.#begin();
    await this.#remote({ type: "answer", sdp }, { author, screen });
    this.#agreed();
  }

  async #remote(description, { author, screen = null }) {
    await this.#connection.setRemoteDescription(description);
    this.#author = author;
    this.#theirScreen = screen;
    this.#since = Date.now();
    for (const candidate of this.#early.splice(0)) await this.#candidate(candidate);
  }

  async #candidate(candidate) {
    if (!this.#connection.remoteDescription) {
      this.#early.push(candidate);
      return;
    }
    try {
      await this.#connection.addIceCandidate(candidate);
    } catch (error) {
      if (!this.#ignoring) console.debug(this.id, error);
    }
  }

  /** Its page is new and knows nothing of what has been agreed with the one before. */
  #greeted() {
    if (this.#author) this.#begin();
    else this.#describe(this.#connection.pendingLocalDescription);
  }

  async #findPath() {
    const { connectionState, signalingState } = this.#connection;
    if (connectionState === "failed") return "failed";
    if (connectionState === "connected") return route(await this.#connection.getStats()) ?? "connecting";
    if (connectionState === "new" && signalingState === "stable") return "none";
    return connectionState === "closed" ? "none" : "connecting";
  }
}
