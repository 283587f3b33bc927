// The start page: to a new room, to one whose name or link is known, or to one of the last ones.

import { showProblem } from "./forms.js";
import { forgetRooms, recentRooms } from "./recent.js";

const $ = (selector) => document.querySelector(selector);
const field = $("#enter-room");

/** A name → its address, which the server rewrites as it likes; a link to a room here → its path; else what is wrong. */
function find(text) {
  const name = text.trim();
  if (!name) return { wrong: "Type the name of a room, or paste the link to one." };
  // A room's page shows its link without the scheme.
  const link = name.startsWith(`${location.host}/`) ? `${location.protocol}//${name}` : name;
  if (!/^https?:\/\//i.test(link)) return { path: `/room/${encodeURIComponent(name)}` };
  const { host, pathname, search } = URL.canParse(link) ? new URL(link) : {};
  if (host && host !== location.host) return { wrong: `This link leads to another server, ${host}: open it in the address bar.` };
  return pathname?.startsWith("/room/") ? { path: pathname + search } : { wrong: "This link does not lead to a room." };
}

$("#enter").addEventListener("submit", (event) => {
  event.preventDefault();
  const { path, wrong = "" } = find(field.value);
  showProblem(field, wrong);
  if (path) location.href = path;
  else field.focus();
});

function showRecent() {
  const rooms = recentRooms();
  $("#recent").hidden = rooms.length === 0;
  $("#recent ul").replaceChildren(
    ...rooms.map(({ slug, name }) => {
      const row = $("#recent-room").content.firstElementChild.cloneNode(true);
      row.querySelector("a").href = `/room/${encodeURIComponent(slug)}`;
      row.querySelector(".room-name").textContent = name;
      return row;
    }),
  );
}

$("#forget").addEventListener("click", () => {
  forgetRooms();
  showRecent();
  field.focus();
});
showRecent();

// A room that has ended sends one here with its name.
const named = new URLSearchParams(location.search).get("name");
if (named && !$("#room-name").value) $("#room-name").value = named;
