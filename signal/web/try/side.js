// One of the two peers: its words, its line, what went over it, and what it may say next.

import { Connection } from "./connection.js";
import { field, words } from "./fields.js";
import { Frames } from "./frames.js";
import { indented, isJson } from "./json.js";
import { shell } from "./shell.js";

export class Side {
  /** What this peer knows, for itself and for the other. */
  known = {};
  #name;
  #part;
  #node;
  #changed;
  #inTurn;
  #frames;
  #connection = null;
  #protocol = null;
  #shared = () => ({});
  #other = {};
  #buttons = [];

  /**
   * `section` is the part of the page; `node`, what the page was told of it; `changed()` is called when this peer knows
   * something new; `inTurn(step)` lets one peer connect at a time.
   */
  constructor(section, { node, changed, inTurn }) {
    this.#name = section.dataset.side;
    this.#part = (selector) => section.querySelector(selector);
    this.#node = node;
    this.#changed = changed;
    this.#inTurn = inTurn;
    this.#frames = new Frames(this.#part(".log"), document.querySelector("#frame"));
    this.#part(".entry").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#connection ? this.#connection.close() : this.#connect();
    });
    this.#part(".composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    const text = this.#part("textarea");
    text.addEventListener("input", () => this.#judge());
    text.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.#send();
    });
  }

  /** From now on speaks `protocol`, at the `path` where the node does; `shared()` are the words of both peers. */
  speaks(protocol, path, shared) {
    this.#connection?.close();
    this.#connection = null;
    this.#protocol = protocol;
    this.#shared = shared;
    this.known = { path, key: this.#node.key, sent: 0 };
    this.#clear();
    this.#part(".fields").replaceChildren(...protocol.fields.map((one) => field(one, this.#name, () => this.refill())));
    this.#buttons = protocol.messages.map((message) => this.#button(message));
    this.#part(".ready").replaceChildren(...this.#buttons.map(({ button }) => button));
    this.#fill();
    this.#state("Not connected");
  }

  set pretty(pretty) {
    this.#frames.pretty = pretty;
  }

  /** What makes sense now, as the other peer knows `other`. */
  refresh(other = this.#other) {
    this.#other = other;
    const open = this.#connection?.isOpen ?? false;
    const later = [];
    for (const { button, message } of this.#buttons) {
      const lacks = message.lacks?.(this.known, other) ?? "";
      button.hidden = !open || lacks !== "";
      if (open && lacks) later.push(`${message.title}: when ${lacks}`);
    }
    this.#part(".ready-none").hidden = open;
    this.#part(".later").hidden = later.length === 0;
    this.#part(".later ul").replaceChildren(
      ...later.map((text) => Object.assign(document.createElement("li"), { textContent: text })),
    );
    this.#part(".send").disabled = !open;
    this.#showLines();
  }

  #showLines() {
    const place = this.#part(".shell");
    const lines = shell(this.#protocol, this.known);
    // Written again, they would no longer be selected.
    if (place.textContent !== lines) place.textContent = lines;
  }

  /** The words have been changed: what was kept from a connection was for others. */
  refill() {
    if (this.#connection) return;
    for (const name of this.#protocol.keeps ?? []) delete this.known[name];
    this.#fill();
  }

  #fill() {
    Object.assign(this.known, this.#shared(), words(this.#part(".fields")));
    this.#changed();
  }

  #button(message) {
    const button = Object.assign(document.createElement("button"), {
      type: "button",
      className: "button small",
      textContent: message.title,
    });
    button.addEventListener("click", () => {
      this.#compose(JSON.stringify(message.frame(this.known, this.#other)), message.note);
    });
    return { button, message };
  }

  #compose(frame, note) {
    const text = this.#part("textarea");
    text.value = indented(frame);
    text.setSelectionRange(0, 0);
    text.focus();
    this.#part(".note").textContent = note;
    this.#judge();
  }

  #clear() {
    this.#frames.clear();
    this.#part("textarea").value = "";
    this.#part(".note").textContent = "";
    this.#judge();
  }

  #judge() {
    const { value } = this.#part("textarea");
    this.#part(".no-json").hidden = value === "" || isJson(value);
  }

  #send() {
    const { value } = this.#part("textarea");
    if (this.#connection?.isOpen && value) this.#connection.send(value);
  }

  async #connect() {
    const kept = (this.#protocol.keeps ?? []).map((name) => [name, this.known[name]]);
    const { path, key, sent } = this.known;
    this.known = { path, key, sent, ...Object.fromEntries(kept) };
    this.#fill();
    this.#frames.clear();
    const connection = (this.#connection = new Connection(this.#protocol, this.known, this.#node.goodbyes));
    connection.addEventListener("frame", ({ detail }) => {
      // Another protocol may have been picked meanwhile.
      if (connection !== this.#connection) return;
      this.#part(".news").textContent = this.#frames.add(detail);
      this.#changed();
    });
    connection.addEventListener("end", () => this.#ended(connection));
    this.#state("Connecting…", "Cancel");
    await this.#inTurn(() => connection === this.#connection && connection.open());
    if (connection.isOpen) this.#state("Connected", "Close");
  }

  #ended(connection) {
    if (connection !== this.#connection) return;
    this.#connection = null;
    this.#state("Closed");
  }

  #state(text, does = "Connect") {
    this.#part(".state").textContent = text;
    this.#part(".connect").textContent = does;
    this.#part(".connect").classList.toggle("primary", does === "Connect");
    for (const input of this.#part(".fields").querySelectorAll("input")) input.readOnly = this.#connection !== null;
    this.#changed();
  }
}
