// The call page: lobby → call → goodbye.

import { Client } from "./client.js";
import { columns } from "./layout.js";
import { openDevices } from "./media.js";
import { recall, remember, take } from "./seat.js";
import { cordOf, follow, initialOf, tileOf } from "./tile.js";

const LISTEN_EVERY = 250;
// How long a reloaded tab waits for its devices before it enters without them.
const PATIENCE = 1500;
const NAME = "switchboard:name";

const $ = (selector) => document.querySelector(selector);
const { body } = document;
const { slug } = body.dataset;
const locked = "locked" in body.dataset;
// A room that was just made is the answer to a form: reloading it should not send the form again.
history.replaceState(history.state, "", location.href);
const fresh = { id: body.dataset.id, token: body.dataset.token };
const query = new URLSearchParams(location.search);
const link = new URL(location.pathname, location.origin).href;

const tracks = { audio: null, video: null };
const wanted = { audio: true, video: true };
const tiles = new Map();
const pending = new Map();
let client = null;
let unread = 0;

// --- our own camera and microphone

const switches = { audio: $("#mic"), video: $("#camera") };

async function openTracks(kinds) {
  if (kinds.length === 0) return;
  const { note, ...found } = await openDevices(kinds);
  for (const kind of kinds) setTrack(kind, found[kind]);
  showNote(note);
}

function setTrack(kind, track) {
  tracks[kind] = track;
  // The browser ends a track when its device is unplugged or taken away.
  track?.addEventListener("ended", () => tracks[kind] === track && setTrack(kind, null));
  publish(kind);
}

function publish(kind) {
  const track = tracks[kind];
  if (track) track.enabled = wanted[kind];
  client?.setTrack(kind, wanted[kind] ? track : null);
  showSelf();
}

async function toggle(kind) {
  const on = Boolean(tracks[kind]) && wanted[kind];
  wanted[kind] = !on;
  keep();
  switches[kind].disabled = true;
  // A camera that is off is let go of, so that its light goes out.
  if (on && kind === "video") {
    tracks.video.stop();
    setTrack("video", null);
  } else if (!on && !tracks[kind]) await openTracks([kind]);
  else publish(kind);
  switches[kind].disabled = false;
}

function closeTracks() {
  for (const kind of Object.keys(tracks)) {
    tracks[kind]?.stop();
    tracks[kind] = null;
  }
}

function showNote(text) {
  $("#media-note p").textContent = text;
  $("#media-note").hidden = text === "";
}

function showSelf() {
  const self = $("#self");
  for (const [kind, button] of Object.entries(switches)) {
    const on = Boolean(tracks[kind]) && wanted[kind];
    button.setAttribute("aria-pressed", String(on));
    self.dataset[kind] = on ? "on" : "off";
  }
  const picture = self.dataset.video === "on" ? new MediaStream([tracks.video]) : null;
  for (const video of [$("#preview"), self.querySelector("video")]) video.srcObject = picture;
  $("#preview-note").hidden = picture !== null;
  $("#preview-note").textContent = tracks.video ? "Your camera is off" : "No picture of you is sent";
}

// --- coming and going

function becomes(state) {
  body.dataset.state = state;
}

function keep() {
  if (!client) return;
  const joined = client.state !== "ended";
  remember(slug, { ...(joined ? client.pass : {}), name: client.username, joined, wanted });
}

function enter(passes, resumed) {
  const username = $("#name").value.trim();
  try {
    localStorage.setItem(NAME, username);
  } catch {
    // Asked again next time.
  }
  const iceTransportPolicy = query.has("relay") ? "relay" : "all";
  client = new Client({ slug, passes, username: username || "Guest", locked, resumed, iceTransportPolicy });
  client.addEventListener("state", ({ detail }) => showState(detail));
  client.addEventListener("id", ({ detail: { id } }) => {
    body.dataset.id = id;
    take(id);
    keep();
  });
  client.addEventListener("roster", ({ detail: { clients } }) => showRoster(clients));
  client.addEventListener("peer", ({ detail: peer }) => addTile(peer));
  client.addEventListener("gone", ({ detail: peer }) => removeTile(peer));
  client.addEventListener("text", ({ detail: line }) => showLine(line));
  client.addEventListener("problem", ({ detail: { text } }) => ($("#status").textContent = text));
  for (const kind of Object.keys(tracks)) publish(kind);
  $("#self").dataset.cord = cordOf(passes[0].id);
  $("#self .avatar").textContent = initialOf(client.username);
  $("#stage").append($("#media-note"));
  client.connect();
  switches.audio.focus();
}

function hangUp() {
  client.leave();
  closeTracks();
}

async function rejoin({ why }) {
  if (why === "refused") return location.reload();
  client.connect({ renew: why === "left" });
  await openTracks(Object.keys(tracks).filter((kind) => wanted[kind]));
}

const GOODBYES = {
  left: { title: "You have hung up", text: "The others go on without you. You can come back whenever you like.", again: "Rejoin the call" },
  replaced: { title: "This call is open in another tab", text: "There it goes on. One tab at a time can hold your place.", again: "Take the call here" },
  refused: { title: "You cannot be put through", text: "", again: "Try again" },
};

function showState({ state, why, text }) {
  becomes(state);
  $("#status").textContent = {
    connecting: "Connecting…",
    connected: "Connected",
    reconnecting: tiles.size
      ? "Connection to the server lost — your call goes on, reconnecting…"
      : "Connection to the server lost — reconnecting…",
    ended: "",
  }[state];
  keep();
  if (state !== "ended") return arrange();
  closeTracks();
  openPanel(!narrow.matches);
  const goodbye = GOODBYES[why];
  $("#ended-title").textContent = goodbye.title;
  $("#ended-text").textContent = text || goodbye.text;
  $("#rejoin").textContent = goodbye.again;
  $("#rejoin").onclick = () => rejoin({ why });
  $("#ended-title").focus();
}

// --- who is here

function addTile(peer) {
  const tile = tileOf(peer, () => ($("#sound").hidden = false));
  tiles.set(peer.id, tile);
  $("#peers").append(tile);
  $("#news").textContent = `${peer.username} is here`;
  arrange();
}

function removeTile(peer) {
  tiles.get(peer.id)?.remove();
  tiles.delete(peer.id);
  $("#news").textContent = `${peer.username} has left`;
  arrange();
}

function showRoster(clients) {
  $("#roster").replaceChildren(
    ...clients.map(({ id, username }) => {
      const item = document.createElement("li");
      item.dataset.id = id;
      item.dataset.cord = cordOf(id);
      item.textContent = id === client.id ? `${username} (you)` : username;
      return item;
    }),
  );
  $("#count").textContent = clients.length;
}

/** Tiles as large as they can be; with one other person our own picture is a small one in the corner. */
function arrange() {
  const stage = $("#stage");
  const count = tiles.size === 1 ? 1 : tiles.size + 1;
  const across = columns(count, stage.clientWidth, stage.clientHeight);
  stage.dataset.peers = tiles.size < 2 ? String(tiles.size) : "many";
  stage.style.setProperty("--across", across);
  stage.style.setProperty("--down", Math.ceil(count / across));
}

function listen() {
  if (document.visibilityState === "hidden") return;
  for (const [id, tile] of tiles) follow(tile, client.peers.get(id));
}

// --- chat

function showLine({ sender, from, time, text, own, pending: waits }) {
  const waiting = pending.get(time);
  if (own && waiting && !waits) {
    waiting.classList.remove("pending");
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
  const atEnd = lines.scrollHeight - lines.scrollTop - lines.clientHeight < 60;
  $("#chat-log").append(line);
  if (atEnd || own) lines.scrollTop = lines.scrollHeight;
  if (!own && !panelOpen()) showUnread(unread + 1);
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

// --- people and chat beside the call, or above it on a phone

const narrow = matchMedia("(max-width: 52rem), (max-height: 30rem)");

function panelOpen() {
  return body.dataset.panel === "open";
}

function openPanel(open) {
  body.dataset.panel = open ? "open" : "closed";
  $("#panel-toggle").setAttribute("aria-expanded", String(open));
  if (open) showUnread(0);
  // On a phone it covers everything else, for the keyboard too.
  for (const covered of [$(".bar"), $("#stage"), $(".controls")]) covered.inert = open && narrow.matches;
  if (open && narrow.matches) $("#panel-close").focus();
  arrange();
}

// --- the invitation

async function invite() {
  const label = $("#invite-label");
  try {
    if (navigator.share) await navigator.share({ title: document.title, url: link });
    else {
      await copy(link);
      label.textContent = "Copied";
      $("#news").textContent = "The link is copied";
      setTimeout(() => (label.textContent = "Copy link"), 2500);
    }
  } catch (error) {
    if (error.name !== "AbortError") label.textContent = "Copy it from the address bar";
  }
}

async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // An address that is not secure has no clipboard, but a selection can still be copied.
  const selection = getSelection();
  selection.selectAllChildren($("#invite-link"));
  const done = document.execCommand("copy");
  selection.removeAllRanges();
  if (!done) throw new Error("not copied");
}

// --- all together

function wire(passes) {
  $("#enter").addEventListener("submit", (event) => {
    event.preventDefault();
    enter(passes, false);
  });
  for (const [kind, button] of Object.entries(switches)) button.addEventListener("click", () => toggle(kind));
  $("#hangup").addEventListener("click", hangUp);
  $("#invite").addEventListener("click", invite);
  $("#invite-first").addEventListener("click", invite);
  $("#panel-toggle").addEventListener("click", () => openPanel(!panelOpen()));
  $("#panel-close").addEventListener("click", () => {
    openPanel(false);
    $("#panel-toggle").focus();
  });
  $("#panel").addEventListener("keydown", ({ key }) => {
    if (key === "Escape" && narrow.matches) $("#panel-close").click();
  });
  $("#media-note button").addEventListener("click", () => showNote(""));
  $("#sound").addEventListener("click", ({ target }) => {
    target.hidden = true;
    for (const video of document.querySelectorAll("#peers video")) video.play();
  });
  $("#chat-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = $("#chat-input").value.trim();
    if (text) client.say(text);
    $("#chat-input").value = "";
  });
  narrow.addEventListener("change", () => openPanel(!narrow.matches));
  new ResizeObserver(arrange).observe($("#stage"));
  setInterval(listen, LISTEN_EVERY);
  // A page that comes back from the browser's memory has neither devices nor connections any more.
  addEventListener("pageshow", ({ persisted }) => persisted && location.reload());
}

function rememberedName() {
  try {
    return localStorage.getItem(NAME) ?? "";
  } catch {
    return "";
  }
}

async function start() {
  const kept = recall(slug);
  const resumed = Boolean(kept.joined && kept.token) && (await take(kept.id));
  if (!resumed) {
    remember(slug, { name: kept.name, wanted: kept.wanted });
    await take(fresh.id);
  }
  const passes = resumed ? [{ id: kept.id, token: kept.token }, fresh] : [fresh];
  Object.assign(wanted, kept.wanted);
  body.dataset.id = passes[0].id;
  $("#name").value = kept.name ?? rememberedName();
  $("#invite-link").textContent = link.replace(/^https?:\/\//, "");
  $("#invite-link").href = link;
  if (navigator.share) $("#invite-label").textContent = "Share link";
  openPanel(!narrow.matches);
  wire(passes);

  const devices = openTracks(Object.keys(tracks).filter((kind) => wanted[kind]));
  devices.then(() => Object.values(switches).forEach((button) => (button.disabled = false)));
  if (!resumed) return;
  becomes("connecting");
  await Promise.race([devices, new Promise((resolve) => setTimeout(resolve, PATIENCE))]);
  enter(passes, true);
}

start();
