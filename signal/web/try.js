// The page on which a protocol can be tried: two peers side by side, and every frame.

import { field, words } from "./try/fields.js";
import { protocols } from "./try/protocols.js";
import { Side } from "./try/side.js";

const $ = (selector) => document.querySelector(selector);
const node = JSON.parse(document.body.dataset.node);
const pathOf = ({ name }) => node.spoken.find((spoken) => spoken.name === name)?.path;
const spoken = protocols.filter(pathOf);
const choice = $("#protocol");
let picked = null;

// A cookie may be the proof of who one is, and both peers have the same ones: while one connects, the other waits.
let turn = Promise.resolve();
const inTurn = (step) => (turn = turn.then(step));

const sides = [...document.querySelectorAll("[data-side]")].map((part) => new Side(part, { node, changed, inTurn }));

function changed() {
  if (!picked) return;
  const [one, other] = sides;
  one.refresh(other.known);
  other.refresh(one.known);
}

function pick(protocol) {
  picked = null;
  $("#about").textContent = protocol.about;
  const refill = () => sides.forEach((side) => side.refill());
  $("#shared").replaceChildren(...protocol.shared.map((one) => field(one, "both", refill)));
  for (const side of sides) side.speaks(protocol, pathOf(protocol), () => words($("#shared")));
  picked = protocol;
  changed();
}

/** The protocol that the address names, else the first. */
function pickByAddress() {
  const wanted = decodeURIComponent(location.hash.slice(1));
  const at = Math.max(
    0,
    spoken.findIndex(({ name, subprotocol }) => [name, subprotocol].includes(wanted)),
  );
  choice.selectedIndex = at;
  pick(spoken[at]);
}

choice.replaceChildren(...spoken.map(({ title }) => new Option(title)));
choice.addEventListener("change", () => {
  const { name, subprotocol } = spoken[choice.selectedIndex];
  history.replaceState(null, "", `#${subprotocol ?? name}`);
  pick(spoken[choice.selectedIndex]);
});
addEventListener("hashchange", pickByAddress);
$("#pretty").addEventListener("change", ({ target }) => sides.forEach((side) => (side.pretty = target.checked)));
pickByAddress();
