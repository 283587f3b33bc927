// Somebody with a page of their own: nothing is on it but the client module.
import { elsewhere } from './elsewhere.js';
import { until } from './until.js';

const app = await elsewhere('<!doctype html><title>An app</title>');

/** In the page: a client in `room` of the node at `url`, and pictures drawn by the page itself. */
async function enter({ url, room, options }) {
  const { Client } = await import(`${url}client.js`);
  const colours = { video: 'green', screen: 'navy' };
  window.draw = (kind) => {
    const canvas = Object.assign(document.createElement('canvas'), { width: kind === 'screen' ? 640 : 320, height: 240 });
    const brush = canvas.getContext('2d');
    let turn = 0;
    setInterval(() => {
      brush.fillStyle = colours[kind];
      brush.fillRect(0, 0, canvas.width, canvas.height);
      brush.fillStyle = 'white';
      brush.fillRect((turn += 5) % canvas.width, 100, 40, 40);
    }, 50);
    return canvas.captureStream(20).getVideoTracks()[0];
  };
  window.call = new Client({ room, ...options });
  window.problems = [];
  window.ended = null;
  window.call.addEventListener('problem', ({ detail }) => window.problems.push(detail));
  window.call.addEventListener('state', ({ detail }) => (window.ended = detail.state === 'ended' ? detail.why : null));
  window.call.connect();
}

/** In the page: what moves in the peer's `of`, as its shape tells: "screen" or "video"; null while nothing does. */
async function look({ id, of }) {
  const stream = window.call.peers.get(id)?.[of];
  if (!stream) return null;
  window.videos ??= new Map();
  const key = `${id} ${of}`;
  if (window.videos.get(key)?.srcObject !== stream) {
    const video = Object.assign(document.createElement('video'), { muted: true, autoplay: true, srcObject: stream });
    window.videos.set(key, video);
    video.play().catch(() => {});
  }
  const video = window.videos.get(key);
  const before = video.getVideoPlaybackQuality().totalVideoFrames;
  await new Promise((resolve) => setTimeout(resolve, 300));
  const moved = video.getVideoPlaybackQuality().totalVideoFrames > before + 2;
  // A browser makes a picture smaller when the way is narrow, but never another shape.
  return moved ? (video.videoWidth > 2 * video.videoHeight ? 'screen' : 'video') : null;
}

export class Guest {
  /** Wants to enter `room` of `node`. */
  static async triesToEnter(house, name, node, room, options = {}) {
    const guest = new Guest();
    const caller = await house.caller(name);
    Object.assign(guest, { name, page: caller.page });
    await caller.opens(app);
    await guest.page.evaluate(enter, { url: node.url, room, options: { username: name, ...options } });
    return guest;
  }

  /** The same, and is in it. */
  static async enters(...wish) {
    const guest = await Guest.triesToEnter(...wish);
    await guest.isConnected();
    guest.id = await guest.page.evaluate(() => window.call.id);
    return guest;
  }

  leaves() {
    return this.page.evaluate(() => window.call.leave());
  }

  async comesBack() {
    await this.page.evaluate(() => window.call.connect());
    await this.isConnected();
  }

  isConnected() {
    return until(`${this.name} is connected`, () => this.page.evaluate(() => window.call.state === 'connected'));
  }

  /** Waits for the problem of this `status`: whether it is `final`, and why the call has ended, or null. */
  async isTold(status) {
    const find = (status) => window.problems.find((problem) => problem.status === status);
    const { final } = await until(`${this.name} is told ${status}`, () => this.page.evaluate(find, status));
    return { final, ends: await this.page.evaluate(() => window.ended) };
  }

  /** Who is in the room. */
  names() {
    return this.page.evaluate(() => window.call.roster.map(({ username }) => username));
  }

  /** Sends a picture of its own as `kind`. */
  shows(kind) {
    return this.page.evaluate((kind) => window.call.setTrack(kind, window.draw(kind)), kind);
  }

  hides(kind) {
    return this.page.evaluate((kind) => window.call.setTrack(kind, null), kind);
  }

  /** Waits until the other's `of` ("stream" or "screen") moves, and returns what it shows: "screen" or "video". */
  sees(peer, of, options) {
    return until(`${of} moves`, () => this.page.evaluate(look, { id: peer.id, of }), options);
  }

  /** Waits until the other shares no screen. */
  seesNoScreen(peer, options) {
    const none = (id) => window.call.peers.get(id)?.screen === null;
    return until('no screen', () => this.page.evaluate(none, peer.id), options);
  }

  /** How many tracks there is room for in the connection to the other. */
  places(peer) {
    return this.page.evaluate((id) => window.call.peers.get(id).connection.getTransceivers().length, peer.id);
  }
}
