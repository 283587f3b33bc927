// A person in a browser: does what people do, and says what people see.
import { join } from 'node:path';
import { until } from './until.js';

/** Keeps the page's peer connections where a scene finds them: the page itself shows them to nobody. */
function keepConnections() {
  const connections = (window.connections = []);
  window.RTCPeerConnection = class extends window.RTCPeerConnection {
    constructor(...args) {
      super(...args);
      connections.push(this);
    }
  };
}

export class Caller {
  /** Sits down before an empty tab. */
  static async sitsDown(name, context, screenshots) {
    const caller = new Caller();
    Object.assign(caller, { name, screenshots, log: '', sockets: [], pageServedBy: undefined });
    const page = (caller.page = await context.newPage());
    page.setDefaultTimeout(15_000);
    await page.addInitScript(keepConnections);
    page.on('console', (message) => (caller.log += `${message.type()}: ${message.text()}\n`));
    page.on('pageerror', (problem) => (caller.log += `error: ${problem.stack}\n`));
    page.on('response', (response) => {
      const ofPage = response.request().isNavigationRequest() && response.frame() === page.mainFrame();
      if (ofPage) caller.pageServedBy = response.headers()['x-served-by'];
    });
    await caller.#listensToSockets();
    return caller;
  }

  async #listensToSockets() {
    const network = await this.page.context().newCDPSession(this.page);
    await network.send('Network.enable');
    network.on('Network.webSocketHandshakeResponseReceived', ({ response }) => {
      const headers = Object.entries(response.headers).map(([key, value]) => [key.toLowerCase(), value]);
      this.sockets.push({ servedBy: Object.fromEntries(headers)['x-served-by'] });
      this.log += `socket to ${this.socketServedBy()}\n`;
    });
    network.on('Network.webSocketFrameSent', ({ response }) => (this.log += line('→', response)));
    network.on('Network.webSocketFrameReceived', ({ response }) => (this.log += line('←', response)));
    network.on('Network.webSocketClosed', () => (this.log += 'socket closed\n'));
  }

  toString() {
    return this.name;
  }

  // What people do.

  async opens(url) {
    await this.page.goto(url.toString());
  }

  /** Makes a room with the form on the start page, and is then in front of its door. */
  async makesRoom(name, { password, guests, listed = false } = {}) {
    const field = (name) => this.page.locator(`[name="${name}"]`);
    await field('room_name').fill(name);
    await this.page.locator('details.more').evaluate((details) => (details.open = true));
    if (password) await field('password').fill(password);
    if (guests) await field('guest_limit').fill(String(guests));
    if (listed) await field('public').last().check();
    await field('room_name').press('Enter');
    await this.page.waitForURL('**/room/*');
  }

  async givesPassword(password) {
    await this.page.locator('#password').fill(password);
    await this.page.locator('#password').press('Enter');
  }

  /** Sits at a screen of that size, in pixels. */
  async holds({ width, height }) {
    await this.page.setViewportSize({ width, height });
    // The stage has taken its new size.
    await this.page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  }

  async joins() {
    await this.page.locator('#name').fill(this.name);
    await this.page.locator('#join').click();
    await this.is('connected');
  }

  async reloads() {
    await this.page.reload();
    await this.is('connected');
  }

  async says(text) {
    await this.page.locator('#chat-input').fill(text);
    await this.page.locator('#chat-input').press('Enter');
  }

  /** Says it, and waits until the other has heard it. */
  async tells(peer, text) {
    await this.says(text);
    await peer.hears(text);
  }

  async leaves() {
    await this.page.close();
  }

  /** Presses a button of the page, by what is written on it or said of it. */
  async presses(name) {
    await this.page.getByRole('button', { name, exact: true }).click();
  }

  /** Takes another device in the dialog that is for it; `kind` as it is written there. */
  async takes(kind, which) {
    await this.presses('Devices');
    await this.page.getByLabel(kind, { exact: true }).selectOption({ index: which });
    await this.presses('Done');
  }

  // What people notice, sooner or later.

  async is(state, options) {
    await until(`${this} is ${state}`, async () => (await this.state()) === state, options);
  }

  async hears(text, options) {
    await until(`${this} hears “${text}”`, async () => (await this.heard()).includes(text), options);
  }

  /** Sees the other's picture, and that it moves. */
  async sees(peer, { frames = 10, ...options } = {}) {
    const id = await peer.id();
    let from = Infinity;
    await until(
      `${this} sees ${peer} move`,
      async () => {
        const now = await this.frames(id);
        // A new picture (of one who came back) counts from the beginning again.
        from = Math.min(from, now);
        return now >= from + frames;
      },
      options,
    );
  }

  /** Sees what the other shares of his screen, as the large picture, and that it moves. */
  async seesScreenOf(peer, { frames = 3, ...options } = {}) {
    const tile = this.page.locator(`[data-screen="${await peer.id()}"]`);
    await until(
      `${this} sees ${peer}’s screen`,
      () =>
        tile.evaluate((tile, frames) => {
          const area = ({ clientWidth, clientHeight }) => clientWidth * clientHeight;
          const others = [...document.querySelectorAll('.tile')].filter((other) => other !== tile);
          const seen = tile.querySelector('video').getVideoPlaybackQuality().totalVideoFrames;
          return seen >= frames && others.every((other) => area(other) < area(tile));
        }, frames),
      options,
    );
  }

  async seesNoScreen(options) {
    await until(`${this} sees no screen`, async () => (await this.page.locator('[data-screen]').count()) === 0, options);
  }

  /** Reads words on the page, wherever they are. */
  async reads(words, options) {
    const seen = () => this.page.locator('body').innerText();
    await until(`${this} reads “${words}”`, async () => (await seen()).includes(words), options);
  }

  /** Whether what comes from the other takes the `direct` way or is `relayed`: by the page, and by the browser itself. */
  async reaches(peer, path) {
    const id = await peer.id();
    await until(`${this} reaches ${peer} ${path}`, async () => (await this.path(id)) === path);
  }

  /** Keeps an eye on the other from now on; what it returns says what was seen up to then. */
  async watches(peer) {
    const id = await peer.id();
    await this.page.evaluate((id) => {
      const video = () => document.querySelector(`[data-peer="${id}"] video`);
      window.looks = [];
      setInterval(() => {
        const frames = video()?.getVideoPlaybackQuality().totalVideoFrames ?? 0;
        window.looks.push({ at: performance.now(), state: document.body.dataset.state, frames });
      }, 50);
    }, id);
    return async () => {
      const looks = await this.page.evaluate(() => window.looks);
      return { longestStill: longestStill(looks), framesWhileAway: framesWhileAway(looks) };
    };
  }

  /** What the page says about a camera or microphone that it does not get, once it says something. */
  isTold() {
    const note = this.page.locator('#media-note');
    return until(`${this} is told about the camera`, async () => (await note.isVisible()) && (await note.innerText()).trim());
  }

  /** The code with which a TURN server refuses its service to this browser. */
  isRefusedBy(server) {
    return this.page.evaluate(async (server) => {
      const connection = new RTCPeerConnection({ iceServers: [server], iceTransportPolicy: 'relay' });
      const refused = new Promise((resolve) => {
        connection.addEventListener('icecandidateerror', ({ errorCode }) => resolve(errorCode));
      });
      connection.createDataChannel('');
      await connection.setLocalDescription();
      return refused.finally(() => connection.close());
    }, server);
  }

  // What can be read off the page.

  id() {
    return this.page.evaluate(() => document.body.dataset.id);
  }

  state() {
    return this.page.evaluate(() => document.body.dataset.state);
  }

  url() {
    return this.page.url();
  }

  /** Every line of the chat. */
  heard() {
    return this.page.locator('#chat-log li .chat-text').allTextContents();
  }

  /** Frames of the other's video so far: those shown, or those decoded when these are fewer. */
  frames(id) {
    return this.page.evaluate(async (id) => {
      const video = document.querySelector(`[data-peer="${id}"] video`);
      const tracks = video?.srcObject?.getVideoTracks() ?? [];
      if (!video?.videoWidth) return 0;
      const receivers = window.connections.flatMap((connection) => connection.getReceivers());
      const receiver = receivers.find(({ track }) => tracks.includes(track));
      const stats = receiver ? [...(await receiver.getStats()).values()] : [];
      const decoded = stats.find(({ type }) => type === 'inbound-rtp')?.framesDecoded ?? 0;
      return Math.min(decoded, video.getVideoPlaybackQuality().totalVideoFrames);
    }, id);
  }

  /** What the page says of the way to the other. */
  path(id) {
    return this.page.locator(`[data-peer="${id}"] .peer-path`).getAttribute('data-path');
  }

  /** The selected candidate pairs of all connections that stand, as `local→remote` types. */
  pairs() {
    return this.page.evaluate(async () => {
      const pairs = [];
      for (const connection of window.connections) {
        if (connection.connectionState !== 'connected') continue;
        const stats = await connection.getStats();
        for (const { type, selectedCandidatePairId } of stats.values()) {
          const pair = type === 'transport' && stats.get(selectedCandidatePairId);
          if (!pair) continue;
          const [local, remote] = [pair.localCandidateId, pair.remoteCandidateId].map((id) => stats.get(id));
          pairs.push(`${local.candidateType}→${remote.candidateType}`);
        }
      }
      return pairs;
    });
  }

  /** The ICE servers that the node gave, as the page uses them. */
  iceServers() {
    return this.page.evaluate(() => window.connections.at(-1).getConfiguration().iceServers);
  }

  /** How many peer connections this page has made since it was loaded. */
  connections() {
    return this.page.evaluate(() => window.connections.length);
  }

  /** How many descriptions this page has sent and got so far: what a negotiation is made of. */
  descriptions() {
    return this.log.match(/^[→←] (offer|answer) /gm)?.length ?? 0;
  }

  servedBy() {
    return this.pageServedBy;
  }

  socketServedBy() {
    return this.sockets.at(-1)?.servedBy;
  }

  async screenshot(name) {
    await this.page.screenshot({ path: join(this.screenshots, `${name}.png`) });
  }
}

/** One frame in a caller's log: who to whom and what, without the payload. */
function line(direction, { payloadData }) {
  const [, sender] = /"sender":"([^"]*)"/.exec(payloadData) ?? [];
  const [, receiver] = /"receiver":"([^"]*)"/.exec(payloadData) ?? [];
  const [, type] = /"type":"([^"]*)"/.exec(payloadData) ?? [];
  return `${direction} ${type} from ${sender ?? 'me'} to ${receiver}\n`;
}

/** For how many milliseconds at most the picture stood still. */
function longestStill(looks) {
  let moved = looks[0];
  return looks.reduce((longest, look) => {
    if (look.frames !== moved.frames) moved = look;
    return Math.max(longest, look.at - moved.at);
  }, 0);
}

/** How many frames came while the page had no connection to any node. */
function framesWhileAway(looks) {
  const away = looks.filter(({ state }) => state === 'reconnecting').map(({ frames }) => frames);
  return away.length ? away.at(-1) - away[0] : 0;
}
