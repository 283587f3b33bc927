// Our own camera, microphone and speaker: which ones, whether they are on, and what becomes of them.
//
// Events (their detail):
//   track    {kind}: `tracks[kind]` or whether it is on has changed
//   list     `list` has changed: something was plugged in or out, or may be called by its name now
//   speaker  {id}: sound goes there from now on; "" is the system's own choice
//   note     {text}: something a person should read; "" when it is over

import { keep, recall } from "../kept.js";
import { openDevices } from "./media.js";

const KEY = "switchboard:devices";
const KINDS = { audioinput: "audio", videoinput: "video", audiooutput: "speaker" };
const WORDS = { audio: "microphone", video: "camera", speaker: "speaker" };

/** Only some browsers let a page choose where its sound goes. */
export const canChooseSpeaker = "setSinkId" in HTMLMediaElement.prototype;

export class Devices extends EventTarget {
  tracks = { audio: null, video: null };
  wanted = { audio: true, video: true };
  /** What there is, by kind: [{id, label}, …]; nameless, and so left out, before the first permission. */
  list = { audio: [], video: [], speaker: [] };
  #chosen = recall(KEY, {});

  constructor() {
    super();
    navigator.mediaDevices?.addEventListener("devicechange", () => this.#changed());
  }

  isOn(kind) {
    return Boolean(this.tracks[kind]) && this.wanted[kind];
  }

  /** The id of what is in use, or would be. */
  using(kind) {
    return this.tracks[kind]?.getSettings().deviceId ?? this.#preferred(kind)?.id ?? this.list[kind][0]?.id ?? "";
  }

  /** Opens those of `kinds` that are wanted and not open yet. */
  async open(kinds = Object.keys(this.tracks)) {
    const missing = kinds.filter((kind) => this.wanted[kind] && !this.tracks[kind]);
    if (missing.length === 0) return;
    const ids = Object.fromEntries(missing.map((kind) => [kind, this.#chosen[kind]?.id]));
    const { note, ...found } = await openDevices(missing, ids);
    for (const kind of missing) this.#set(kind, found[kind]);
    this.#tell("note", { text: note });
    await this.#look();
  }

  async toggle(kind) {
    const on = this.isOn(kind);
    this.wanted[kind] = !on;
    // A camera that is off is let go of, so that its light goes out.
    if (on && kind === "video") this.#stop(kind);
    if (!on && !this.tracks[kind]) return this.open([kind]);
    this.#publish(kind);
  }

  /** Takes another device, now and the next time. */
  async choose(kind, id) {
    this.#chosen[kind] = this.list[kind].find((device) => device.id === id) ?? { id };
    keep(KEY, this.#chosen);
    if (kind === "speaker") return this.#tell("speaker", { id });
    if (!this.tracks[kind]) return;
    await this.#reopen(kind);
  }

  /** Lets go of everything. */
  close() {
    for (const kind of Object.keys(this.tracks)) this.#stop(kind);
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #set(kind, track) {
    this.tracks[kind] = track;
    track?.addEventListener("ended", () => this.tracks[kind] === track && this.#lost(kind, track.label));
    this.#publish(kind);
  }

  #publish(kind) {
    const track = this.tracks[kind];
    if (track) track.enabled = this.wanted[kind];
    this.#tell("track", { kind });
  }

  #stop(kind) {
    this.tracks[kind]?.stop();
    this.tracks[kind] = null;
  }

  /** Many phones open one camera at a time: the old one goes first. What others get meanwhile stands still. */
  async #reopen(kind) {
    this.#stop(kind);
    await this.open([kind]);
  }

  /** A browser ends a track when its device is unplugged or taken away: the next best one goes on. */
  async #lost(kind, label) {
    this.tracks[kind] = null;
    this.#publish(kind);
    if (!this.wanted[kind]) return;
    await this.open([kind]);
    const next = this.tracks[kind];
    if (next) this.#tell("note", { text: `Your ${WORDS[kind]} “${label}” is gone. “${next.label}” is used now.` });
  }

  async #changed() {
    const before = this.list;
    await this.#look();
    for (const kind of Object.keys(this.tracks)) {
      const preferred = this.#preferred(kind);
      const isNew = preferred && !before[kind].some(({ id }) => id === preferred.id);
      if (!isNew || !this.tracks[kind] || this.using(kind) === preferred.id) continue;
      await this.#reopen(kind);
      this.#tell("note", { text: `Your ${WORDS[kind]} “${preferred.label}” is back, and used again.` });
    }
    const speaker = this.#chosen.speaker;
    if (!speaker?.id || this.#preferred("speaker") || !before.speaker.some(({ id }) => id === speaker.id)) return;
    this.#tell("speaker", { id: "" });
    this.#tell("note", { text: `Your speaker “${speaker.label}” is gone. Sound goes to the system's own choice now.` });
  }

  async #look() {
    const found = (await navigator.mediaDevices?.enumerateDevices().catch(() => [])) ?? [];
    const list = { audio: [], video: [], speaker: [] };
    for (const { kind, deviceId, label } of found) {
      if (label && deviceId) list[KINDS[kind]].push({ id: deviceId, label });
    }
    const before = this.#preferred("speaker");
    this.list = list;
    const speaker = this.#preferred("speaker");
    if (speaker && !before) this.#tell("speaker", { id: speaker.id });
    this.#tell("list");
  }

  /** The device that was chosen, if it is there; some browsers give it another id each time, but the same label. */
  #preferred(kind) {
    const { id, label } = this.#chosen[kind] ?? {};
    const list = this.list[kind];
    return list.find((device) => device.id === id) ?? list.find((device) => label && device.label === label);
  }
}
