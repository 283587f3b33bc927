// An app that uses the published Yjs and y-webrtc: it names its signaling server, and leaves the rest to them.
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { elsewhere } from './elsewhere.js';
import { until } from './until.js';

const published = "export { Doc } from 'yjs'; export { WebrtcProvider } from 'y-webrtc';";

// They are published as modules that name each other, which no browser finds by itself.
const { outputFiles: [{ text: client }] } = await build({
  stdin: { contents: published, resolveDir: fileURLToPath(new URL('.', import.meta.url)) },
  bundle: true,
  format: 'iife',
  globalName: 'published',
  platform: 'browser',
  write: false,
});

const app = await elsewhere('<!doctype html><title>a document</title>');

/** A document called `name`, in a context of its own: no BroadcastChannel leads out of it. */
export async function document(browser, name) {
  const page = await (await browser.newContext()).newPage();
  await page.goto(app);
  await page.addScriptTag({ content: client });
  return new Document(name, page);
}

class Document {
  constructor(name, page) {
    this.name = name;
    this.page = page;
  }

  /** Looks for the others in `room`. */
  opens = (url, room, password) => {
    const signaling = new URL('/y-webrtc', url.replace('http', 'ws')).href;
    return this.page.evaluate(open, { signaling, room, password });
  };

  writes = (word) => this.page.evaluate((word) => window.app.words.push([word]), word);

  words = () => this.page.evaluate(() => window.app.words.toArray().sort().join(' '));

  /** Waits until it has these words, in whichever order. */
  reads = (...words) => {
    const wanted = words.sort().join(' ');
    return until(`${this.name} reads ${wanted}`, async () => (await this.words()) === wanted, { within: 20_000 });
  };

  /** How many it is connected with: over WebRTC, and over BroadcastChannel. */
  peers = () => this.page.evaluate(() => window.app.peers());

  /** Waits until it is connected with so many, over WebRTC. */
  meets = (others) => until(`${this.name} meets ${others}`, async () => (await this.peers()).webrtc === others, { within: 20_000 });

  /** How often it has heard its own announcement: from then on the others find it, in a room without a password. */
  announced = () => this.page.evaluate(() => window.app.announced);

  closes = () => this.page.context().close();
}

/** In the page. */
function open({ signaling, room, password }) {
  const { Doc, WebrtcProvider } = window.published;
  const doc = new Doc();
  const provider = new WebrtcProvider(room, doc, {
    signaling: [signaling],
    password,
    peerOpts: { config: { iceServers: [] } },
  });
  // The provider's own connection to the signaling server, through all of its sockets.
  provider.signalingConns[0].on('message', ({ data }) => {
    if (data?.type === 'announce' && data.from === provider.room.peerId) window.app.announced += 1;
  });
  window.app = {
    announced: 0,
    words: doc.getArray('words'),
    peers: () => ({
      webrtc: [...provider.room.webrtcConns.values()].filter(({ connected }) => connected).length,
      broadcast: provider.room.bcConns.size,
    }),
  };
}
