// The page on which a protocol is tried: two peers of one visitor, and what each sees of its line.
import assert from 'node:assert/strict';
import test from 'node:test';
import { indented } from '../../web/try/json.js';
import { protocols } from '../../web/try/protocols.js';
import { scene } from './scene.js';
import { until } from './until.js';

/** One of the two peers on a visitor's page. */
class Peer {
  constructor({ page }, side) {
    this.part = page.locator(`[data-side="${side}"]`);
    this.name = `peer ${side}`;
  }

  fills(label, text) {
    return this.part.getByLabel(label, { exact: true }).fill(text);
  }

  triesToConnect() {
    return this.part.getByRole('button', { name: 'Connect', exact: true }).click();
  }

  async connects() {
    await this.triesToConnect();
    await this.is('Connected');
  }

  closes() {
    return this.part.getByRole('button', { name: 'Close', exact: true }).click();
  }

  is(state) {
    return until(`${this.name} is ${state}`, async () => (await this.part.locator('.state').innerText()) === state);
  }

  /** Picks a message that makes sense now, changes it, and sends it. */
  async says(message, change = (frame) => frame) {
    await this.part.locator('.ready').getByRole('button', { name: message, exact: true }).click();
    const text = this.part.getByLabel('Frame to send');
    await text.fill(JSON.stringify(change(JSON.parse(await text.inputValue()))));
    await text.press('Control+Enter');
  }

  async writes(text) {
    await this.part.getByLabel('Frame to send').fill(text);
    await this.part.getByRole('button', { name: 'Send', exact: true }).click();
  }

  /** What is ready to be sent now. */
  ready() {
    return this.part.locator('.ready button:visible').allInnerTexts();
  }

  /** The frames of one `way` ("in", "out") with this title, oldest first. */
  frames(way, title) {
    return this.part
      .locator(`[data-way="${way}"]`)
      .filter({ has: this.part.page().locator('.title', { hasText: new RegExp(`^${title}$`) }) });
  }

  /** Waits for a frame from the node with this title that fits, and returns it. */
  hears(title, fits = () => true) {
    return until(`${this.name} hears ${title}`, async () => {
      const heard = await this.frames('in', title).locator('pre').allTextContents();
      return heard.map((text) => JSON.parse(text)).findLast(fits);
    });
  }

  reads(words) {
    return until(`${this.name} reads “${words}”`, async () => (await this.part.innerText()).includes(words));
  }
}

async function visits(house, node, protocol = '') {
  const visitor = await house.caller('Visitor');
  await visitor.opens(new URL(`/try${protocol}`, node.url));
  return { visitor, a: new Peer(visitor, 'a'), b: new Peer(visitor, 'b') };
}

scene('a whole exchange in camus: who is here, an offer and its answer, coming back, goodbye', async (house) => {
  const node = await house.node('a');
  const { visitor, a, b } = await visits(house, node);
  await visitor.screenshot('try-before');
  assert.deepEqual(await a.ready(), []);
  await visitor.page.getByLabel('Room').fill('laboratory');
  await a.connects();
  assert.ok(!(await a.ready()).includes('offer'), 'there is nobody to whom an offer could go');
  await b.connects();

  await a.says('ping', (ping) => ({ ...ping, data: [1.5, 'two'] }));
  const { receiver: id, data } = await a.hears('pong');
  assert.deepEqual(data, [1.5, 'two']);
  await a.says('get-room-info');
  await b.says('get-room-info');
  await a.hears('room-info', ({ data }) => data.clients.length === 2);
  await a.says('offer');
  const offer = await b.hears('offer');
  assert.equal(offer.sender, id);
  const state = (description) => new RTCPeerConnection().setRemoteDescription(description).then(() => 'taken');
  assert.equal(await visitor.page.evaluate(state, offer.data), 'taken', 'it is one that a browser takes');
  await b.says('answer');
  await a.hears('answer');
  await a.says('icecandidate');
  await b.hears('icecandidate');
  await visitor.screenshot('try-camus');

  await b.closes();
  await b.reads('Closed with 1000');
  await a.says('text to the other');
  await b.connects();
  await b.says('ping');
  assert.equal((await b.hears('text')).sender, id, 'it was held, and b is who it was');

  await a.writes('{"what": ');
  await a.reads('This is no JSON');
  await a.hears('error');
  await a.says('bye');
  await a.reads('Closed with 1000: goodbye');
  await b.hears('bye', ({ sender }) => sender === id);
  await a.is('Closed');
  assert.deepEqual(await a.ready(), []);
});

scene('the same with switchboard.v1: what became of each message', async (house) => {
  const node = await house.node('a');
  const { visitor, a, b } = await visits(house, node);
  await visitor.page.getByLabel('Protocol').selectOption('camus with switchboard.v1');
  await a.connects();
  await b.connects();
  await a.hears('session', ({ data }) => data.resumed === false);
  await b.says('ping');
  await b.hears('pong');
  await a.says('offer');
  await b.hears('offer');
  await a.hears('accepted');
  await a.says('to nobody');
  await a.hears('undeliverable', ({ data }) => data.reason === 'absent');
  await a.closes();
  await a.is('Closed');
  await a.connects();
  await a.hears('session', ({ data }) => data.resumed);
});

scene('a whole exchange in peerjs: names, an offer and its answer, a name taken over', async (house) => {
  const node = await house.node('a', {
    env: { SIGNAL__PEERJS__PATH: '/call/', SIGNAL__PEERJS__KEY: 'garden', SIGNAL__PEERJS__EXPIRE_TIMEOUT: '1s' },
  });
  const { visitor, a, b } = await visits(house, node, '#peerjs');
  for (const [peer, name] of [
    [a, 'ada'],
    [b, 'bob'],
  ]) {
    await peer.fills('Name', name);
    await peer.connects();
    await peer.hears('OPEN');
  }
  await a.says('HEARTBEAT');
  await a.says('OFFER');
  const offer = await b.hears('OFFER');
  assert.deepEqual([offer.src, offer.dst], ['ada', 'bob']);
  await b.says('ANSWER');
  assert.equal((await a.hears('ANSWER')).payload.connectionId, offer.payload.connectionId);
  await b.says('CANDIDATE');
  await a.hears('CANDIDATE', ({ src }) => src === 'bob');
  await a.says('OFFER to nobody');
  await a.hears('EXPIRE', ({ dst }) => dst === 'ada');
  await visitor.holds({ width: 390, height: 780 });
  await visitor.screenshot('try-peerjs-phone');

  const second = await house.caller('Somebody else');
  await second.opens(new URL('/try#peerjs', node.url));
  const stranger = new Peer(second, 'a');
  await stranger.fills('Name', 'ada');
  await stranger.triesToConnect();
  await stranger.hears('ID-TAKEN');
  await stranger.reads('Closed with 1008: not let in');
  const token = await a.part.getByLabel('Token').inputValue();
  await stranger.fills('Token', token);
  await stranger.connects();
  await stranger.hears('OPEN');
  await a.reads('Closed with 4001: connected elsewhere by now');
});

scene('a whole exchange in share: a room, somebody who asks, and their screen', async (house) => {
  const node = await house.node('a');
  const { visitor, a, b } = await visits(house, node, '#share');
  await a.connects();
  await b.connects();
  assert.deepEqual(await b.ready(), ['CREATE_ROOM', 'LEAVE_ROOM'], 'there is no room to join');
  await a.says('CREATE_ROOM');
  await a.hears('ROOM_CREATED');
  await b.says('JOIN_ROOM');
  await b.hears('ROOM_JOINED');
  await a.hears('USER_JOINED');
  for (const [one, says, other] of [
    [b, 'REQUEST_SHARING', a],
    [a, 'ALLOW_SHARING', b],
    [b, 'RCP_OFFER', a],
    [a, 'RCP_ANSWER', b],
  ]) {
    await one.says(says);
    await other.hears(says);
  }
  await b.says('ICE_CANDIDATE to the host');
  await a.hears('ICE_CANDIDATE', ({ username }) => username === 'Bob');
  await a.says('ICE_CANDIDATE to a user');
  await b.hears('ICE_CANDIDATE', ({ username }) => username === undefined);
  await visitor.screenshot('try-share');
  await a.says('LEAVE_ROOM');
  await a.hears('LEFT_ROOM');
  await b.hears('ERROR', ({ message }) => message === 'The host has left');
  assert.deepEqual(await a.ready(), ['CREATE_ROOM', 'LEAVE_ROOM']);
});

scene('a whole exchange in direct: two names of one browser, and messages to a name', async (house) => {
  const node = await house.node('a');
  const { a, b } = await visits(house, node, '#direct');
  for (const [peer, name] of [
    [a, 'ada'],
    [b, 'bob'],
  ]) {
    await peer.fills('Name', name);
    await peer.triesToConnect();
  }
  await a.is('Connected');
  await b.is('Connected');
  await a.says('offer');
  assert.equal((await b.hears('offer')).originator, 'ada');
  await b.says('answer');
  await a.hears('answer', ({ originator }) => originator === 'bob');
  await a.says('candidate');
  await b.hears('candidate');
  await a.says('to nobody');
  await a.hears('TARGET_NOT_FOUND');
  await b.says('without a target');
  await b.hears('INVALID_MESSAGE');
  // The cookies are Bob’s by now, and Ada’s name is taken.
  await a.closes();
  await a.is('Closed');
  await a.triesToConnect();
  await a.reads('Take another name');
  await b.closes();
  await b.is('Closed');
  await b.connects();
});

scene('a whole exchange in y-webrtc: a topic, and what is published in it', async (house) => {
  const node = await house.node('a');
  const { a, b } = await visits(house, node, '#y-webrtc');
  await a.connects();
  await b.connects();
  for (const peer of [a, b]) {
    await peer.says('subscribe');
    await peer.says('ping');
    await peer.hears('pong');
  }
  await a.says('publish: announce');
  await b.hears('publish', ({ clients }) => clients === 2);
  await b.says('publish: signal');
  await a.hears('publish', ({ data }) => data.signal?.type === 'offer');
  await b.says('unsubscribe');
  await a.says('publish: announce');
  await a.hears('publish', ({ clients }) => clients === 1);
});

scene('a whole exchange in mesh: who one is, who is there, an offer and its answer', async (house) => {
  const node = await house.node('a');
  const { a, b } = await visits(house, node, '#mesh');
  await a.connects();
  await b.connects();
  for (const peer of [a, b]) {
    await peer.says('CONFIRM_ID');
    await peer.hears('CONFIRM_ID');
  }
  await a.says('JOIN');
  await b.hears('JOIN', ({ payload }) => payload.user.name === 'Ada');
  await b.says('CLIENTS');
  await b.hears('CLIENTS', ({ payload }) => payload.clients.length === 2);
  await b.says('OFFER');
  await a.hears('OFFER', ({ payload }) => payload.user.name === 'Bob' && payload.offer.type === 'offer');
  await a.says('ANSWER');
  await b.hears('ANSWER');
  await a.says('CANDIDATE');
  await b.hears('CANDIDATE');
  await a.says('OFFER to nobody');
  await a.hears('CLIENTS', ({ payload }) => 'gone' in payload);
  await a.says('WHATEVER');
  await a.hears('ERROR');
});

scene('only what the node speaks is offered, and links from elsewhere lead to it', async (house) => {
  const node = await house.node('a');
  const { visitor, a } = await visits(house, node, '#switchboard.v1');
  const choice = visitor.page.getByLabel('Protocol');
  const { spoken } = await visitor.page.evaluate(() => JSON.parse(document.body.dataset.node));
  const names = new Set(spoken.map(({ name }) => name));
  assert.equal(await choice.locator('option').count(), names.size + 1, 'camus twice, and each other once');
  assert.equal(await choice.inputValue(), 'camus with switchboard.v1');
  assert.match(
    await a.part.locator('.shell').textContent(),
    /^TOKEN=\$\(curl .* \| jq -r \.token\)\nwebsocat --protocol switchboard\.v1 "ws:.*\?token=\$TOKEN"$/,
  );

  await a.connects();
  await choice.selectOption('peerjs');
  await a.is('Not connected');
  assert.equal(await a.part.locator('.log li').count(), 0);
  await a.connects();
  await a.hears('OPEN');

  await visitor.opens(node.url);
  await visitor.page.getByRole('link', { name: 'Try a protocol' }).click();
  await visitor.reads('Two peers, side by side');
});

for (const { title, fields, messages } of protocols) {
  test(`${title}: every message can be made, once what it needs is known`, () => {
    const learned = { id: 'ada', role: 'host', room: 'abcd', peer: 'bob', guest: 'Bob', topic: 'try', sent: 0 };
    const known = { ...learned, ...Object.fromEntries(fields.map(({ name, value }) => [name, value('a')])) };
    for (const { title, note, frame } of messages) {
      const { type } = JSON.parse(JSON.stringify(frame(known, { ...learned, id: 'bob' })));
      assert.equal(typeof type, 'string', title);
      assert.match(note, /\.$/, title);
    }
  });
}

test('JSON is indented, and each number and string stays as it was written', () => {
  assert.equal(
    indented('{"a":[1.0,12345678901234567890,{}],"b":"x, {y}: \\"z\\"","c":[]}'),
    '{\n  "a": [\n    1.0,\n    12345678901234567890,\n    {}\n  ],\n  "b": "x, {y}: \\"z\\"",\n  "c": []\n}',
  );
  assert.equal(indented('no {JSON'), 'no {JSON');
  assert.equal(indented('7'), '7');
});
