// Our own screen, shared or not.

import { canShareScreen, openScreen } from "./media.js";

/** Tells of its changes by the events `track`, and `note` {text} when it could not begin. */
export class Screen extends EventTarget {
  track = null;
  possible = canShareScreen;

  async toggle() {
    if (this.track) return this.stop();
    const { track, note } = await openScreen();
    this.dispatchEvent(new CustomEvent("note", { detail: { text: note } }));
    if (!track) return;
    // The browser has a button of its own to stop with.
    track.addEventListener("ended", () => this.track === track && this.stop());
    this.#set(track);
  }

  stop() {
    this.track?.stop();
    if (this.track) this.#set(null);
  }

  #set(track) {
    this.track = track;
    this.dispatchEvent(new Event("track"));
  }
}
