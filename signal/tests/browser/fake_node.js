// A fake of a node and of its clock, for what no real node does on demand: a fake fetch and a fake WebSocket, in this process.
import { Client } from '../../web/client/client.js';

const SERVER = 'ground control';
const STEP = 250;

/** Lets everything happen that needs no time. */
const settled = () => new Promise(setImmediate);

class FakeSocket {
  static OPEN = 1;
  readyState = 0;
  frames = [];

  send(text) {
    const frame = JSON.parse(text);
    this.frames.push(frame);
    queueMicrotask(() => this.node.hears(this, frame, text.length));
  }

  /** By the page. */
  close() {
    this.readyState = 3;
  }

  /** By the node, or by what is between. */
  closes(code) {
    if (this.readyState === 3) return;
    this.close();
    this.onclose?.({ code });
  }

  hears(type, data, id = this.id) {
    this.onmessage?.({ data: JSON.stringify({ sender: SERVER, receiver: id, type, data }) });
  }

  get living() {
    return this.readyState !== 3;
  }

  /** The app's messages and lines that were written to it. */
  get heard() {
    return this.frames.filter(({ receiver }) => receiver !== SERVER).map(({ data }) => data?.text ?? data);
  }

  /** Types of what was said to the node itself. */
  get asked() {
    return this.frames.filter(({ receiver }) => receiver === SERVER).map(({ type }) => type);
  }
}

export class FakeNode {
  sockets = [];
  page = new EventTarget();
  /** Whom it lets in. */
  id = 'ada';
  /** Of so many frames more it says that it is busy. */
  busy = 0;
  /** And of one frame of each of these types. */
  tooMuch = [];
  /** What comes to it is lost on the way. */
  deaf = false;
  /** Whether it says that a message is safe. */
  accepts = true;
  largest = 256 * 1024;
  /** The statuses of its next answers to who asks for a pass, when they are not 201. */
  refusals = [];
  asked = 0;
  /** For so long before each of them. */
  ponders = 0;
  /** How it takes a new socket. */
  takes = (socket) => this.opens(socket);

  constructor(t) {
    const node = this;
    this.clock = t.mock.timers;
    this.clock.enable({ apis: ['setTimeout', 'setInterval', 'Date'], now: 1_000_000 });
    const fakes = {
      addEventListener: (type, listener) => this.page.addEventListener(type, listener),
      removeEventListener: (type, listener) => this.page.removeEventListener(type, listener),
      fetch: () => node.gives(),
      WebSocket: class extends FakeSocket {
        constructor() {
          super();
          this.node = node;
          this.id = node.id;
          node.sockets.push(this);
          queueMicrotask(() => this.living && node.takes(this));
        }
      },
    };
    const before = Object.fromEntries(Object.keys(fakes).map((name) => [name, globalThis[name]]));
    Object.assign(globalThis, fakes);
    t.after(() => Object.assign(globalThis, before));
  }

  /** A client that wants to enter, with all that it tells. */
  async lets(username, options) {
    const client = new Client({ room: 'tea', server: 'http://fake.example', keep: false, username, ...options });
    client.told = [];
    for (const type of ['state', 'text', 'warning', 'problem']) {
      client.addEventListener(type, ({ detail }) => client.told.push({ type, ...detail }));
    }
    client.warnings = () => client.told.filter(({ type }) => type === 'warning');
    client.connect();
    await settled();
    return client;
  }

  get socket() {
    return this.sockets.at(-1);
  }

  get living() {
    return this.sockets.filter(({ living }) => living);
  }

  /** Everything of the apps' that ever came, on whichever socket. */
  get heard() {
    return this.sockets.flatMap(({ heard }) => heard);
  }

  opens(socket) {
    socket.readyState = 1;
    socket.onopen?.();
    socket.hears('session', { token: `token of ${socket.id}`, max_message_bytes: this.largest });
  }

  hears(socket, { receiver, type, data, id }, size) {
    if (this.deaf || !socket.living) return;
    if (size > this.largest) return socket.closes(1009);
    const tooMuch = this.tooMuch.indexOf(type);
    if (this.busy > 0 || tooMuch >= 0) {
      if (tooMuch >= 0) this.tooMuch.splice(tooMuch, 1);
      else this.busy -= 1;
      return socket.hears('error', 'Busy');
    }
    if (receiver !== SERVER) return this.accepts && socket.hears('accepted', { id });
    if (type === 'ping') socket.hears('pong', data);
    if (type === 'get-ice-servers') socket.hears('ice-servers', []);
    if (type === 'get-room-info') socket.hears('room-info', { clients: [{ id: socket.id, username: 'Ada' }] });
    if (type === 'bye') socket.closes(1000);
  }

  async gives() {
    this.asked += 1;
    if (this.ponders) await new Promise((resolve) => setTimeout(resolve, this.ponders));
    const status = this.refusals.shift() ?? 201;
    const { id } = this;
    return { status, headers: new Headers(), json: async () => (status === 201 ? { id, token: `token of ${id}` } : {}) };
  }

  /** So much time goes by in which the page does nothing, and then does at once what it should have done. */
  async pageStandsStill(time) {
    this.clock.tick(time);
    await settled();
  }

  /** So much time goes by, with all that happens in it. */
  async passes(time) {
    for (let left = time; left >= 0; left -= STEP) {
      this.clock.tick(Math.min(left, STEP));
      await settled();
    }
  }
}

export const seconds = 1000;
export { settled };
