// Somebody with a page of their own: nothing is on it but the client module.
import { isDeepStrictEqual } from 'node:util';
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
  window.heard = [];
  for (const type of ['text', 'message', 'warning']) {
    window.call.addEventListener(type, ({ detail }) => window.heard.push({ type, detail }));
  }
  window.call.addEventListener('state', ({ detail }) => (window.ended = detail.state === 'ended' ? detail.why : null));
  window.call.connect();
}

/** In the page: every description that is sent is counted, and `losing.get(type)` frames of a type are not sent at all. */
function tapLine() {
  window.losing = new Map();
  window.lost = new Map();
  window.descriptions = 0;
  const send = WebSocket.prototype.send;
  WebSocket.prototype.send = function (frame) {
    const { type } = JSON.parse(frame);
    if (type === 'offer' || type === 'answer') window.descriptions += 1;
    const left = window.losing.get(type) ?? 0;
    if (left === 0) return send.call(this, frame);
    window.losing.set(type, left - 1);
    window.lost.set(type, (window.lost.get(type) ?? 0) + 1);
  };
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
    await guest.page.evaluate(tapLine);
    await guest.page.evaluate(enter, { url: node.url, room, options: { username: name, ...options } });
    return guest;
  }

  /** Duplicates its tab, which then wants to enter the same room. */
  async duplicates(node, room) {
    const opens = this.page.waitForEvent('popup');
    await this.page.evaluate(() => void window.open(location.href));
    const guest = Object.assign(new Guest(), { name: `${this.name}’s second tab`, page: await opens });
    await guest.page.waitForLoadState();
    await guest.page.evaluate(enter, { url: node.url, room, options: { username: guest.name } });
    await guest.isConnected();
    guest.id = await guest.page.evaluate(() => window.call.id);
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

  /** Waits until everybody in the room is one of these, in order of arrival. */
  seesNames(...names) {
    const now = () => this.page.evaluate(() => window.call.roster.map(({ username }) => username));
    return until(`${this.name} sees ${names}`, async () => JSON.stringify(await now()) === JSON.stringify(names));
  }

  /** Lets `act(call, argument)` run in the page. */
  does(act, argument) {
    return this.page.evaluate(`(${act})(window.call, ${JSON.stringify(argument)})`);
  }

  /** Waits for an event of this type whose detail has at least these members. */
  hears(type, members) {
    const fits = ({ detail }) => Object.entries(members).every(([key, value]) => isDeepStrictEqual(detail[key], value));
    return until(`${this.name} hears ${type} ${JSON.stringify(members)}`, async () => {
      const heard = await this.page.evaluate((type) => window.heard.filter((event) => event.type === type), type);
      return heard.some(fits);
    });
  }

  /** The page goes into the background, as far as it can know. */
  looksAway() {
    return this.page.evaluate(() => {
      Object.defineProperty(document, 'visibilityState', { get: () => 'hidden' });
      document.dispatchEvent(new Event('visibilitychange'));
    });
  }

  /** The next frame of this type is lost on its way to the node. */
  loses(type) {
    return this.page.evaluate((type) => window.losing.set(type, 1), type);
  }

  /** How many frames of this type were lost. */
  lost(type) {
    return this.page.evaluate((type) => window.lost.get(type) ?? 0, type);
  }

  /** How many offers and answers were sent so far. */
  descriptions() {
    return this.page.evaluate(() => window.descriptions);
  }

  /** Sends a picture of its own as `kind`, of the shape of another kind if that is given. */
  shows(kind, { like = kind } = {}) {
    return this.page.evaluate(([kind, like]) => window.call.setTrack(kind, window.draw(like)), [kind, like]);
  }

  hides(kind) {
    return this.page.evaluate((kind) => window.call.setTrack(kind, null), kind);
  }

  /** Waits until the other's `of` ("stream" or "screen") moves, and returns what it shows: "screen" or "video". */
  sees(peer, of, { like } = {}) {
    return until(`${of} of ${peer.name} moves`, async () => {
      const seen = await this.page.evaluate(look, { id: peer.id, of });
      return seen === (like ?? seen) && seen;
    });
  }

  /** Waits until nothing moves in the other's `of` any more. */
  seesNothing(peer, of) {
    return until(`${of} of ${peer.name} stands still`, async () => !(await this.page.evaluate(look, { id: peer.id, of })));
  }

  /** Waits until the other shares no screen. */
  seesNoScreen(peer) {
    const none = (id) => window.call.peers.get(id)?.screen === null;
    return until('no screen', () => this.page.evaluate(none, peer.id));
  }

  /** How many tracks there is room for in the connection to the other. */
  places(peer) {
    return this.page.evaluate((id) => window.call.peers.get(id).connection.getTransceivers().length, peer.id);
  }
}
