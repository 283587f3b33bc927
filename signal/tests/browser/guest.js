// Somebody with a page of their own: nothing is on it but the client module.
import { until } from './until.js';

/** In the page: a client in `room`, and tracks drawn and hummed by the page itself. */
async function enter({ room, options }) {
  const { Client } = await import('/web/client.js');
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
  /** Enters `room` of `node` in a page of the node that shows nothing of a call. */
  static async enters(house, name, node, room, options = {}) {
    const guest = new Guest();
    guest.caller = await house.caller(name);
    guest.page = guest.caller.page;
    await guest.caller.opens(new URL('/public', node.url));
    await guest.page.evaluate(enter, { room, options: { username: name, ...options } });
    await until(`${name} is connected`, () => guest.page.evaluate(() => window.call.state === 'connected'));
    guest.id = await guest.page.evaluate(() => window.call.id);
    return guest;
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
