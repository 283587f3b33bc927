// The start page: from a room's name, or a link to it, to the room.

const form = document.querySelector("#enter");
const field = document.querySelector("#enter-room");
const problem = document.querySelector("#enter-problem");

/** A name → its address, which the server rewrites as it likes; a link to a room here → its path; else "". */
function pathOf(text) {
  const name = text.trim();
  if (/^https?:\/\//i.test(name)) {
    const { host, pathname } = new URL(name);
    return host === location.host && pathname.startsWith("/room/") ? pathname : "";
  }
  return /[\p{L}\p{N}]/u.test(name) ? `/room/${encodeURIComponent(name)}` : "";
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const path = pathOf(field.value);
  problem.hidden = Boolean(path);
  if (path) {
    location.href = path;
    return;
  }
  problem.textContent = "Type the name of a room, or paste the link to one on this server.";
  field.focus();
});
