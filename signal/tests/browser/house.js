// What a scene needs, each part on a port of its own: opened when asked for, and all of it gone at the end.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { balancer } from './balancer.js';
import { Caller } from './caller.js';
import { node } from './node.js';
import { Part } from './part.js';
import { redis } from './redis.js';
import { turn } from './turn.js';

const chromiumProgram = process.env.CHROMIUM ?? '/usr/bin/chromium';
const chromiumArguments = [
  ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync'],
  ...['--disable-background-networking', '--disable-component-update'],
  ...['--use-fake-device-for-media-stream', '--allow-loopback-in-peer-connection'],
];

export class House {
  #parts = [];
  #browsers = [];
  #callers = [];
  #ended = false;

  constructor(title) {
    this.title = title;
    this.dir = mkdtempSync(join(tmpdir(), 'switchboard-'));
    this.secret = randomBytes(32).toString('hex');
    this.screenshots = process.env.SIGNAL_SCREENSHOTS ?? this.dir;
    this.clear = () => rmSync(this.dir, { recursive: true, force: true });
    process.once('exit', this.clear);
  }

  redis = () => redis(this);
  node = (name, options) => node(this, name, options);
  balancer = (...nodes) => balancer(this, nodes);
  turn = () => turn(this);

  /** Starts any program; it ends with the house. */
  starts(name, program, args, options = {}) {
    if (this.#ended) throw new Error(`${name} comes too late: the scene is over`);
    const part = new Part(name, program, args, { cwd: this.dir, ...options });
    this.#parts.push(part);
    return part;
  }

  /** A browser whose owner allows the camera and the microphone, or not. */
  async browser({ camera = true, args = [] } = {}) {
    const answer = `--use-fake-ui-for-media-stream${camera ? '' : '=deny'}`;
    const browser = await chromium.launch({
      executablePath: chromiumProgram,
      args: [...chromiumArguments, answer, ...args],
    });
    this.#browsers.push(browser);
    return browser;
  }

  /** Somebody in a browser of his own (without options: one that allows everything), or in another tab of a neighbour's. */
  async caller(name, { browser, besides } = {}) {
    const context = besides?.page.context() ?? (await (browser ?? (await this.browser())).newContext());
    await mkdir(this.screenshots, { recursive: true });
    const caller = await Caller.sitsDown(name, context, this.screenshots);
    this.#callers.push(caller);
    return caller;
  }

  /** What everybody and everything had to say, for whoever wants to know why a scene failed. */
  async testify() {
    const title = this.title.replace(/\W+/g, '-');
    for (const caller of this.#callers) {
      await caller.screenshot(`failed-${title}-${caller}`).catch(() => {});
      console.error(`\n── ${caller} ──\n${caller.log}`);
    }
    for (const { name, log } of this.#parts) console.error(`\n── ${name} ──\n${log}`);
  }

  async end() {
    this.#ended = true;
    await Promise.allSettled(this.#browsers.map((browser) => browser.close()));
    await Promise.all(this.#parts.map((part) => part.dies()));
    this.clear();
    process.off('exit', this.clear);
  }
}
