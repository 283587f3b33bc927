// Shortcuts: a key presses the button that names it in `aria-keyshortcuts`.

import { keep, recall } from "../kept.js";

const KEY = "switchboard:shortcuts";
const TYPING = 'input:not([type="checkbox"]), textarea, select, [contenteditable]';
const dialog = document.querySelector("#keys");
const list = dialog.querySelector("dl");
const choice = dialog.querySelector("#keys-on");

export function listenToKeys() {
  choice.checked = recall(KEY, true);
  choice.addEventListener("change", () => keep(KEY, choice.checked));
  document.querySelector("#help").addEventListener("click", () => {
    show();
    dialog.showModal();
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.defaultPrevented) return;
    if (event.target.closest?.(TYPING) || document.querySelector("dialog[open]")) return;
    const button = named().find((button) => button.getAttribute("aria-keyshortcuts") === event.key.toLowerCase());
    if (!button || button.disabled || (!choice.checked && button.id !== "help")) return;
    event.preventDefault();
    button.click();
  });
}

/** The buttons that have a key, of those that are on the page just now. */
function named() {
  return [...document.querySelectorAll("[aria-keyshortcuts]")].filter((button) => button.getClientRects().length > 0);
}

function show() {
  // What is pressed most comes first.
  const first = (button) => (button.closest(".controls") ? 0 : 1);
  const buttons = named().sort((one, other) => first(one) - first(other));
  list.replaceChildren(
    ...buttons.map((button) => {
      const row = document.createElement("div");
      const key = document.createElement("dt");
      const what = document.createElement("dd");
      key.append(Object.assign(document.createElement("kbd"), { textContent: button.getAttribute("aria-keyshortcuts") }));
      what.textContent = button.dataset.does;
      row.append(key, what);
      return row;
    }),
  );
}
