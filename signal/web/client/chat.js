// The lines of a conversation: each is shown once, and sent until it has been heard.

const REMEMBERED = 1000;

export class Chat {
  #unheard = new Map();
  #heard = new Set();
  #last = 0;

  /** A new line of our own, not heard yet. Its time is unlike that of any other, so that it can be known again. */
  say(from, text, now = Date.now()) {
    this.#last = Math.max(now, this.#last + 1);
    const line = { from, time: this.#last, text };
    this.#unheard.set(this.#last, line);
    return line;
  }

  /** A line came in: "own" (ours is back), "new", or "known" (heard before: a line may be sent twice, not shown twice). */
  hear(sender, own, line) {
    const key = `${sender} ${line.time} ${line.text}`;
    if (this.#heard.has(key)) return "known";
    this.#heard.add(key);
    if (this.#heard.size > REMEMBERED) this.#heard.delete(this.#heard.values().next().value);
    if (own && this.#unheard.delete(line.time)) return "own";
    return "new";
  }

  /** Our lines that may not have arrived, in order. */
  get unheard() {
    return [...this.#unheard.values()];
  }
}
