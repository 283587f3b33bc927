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

  /**
   * {id, message, frame, size, written}: a message that is kept from now on, not written to any line yet; null when too
   * much is kept already, or it is too large.
   */
  add(message) {
    const id = `${this.#page}-${this.#last + 1}`;
    const frame = JSON.stringify({ ...message, id });
    const size = new TextEncoder().encode(frame).length;
    if (size > this.largest) return null;
    if (this.#kept.size >= MOST && !this.#makeRoom()) return null;
    this.#last += 1;
    const kept = { id, message, frame, size, written: false };
    this.#kept.set(id, kept);
    return kept;
  }

  /** A candidate gives way, the oldest first: a description says it again. False where there is none. */
  #makeRoom() {
    const spare = this.kept.find(({ message }) => message.type === "icecandidate");
    return this.#kept.delete(spare?.id);
  }

  /** The message of this name, while it is kept. */
  find(id) {
    return this.#kept.get(id)?.message;
  }

  remove(id) {
    this.#kept.delete(id);
  }

  /** Takes out those of which `of` is true. */
  take(of) {
    const taken = this.kept.filter(of);
    for (const { id } of taken) this.remove(id);
    return taken;
  }

  /** What is kept, in the order in which it was said. */
  get kept() {
    return [...this.#kept.values()];
  }
}
