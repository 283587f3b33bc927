// An app that uses the published PeerJS client: it names its host, and leaves the rest to the client.
import { fileURLToPath } from 'node:url';
import { elsewhere } from './elsewhere.js';
import { connections } from './node.js';
import { until } from './until.js';

const client = fileURLToPath(import.meta.resolve('peerjs/dist/peerjs.min.js'));

/** How many PeerJS clients `node` has. */
export const clientsOf = (node) => connections(node, 'peerjs');

/** The app in a browser of its own, at `url`, with nobody's id yet. */
export async function app(house, url) {
  const browser = await house.browser();
  const page = await (await browser.newContext()).newPage();
  await page.goto(await elsewhere('<!doctype html><title>an app</title>'));
  await page.addScriptTag({ path: client });
  return new App(page, new URL(url));
}

class App {
  constructor(page, url) {
    this.page = page;
    this.url = url;
  }

  /** Becomes `id`; an app that is sent away comes back, as apps do. */
  async becomes(id) {
    this.id = id;
    await this.page.evaluate(begin, { id, host: this.url.hostname, port: Number(this.url.port) });
    await this.isOpen();
  }

  /** Becomes `id` on another node than `node`, though the balancer does not know of that. */
  async becomesElsewhere(id, node) {
    await until(`${id} is on another node`, async () => {
      const before = await clientsOf(node);
      await this.becomes(id);
      if ((await clientsOf(node)) === before) return true;
      await this.page.evaluate(() => window.app.peer.destroy());
      await until('it is gone', async () => (await clientsOf(node)) === before);
      return false;
    });
  }

  isOpen = () => until(`${this.id} is open`, () => this.page.evaluate(() => window.app.peer?.open), { within: 20_000 });

  /** All that has happened, or what is of this sort. */
  async happened(sort) {
    const events = await this.page.evaluate(() => window.app.events);
    return sort ? events.filter((event) => event.startsWith(sort)) : events;
  }

  /** Waits until something of this sort has happened so many times. */
  happens(event, { times = 1, ...options } = {}) {
    const enough = async () => (await this.happened(event)).length >= times;
    return until(`${this.id}: ${event}, ${times} times`, enough, { within: 20_000, ...options });
  }

  /** Opens a data connection, and does not wait for it. */
  connects = (id) => this.page.evaluate((id) => window.app.connect(id), id);

  /** Says something to everybody that it has a data connection with. */
  says = (text) => this.page.evaluate((text) => window.app.say(text), text);

  /** Calls with camera and microphone. */
  calls = (id) => this.page.evaluate((id) => window.app.call(id), id);

  /** Frames that it has seen of whoever is in a call with it. */
  frames = () => this.page.evaluate(() => window.app.frames());

  /** Sees the other move. */
  async sees() {
    const before = await this.frames();
    await until(`${this.id} sees`, async () => (await this.frames()) > before + 5);
  }
}

/** In the page. */
function begin({ id, host, port }) {
  const events = window.app?.events ?? [];
  const connections = [];
  const calls = [];
  const camera = () => navigator.mediaDevices.getUserMedia({ video: true, audio: true });
  const peer = new window.Peer(id, { host, port, path: '/', config: { iceServers: [] }, debug: 0 });
  const notes = (connection) => {
    connections.push(connection);
    connection.on('open', () => events.push(`connected ${connection.peer}`));
    connection.on('data', (data) => events.push(`data ${connection.peer} ${data}`));
    connection.on('close', () => events.push(`closed ${connection.peer}`));
  };
  const rings = (call) => {
    calls.push(call);
    // The client says so for each of the stream's tracks.
    call.once('stream', () => events.push(`stream ${call.peer}`));
    call.on('close', () => events.push(`hung up ${call.peer}`));
  };
  peer.on('open', () => events.push('open'));
  peer.on('error', ({ type }) => events.push(`error ${type}`));
  peer.on('connection', notes);
  peer.on('call', async (call) => {
    rings(call);
    call.answer(await camera());
  });
  peer.on('disconnected', () => {
    events.push('disconnected');
    setTimeout(() => peer.destroyed || peer.open || peer.reconnect(), 300);
  });
  window.app = {
    peer,
    events,
    connect: (to) => notes(peer.connect(to, { reliable: true })),
    call: async (to) => rings(peer.call(to, await camera())),
    say: (text) => connections.filter((connection) => connection.open).forEach((connection) => connection.send(text)),
    frames: async () => {
      const reports = await Promise.all(calls.map((call) => call.peerConnection.getStats()));
      const inbound = reports.flatMap((report) => [...report.values()]).filter(({ type, kind }) => type === 'inbound-rtp' && kind === 'video');
      return inbound.reduce((sum, { framesDecoded }) => sum + framesDecoded, 0);
    },
  };
}
