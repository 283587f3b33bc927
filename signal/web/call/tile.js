// The tile of one other person: picture or initial, name, microphone, and which way the media goes; or of a shared screen.

const PATHS = {
  none: ["", "Nothing to hear or see from this person yet"],
  connecting: ["connecting…", "Looking for a way to this person"],
  direct: ["direct", "Sound and pictures go straight to this person"],
  relayed: ["relayed", "Sound and pictures go through a relay; they stay encrypted on the way"],
  failed: ["no way through", "No way to this person was found; it is tried again"],
};
const LOUD = 0.02;
// A picture that stands still for this long is none.
const STILL_AFTER = 2000;
const uses = Array(6).fill(0);
const cords = new Map();
const pictures = new WeakMap();

/** One of the cord colours: of those that fewest have on this page, the one that an id comes to by itself. */
export function cordOf(id) {
  if (!cords.has(id)) {
    const first = [...id].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 9973, 0);
    const inTurn = uses.map((_, i) => (first + i) % uses.length);
    const cord = inTurn.reduce((one, other) => (uses[other] < uses[one] ? other : one));
    uses[cord] += 1;
    cords.set(id, String(cord));
  }
  return cords.get(id);
}

export function initialOf(name) {
  return [...name.trim()][0]?.toUpperCase() ?? "?";
}

/** The tile, which follows its peer by itself; `silenced` is called when the browser refuses to play sound. */
export function tileOf(peer, silenced) {
  const tile = copyOf("#tile");
  const part = (selector) => tile.querySelector(selector);
  const video = part("video");
  tile.dataset.peer = peer.id;
  tile.dataset.cord = cordOf(peer.id);
  video.srcObject = peer.stream;

  const name = () => {
    part(".peer-name").textContent = peer.username;
    part(".avatar").textContent = initialOf(peer.username);
    video.setAttribute("aria-label", `Picture of ${peer.username}`);
    part(".pin").setAttribute("aria-label", `Large picture of ${peer.username}`);
  };
  const stream = () => {
    if (peer.stream.getTracks().length > 0) play(video, silenced);
  };
  const path = () => {
    const [words, title] = PATHS[peer.path];
    Object.assign(part(".peer-path"), { textContent: words, title }).dataset.path = peer.path;
  };
  for (const [type, show] of Object.entries({ name, stream, path })) {
    peer.addEventListener(type, show);
    show();
  }
  return tile;
}

/** The tile of the screen that a peer shares just now. */
export function screenOf(peer) {
  const tile = copyOf("#screen-tile");
  const video = tile.querySelector("video");
  tile.dataset.screen = peer.id;
  tile.dataset.cord = cordOf(peer.id);
  video.srcObject = peer.screen;
  const name = () => {
    tile.querySelector(".peer-name").textContent = `${peer.username}’s screen`;
    video.setAttribute("aria-label", `Screen of ${peer.username}`);
    tile.querySelector(".pin").setAttribute("aria-label", `Large picture of ${peer.username}’s screen`);
  };
  peer.addEventListener("name", name);
  name();
  play(video);
  return tile;
}

/** From what arrives: lights the lamp of who speaks, shows whose microphone or camera is off. */
export function follow(tile, peer, now = performance.now()) {
  const { on, level } = peer.sound;
  tile.dataset.audio = on ? "on" : "off";
  tile.classList.toggle("speaking", level > LOUD);
  const frames = tile.querySelector("video").getVideoPlaybackQuality().totalVideoFrames;
  const seen = pictures.get(tile) ?? { frames: 0, at: -Infinity };
  if (frames !== seen.frames) pictures.set(tile, { frames, at: now });
  const moves = frames !== seen.frames || now - seen.at < STILL_AFTER;
  tile.dataset.video = peer.receives.video && moves ? "on" : "off";
}

function copyOf(template) {
  return document.querySelector(template).content.firstElementChild.cloneNode(true);
}

function play(video, refused = () => {}) {
  video.play().catch((error) => error.name === "NotAllowedError" && refused());
}
