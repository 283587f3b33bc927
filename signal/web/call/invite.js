// The invitation: this room's link, shared or copied.

import { tellNews } from "./tell.js";

const COPIED_FOR = 2500;
const link = new URL(location.pathname, location.origin).href;
const shown = document.querySelector("#invite-link");
const labels = document.querySelectorAll(".invite-label");
const buttons = document.querySelectorAll(".invite");

/** Shows the link, and gives it away at a click. */
export function offerLink() {
  shown.textContent = link.replace(/^https?:\/\//, "");
  shown.href = link;
  label(usual());
  for (const button of buttons) button.addEventListener("click", give);
}

const usual = () => (navigator.share ? "Share link" : "Copy link");

function label(text) {
  for (const element of labels) element.textContent = text;
}

async function give() {
  try {
    if (navigator.share) return await navigator.share({ title: document.title, url: link });
    await copy(link);
    label("Copied");
    tellNews("The link is copied");
    setTimeout(() => label(usual()), COPIED_FOR);
  } catch (error) {
    if (error.name !== "AbortError") label("Copy it from the address bar");
  }
}

async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // An address that is not secure has no clipboard, but a selection can still be copied.
  const selection = getSelection();
  selection.selectAllChildren(shown);
  const done = document.execCommand("copy");
  selection.removeAllRanges();
  if (!done) throw new Error("not copied");
}
