// The call page: lobby → call → goodbye.

import { Client } from "./client.js";
import { Devices } from "./call/devices.js";
import { offerLink } from "./call/invite.js";
import { listenToKeys } from "./call/keys.js";
import { follow as followLevel } from "./call/level.js";
import { failLine, openChat, rest, showLine, showRoster } from "./call/panel.js";
import { pick } from "./call/picker.js";
import { Screen } from "./call/screen.js";
import * as seat from "./call/seat.js";
import { Stage } from "./call/stage.js";
import { showNote, tellNews } from "./call/tell.js";
import { cordOf, follow, initialOf, screenOf, tileOf } from "./call/tile.js";
import { CANNOT_CALL, goodbye, wordsFor } from "./call/words.js";
import { keep, recall } from "./kept.js";
import { rememberRoom } from "./recent.js";

const LISTEN_EVERY = 250;
// How long a reloaded tab waits for its devices before it enters without them.
const PATIENCE = 1500;
const SPEAKS_FROM = 0.35;
const NAME = "switchboard:name";

const $ = (selector) => document.querySelector(selector);
const { body } = document;
const { slug } = body.dataset;
const locked = "locked" in body.dataset;
// A room that was just made is the answer to a form: reloading it should not send the form again.
history.replaceState(history.state, "", location.href);
const fresh = { id: body.dataset.id, token: body.dataset.token };
const query = new URLSearchParams(location.search);

const self = $("#self");
const devices = new Devices();
const screen = new Screen();
const stage = new Stage($("#tiles"), self);
const people = new Map();
let client = null;
let problem = null;
let speaker = "";

// --- what we send

const switches = { audio: $("#mic"), video: $("#camera") };
let stopLevel = () => {};

function showOwn({ detail: { kind } }) {
  const on = devices.isOn(kind);
  client?.setTrack(kind, on ? devices.tracks[kind] : null);
  switches[kind].setAttribute("aria-pressed", String(on));
  self.dataset[kind] = on ? "on" : "off";
  if (kind === "audio") {
    stopLevel();
    stopLevel = followLevel(on ? devices.tracks.audio : null, showLevel);
    return;
  }
  const picture = on ? new MediaStream([devices.tracks.video]) : null;
  for (const video of document.querySelectorAll("video.mine")) video.srcObject = picture;
  for (const note of document.querySelectorAll(".preview-note")) {
    note.hidden = on;
    note.textContent = devices.wanted.video ? "No picture of you is sent" : "Your camera is off";
  }
}

function showLevel(level) {
  for (const lamps of document.querySelectorAll(".lamps")) lamps.style.setProperty("--level", level.toFixed(2));
  self.classList.toggle("speaking", level > SPEAKS_FROM);
}

async function toggle(kind) {
  switches[kind].disabled = true;
  const had = document.activeElement === switches[kind];
  await devices.toggle(kind);
  switches[kind].disabled = false;
  if (had) switches[kind].focus();
  keepSeat();
  tellNews(`${kind === "audio" ? "Microphone" : "Camera"} ${devices.isOn(kind) ? "on" : "off"}`);
}

function showScreen() {
  client?.setTrack("screen", screen.track);
  $("#screen").setAttribute("aria-pressed", String(Boolean(screen.track)));
  $("#sharing").hidden = !screen.track;
  $("#sharing video").srcObject = screen.track && new MediaStream([screen.track]);
  tellNews(screen.track ? "You are sharing your screen" : "Your screen is no longer shared");
}

// --- coming and going

function becomes(state) {
  body.dataset.state = state;
}

function keepSeat() {
  if (!client) return;
  const joined = client.state !== "ended";
  seat.remember(slug, { ...(joined ? client.pass : {}), name: client.username, joined, wanted: devices.wanted });
}

function enter(passes, resumed) {
  const username = $("#name").value.trim();
  keep(NAME, username);
  const iceTransportPolicy = query.has("relay") ? "relay" : "all";
  client = new Client({ room: slug, passes, username: username || "Guest", locked, resumed, iceTransportPolicy });
  const does = {
    state: showState,
    id: taken,
    pass: keepSeat,
    roster: ({ clients }) => showRoster(clients, client.id),
    peer: addPerson,
    gone: removePerson,
    text: showLine,
    warning: warned,
    problem: meet,
  };
  for (const [type, act] of Object.entries(does)) client.addEventListener(type, ({ detail }) => act(detail));
  for (const kind of Object.keys(devices.tracks)) client.setTrack(kind, devices.isOn(kind) ? devices.tracks[kind] : null);
  self.dataset.cord = cordOf(passes[0].id);
  self.querySelector(".avatar").textContent = initialOf(client.username);
  // From under the preview to the foot of the page, for good.
  $("main").after($(".controls"));
  $("#stage").append($("#media-note"));
  client.connect();
  switches.audio.focus();
}

function taken({ id }) {
  body.dataset.id = id;
  seat.take(id);
  keepSeat();
}

function meet(met) {
  problem = met;
  showWords();
}

/** What calls say to each other is said again by itself, and is nothing for a person to read of. */
function warned({ text, message }) {
  if (message?.type !== "text") return console.warn(text);
  showNote(text);
  failLine(message.data.time);
}

function hangUp() {
  client.leave();
}

async function rejoin(why) {
  if (why === "refused") return location.reload();
  client.connect();
  await devices.open();
}

function showState({ state, why, text }) {
  becomes(state);
  if (state === "connected") {
    problem = null;
    rememberRoom(slug, $("h1").textContent);
  }
  showWords();
  keepSeat();
  if (state === "ended") end(goodbye(why, text, problem?.status), () => rejoin(why));
}

function showWords() {
  const { status, trouble = "" } = wordsFor(body.dataset.state, {
    others: stage.others,
    online: navigator.onLine,
    problem: problem?.text,
  });
  $("#status").textContent = status;
  $("#trouble").hidden = trouble === "";
  if ($("#trouble").textContent !== trouble) $("#trouble").textContent = trouble;
}

function end({ title, text, again }, andThen) {
  becomes("ended");
  devices.close();
  screen.stop();
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  rest();
  $("#ended-title").textContent = title;
  $("#ended-text").textContent = text;
  $("#rejoin").textContent = again;
  $("#rejoin").onclick = andThen;
  $("#ended-title").focus();
}

// --- who is here

function addPerson(peer) {
  const tile = tileOf(peer, () => ($("#sound").hidden = false));
  people.set(peer.id, { tile, shared: null });
  hearFrom(tile);
  stage.add(tile);
  peer.addEventListener("stream", () => showShared(peer));
  showShared(peer);
  tellNews(`${peer.username} is here`);
  showWords();
}

function removePerson(peer) {
  const { tile, shared } = people.get(peer.id);
  people.delete(peer.id);
  for (const gone of [tile, shared]) if (gone) stage.remove(gone);
  tellNews(`${peer.username} has left`);
  showWords();
}

function showShared(peer) {
  const person = people.get(peer.id);
  const shown = person?.shared?.querySelector("video").srcObject ?? null;
  if (!person || shown === (peer.screen ?? null)) return;
  if (person.shared) stage.remove(person.shared);
  person.shared = peer.screen ? screenOf(peer) : null;
  if (person.shared) stage.addScreen(person.shared);
  tellNews(person.shared ? `${peer.username} is sharing a screen` : `${peer.username} no longer shares a screen`);
}

function hearFrom(tile) {
  tile.querySelector("video").setSinkId?.(speaker).catch(() => {});
}

function listen() {
  if (document.visibilityState === "hidden") return;
  for (const [id, { tile }] of people) follow(tile, client.peers.get(id));
}

// --- all together

function wire(passes) {
  $("#enter").addEventListener("submit", (event) => {
    event.preventDefault();
    enter(passes, false);
  });
  devices.addEventListener("track", showOwn);
  devices.addEventListener("speaker", ({ detail }) => {
    speaker = detail.id;
    for (const { tile } of people.values()) hearFrom(tile);
  });
  screen.addEventListener("track", showScreen);
  for (const source of [devices, screen]) source.addEventListener("note", ({ detail }) => showNote(detail.text));
  for (const [kind, button] of Object.entries(switches)) button.addEventListener("click", () => toggle(kind));
  $("#screen").hidden = !screen.possible;
  for (const button of [$("#screen"), $("#sharing button")]) button.addEventListener("click", () => screen.toggle());
  $("#hangup").addEventListener("click", hangUp);
  $("#sound").addEventListener("click", ({ target }) => {
    target.hidden = true;
    for (const video of document.querySelectorAll("[data-peer] video")) video.play();
  });
  for (const type of ["online", "offline"]) addEventListener(type, showWords);
  setInterval(listen, LISTEN_EVERY);
  // Pressed before this, it would have sent the form and loaded the page again.
  $("#join").disabled = false;
  // A page that comes back from the browser's memory has neither devices nor connections any more.
  addEventListener("pageshow", ({ persisted }) => persisted && location.reload());
}

async function start() {
  const kept = seat.recall(slug);
  const resumed = Boolean(kept.joined && kept.token) && (await seat.take(kept.id));
  if (!resumed) {
    seat.remember(slug, { name: kept.name, wanted: kept.wanted });
    await seat.take(fresh.id);
  }
  const passes = resumed ? [{ id: kept.id, token: kept.token }, fresh] : [fresh];
  Object.assign(devices.wanted, kept.wanted);
  body.dataset.id = passes[0].id;
  $("#name").value = kept.name ?? recall(NAME, "");
  offerLink();
  listenToKeys();
  pick(devices, $("#choose"));
  openChat((text) => client.say(text));
  wire(passes);

  const opened = devices.open();
  opened.then(() => Object.values(switches).forEach((button) => (button.disabled = false)));
  if (!resumed) return;
  becomes("connecting");
  await Promise.race([opened, new Promise((resolve) => setTimeout(resolve, PATIENCE))]);
  enter(passes, true);
}

if (globalThis.RTCPeerConnection) start();
else end(CANNOT_CALL, () => location.reload());
