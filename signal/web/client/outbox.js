// What was said and is not known to be safe yet. The node says so by the name that each message has: it is in a second
// place then, or those whom it is for have it, or it is said why not. One of the same name does nothing twice.

const MOST = 256;

/** Unlike that of any other page: a name that comes again is taken for the same message. */
function unlikeAnyOther() {
  return [...crypto.getRandomValues(new Uint8Array(8))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class Outbox {
  #kept = new Map();
  #page = unlikeAnyOther();
  #last = 0;
  /** Bytes that a frame may have: the node says how many. */
  largest = 256 * 1024;

  /** The frame of a message that is kept from now on; null when too much is kept already, or the frame is too large. */
  add(message) {
    if (this.#kept.size >= MOST) return null;
    const id = `${this.#page}-${++this.#last}`;
    const frame = JSON.stringify({ ...message, id });
    if (new TextEncoder().encode(frame).length > this.largest) return null;
    this.#kept.set(id, frame);
    return frame;
  }

  remove(id) {
    this.#kept.delete(id);
  }

  /** What is kept, in the order in which it was said. */
  get frames() {
    return [...this.#kept.values()];
  }
}
