// The start page: from a room's name, or a link to it, to the room.

const form = document.querySelector("#enter");
const field = document.querySelector("#enter-room");
const problem = document.querySelector("#enter-problem");

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

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const { path, wrong } = find(field.value);
  problem.hidden = Boolean(path);
  if (path) {
    location.href = path;
    return;
  }
  problem.textContent = wrong;
  field.focus();
});
