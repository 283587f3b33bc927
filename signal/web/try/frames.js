// The list of what went over one peer's line.

import { indented } from "./json.js";

const WAYS = { out: "Sent", in: "Heard", note: "" };
// An old frame makes room for a new one.
const MOST = 500;

export class Frames {
  #log;
  #list;
  #template;
  #frames = [];
  #pretty = true;

  /** `log` scrolls, and has a list in it; `template` is what a frame looks like. */
  constructor(log, template) {
    this.#log = log;
    this.#list = log.querySelector("ol");
    this.#template = template;
  }

  set pretty(pretty) {
    this.#pretty = pretty;
    for (const { row, text } of this.#frames) this.#write(row, text);
  }

  /** Adds a frame, and returns what there is to say of it in short. */
  add({ way, text, title = "", bytes, at }) {
    const row = this.#template.content.firstElementChild.cloneNode(true);
    row.dataset.way = way;
    row.querySelector(".way").textContent = WAYS[way];
    row.querySelector(".title").textContent = title;
    row.querySelector(".at").textContent = `${(at / 1000).toFixed(3)} s`;
    row.querySelector(".bytes").textContent = way === "note" ? "" : `${bytes} B`;
    this.#write(row, text);
    this.#keep({ row, text });
    return way === "note" ? text : `${WAYS[way]}: ${title || text}`;
  }

  clear() {
    this.#frames = [];
    this.#list.replaceChildren();
  }

  #keep(frame) {
    const atEnd = this.#log.scrollHeight - this.#log.scrollTop - this.#log.clientHeight < 40;
    this.#frames.push(frame);
    this.#list.append(frame.row);
    if (this.#frames.length > MOST) this.#frames.shift().row.remove();
    if (atEnd) this.#log.scrollTop = this.#log.scrollHeight;
  }

  #write(row, text) {
    row.querySelector("pre").textContent = this.#pretty ? indented(text) : text;
  }
}
