// People and chat: beside the call, or a sheet over it where there is no room beside.

import { tellNews } from "./tell.js";
import { cordOf } from "./tile.js";

const AT_END = 60;
const narrow = matchMedia("(max-width: 52rem), (max-height: 30rem)");
const $ = (selector) => document.querySelector(selector);
const pending = new Map();
let unread = 0;

/** `say` is given what is written. */
export function openChat(say) {
  $("#panel-toggle").addEventListener("click", () => openPanel(!isOpen(), { focus: true }));
  $("#panel-close").addEventListener("click", close);
  $("#panel").addEventListener("keydown", ({ key }) => {
    if (key === "Escape" && narrow.matches) close();
  });
  $("#chat-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = $("#chat-input").value.trim();
    if (text) say(text);
    $("#chat-input").value = "";
  });
  narrow.addEventListener("change", rest);
  rest();
}

/** As it is when nobody has asked for anything: open if there is room. */
export function rest() {
  openPanel(!narrow.matches);
}

function isOpen() {
  return document.body.dataset.panel === "open";
}

function close() {
  openPanel(false);
  $("#panel-toggle").focus();
}

function openPanel(open, { focus = false } = {}) {
  document.body.dataset.panel = open ? "open" : "closed";
  $("#panel-toggle").setAttribute("aria-expanded", String(open));
  // What a sheet covers is covered for the keyboard too; the keys below it are not.
  $("#stage").inert = open && narrow.matches;
  if (!open) return;
  showUnread(0);
  $("#chat-lines").scrollTop = $("#chat-lines").scrollHeight;
  if (focus) (narrow.matches ? $("#panel-close") : $("#chat-input")).focus();
}

/** Everybody in the room; `own` is our own id. */
export function showRoster(clients, own) {
  $("#roster").replaceChildren(
    ...clients.map(({ id, username }) => {
      const item = document.createElement("li");
      item.dataset.id = id;
      item.dataset.cord = cordOf(id);
      item.textContent = id === own ? `${username} (you)` : username;
      return item;
    }),
  );
  $("#count").textContent = clients.length;
}

/** The pending line of this time may not have arrived. */
export function failLine(time) {
  pending.get(time)?.classList.replace("pending", "failed");
}

/** A line of the chat; one of ours that was pending is shown as heard when it comes again. */
export function showLine({ sender, from, time, text, own, pending: waits }) {
  const waiting = pending.get(time);
  if (own && waiting && !waits) {
    waiting.classList.remove("pending", "failed");
    waiting.dataset.from = sender;
    pending.delete(time);
    return;
  }
  const line = $("#line").content.firstElementChild.cloneNode(true);
  line.dataset.from = sender;
  line.dataset.cord = cordOf(sender);
  line.classList.toggle("own", own);
  line.classList.toggle("pending", waits);
  line.querySelector(".chat-from").textContent = own ? "You" : from;
  line.querySelector(".chat-text").textContent = text;
  showTime(line.querySelector("time"), time);
  if (waits) pending.set(time, line);
  const lines = $("#chat-lines");
  const atEnd = lines.scrollHeight - lines.scrollTop - lines.clientHeight < AT_END;
  $("#chat-log").append(line);
  if (atEnd || own) lines.scrollTop = lines.scrollHeight;
  if (own || isOpen()) return;
  showUnread(unread + 1);
  // A log that is not shown is not read out either.
  tellNews(`${from}: ${text}`);
}

function showTime(element, time) {
  const given = new Date(time);
  const date = Number.isNaN(given.getTime()) ? new Date() : given;
  element.dateTime = date.toISOString();
  element.textContent = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

function showUnread(count) {
  unread = count;
  $("#unread").textContent = count;
  $("#unread").hidden = count === 0;
  $("#panel-toggle").setAttribute("aria-label", count ? `Chat, ${count} unread` : "Chat");
}
