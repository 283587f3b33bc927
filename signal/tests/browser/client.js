// Somebody in a page that does what the client of an original does, with a network of his own that can break.
import assert from 'node:assert/strict';
import { phone } from './clients/phone.js';
import { elsewhere } from './elsewhere.js';
import { connections } from './node.js';
import { tunnel } from './tunnel.js';
import { until } from './until.js';

const app = await elsewhere('<!doctype html><title>An app</title>');

/** Where scenes of clients are played: at a node in memory, and at two of a cluster behind a balancer. */
export async function stages(house) {
  const redis = await house.redis();
  const [alone, a, b] = await Promise.all([house.node('alone'), house.node('a', { redis }), house.node('b', { redis })]);
  const { url } = await house.balancer(a, b);
  return [{ url: alone.url, nodes: [alone] }, { url, nodes: [a, b] }];
}

/** The two who `come`, as soon as each has its connection of `dialect` on a node of its own, where there are two. */
export async function apart({ url, nodes }, dialect, come) {
  const areThere = async (each) => (await Promise.all(nodes.map((node) => connections(node, dialect)))).every((n) => n === each);
  for (let attempt = 0; attempt < 6; attempt++) {
    const people = await come(attempt);
    if (await areThere(2 / nodes.length)) return people;
    await Promise.all(people.map((person) => person.closes()));
    await until('they are gone', () => areThere(0));
    // Taking turns would bring the same again and again: step out of line.
    await fetch(url);
  }
  return assert.fail('never on different nodes');
}

export class Client {
  /** Opens the page of an app: one from elsewhere, or, when `path` is given, this page of the server at `url`. */
  static async opens(browser, name, { url }, path) {
    const line = await tunnel(url);
    const page = await (await browser.newContext({ permissions: ['camera', 'microphone'] })).newPage();
    await page.goto(path ? new URL(path, line.url).href : app);
    await page.evaluate(phone);
    return Object.assign(new Client(), { name, page, line });
  }

  /** The address of a WebSocket. */
  socket = (path) => new URL(path, this.line.url.replace('http', 'ws')).href;

  /** Runs what its app does in its page. */
  does = (act, options) => this.page.evaluate(act, options);

  /** All messages of this type that it has heard. */
  heard = (type) => this.page.evaluate((type) => window.phone.heard.filter((message) => message.type === type), type);

  hears = (type, times = 1) =>
    until(`${this.name} hears ${type}, ${times} times`, async () => {
      const heard = await this.heard(type);
      return heard.length >= times && heard;
    });

  /** More comes of `kind` through the newest connection: pictures, or sound. */
  async receives(kind) {
    const received = () => this.page.evaluate((kind) => window.phone.received(kind), kind);
    const before = await received();
    await until(`${this.name} receives ${kind}`, async () => (await received()) > before + 5);
  }

  /** Its connection breaks, and nobody says goodbye. */
  async drops() {
    const before = (await this.heard('closed')).length;
    this.line.isGone();
    this.line.isBack();
    await this.hears('closed', before + 1);
  }

  closes = () => this.page.context().close();
}
