import assert from 'node:assert/strict';
import test from 'node:test';
import { Signaling } from '../../web/client/signaling.js';
import { FakeNode, seconds, settled } from './fake_node.js';

const dialledAgain = 25 * seconds;

test('a node that greets and then says nothing is left, and another line is tried', async (t) => {
  const node = new FakeNode(t);
  node.deaf = true;
  const ada = await node.lets('Ada');
  ada.say('Tea?');
  await node.passes(10 * seconds);
  assert.equal(node.sockets.length, 2, 'she does not wait for ever');
  assert.ok(!node.sockets[0].living, 'nor on two lines');

  node.deaf = false;
  await node.passes(dialledAgain);
  assert.equal(ada.state, 'connected');
  assert.deepEqual(node.heard, ['Tea?']);
});

test('a node that is busy is not asked without a pause, and is entered when it is no more', async (t) => {
  const node = new FakeNode(t);
  node.busy = 20;
  const ada = await node.lets('Ada');
  ada.say('Tea?');
  await node.passes(5 * seconds);
  assert.ok(node.socket.frames.length < 10, `${node.socket.frames.length} frames in 5 s`);

  await node.passes(120 * seconds);
  assert.equal(ada.state, 'connected');
  assert.deepEqual(node.heard, ['Tea?']);
});

test('a node that was too busy for a question of hers is asked again', async (t) => {
  for (const question of ['get-ice-servers', 'get-room-info']) {
    await t.test(question, async (t) => {
      const node = new FakeNode(t);
      node.tooMuch = [question];
      const ada = await node.lets('Ada');
      await node.passes(5 * seconds);
      assert.equal(node.sockets.length, 1, 'on the same line');
      assert.equal(ada.state, 'connected');
      ada.leave();
    });
  }
});

/** Her line drops with `code`: what she says before anything else can happen finds none. */
function losesHerLine(node, code = 1006) {
  node.socket.closes(code);
}

test('who comes back as somebody else says what waited, and is told of what may have arrived already', async (t) => {
  const node = new FakeNode(t);
  const ada = await node.lets('Ada');
  node.accepts = false;
  ada.say('Tea?');
  ada.send('bob', 'move', 'e4');
  await node.passes(1 * seconds);
  node.id = 'ada the second';
  losesHerLine(node, 4003);
  ada.say('With milk.');
  await node.passes(dialledAgain);

  assert.equal(ada.id, 'ada the second');
  assert.deepEqual(node.socket.heard, ['With milk.'], 'nothing is said by two');
  assert.deepEqual(ada.warnings().map(({ message }) => message.data.text ?? message.data), ['Tea?', 'e4']);
  assert.equal(ada.warnings()[0].text, 'Not known whether a message arrived');
});

test('who comes back as before says again what is not known to be safe', async (t) => {
  const node = new FakeNode(t);
  const ada = await node.lets('Ada');
  node.accepts = false;
  ada.say('Tea?');
  await node.passes(1 * seconds);
  losesHerLine(node);
  ada.say('With milk.');
  await node.passes(dialledAgain);
  assert.deepEqual(node.socket.heard, ['Tea?', 'With milk.']);
  assert.deepEqual(ada.warnings(), []);
});

const ends = {
  replaced: (node) => node.socket.closes(4001),
  refused: (node) => {
    node.refusals = [404];
    node.socket.closes(4003);
  },
};

for (const [why, end] of Object.entries(ends)) {
  test(`what waits when the call has ended for being ${why} is sent when it goes on`, async (t) => {
    const node = new FakeNode(t);
    const ada = await node.lets('Ada');
    node.accepts = false;
    ada.say('Tea?');
    await settled();
    end(node);
    await settled();
    assert.equal(ada.state, 'ended');
    ada.say('With milk.');
    ada.connect();
    await node.passes(dialledAgain);
    assert.equal(ada.state, 'connected');
    assert.deepEqual(node.socket.heard, ['Tea?', 'With milk.']);
  });
}

const byes = (node) => node.sockets.filter(({ asked }) => asked.includes('bye')).length;

test('who leaves while there is no line says goodbye when there is one, and before that what waited', async (t) => {
  const node = new FakeNode(t);
  const ada = await node.lets('Ada');
  losesHerLine(node);
  ada.say('I must go.');
  ada.leave();
  await node.passes(dialledAgain);
  const said = node.socket.frames.map(({ type, data }) => data.text ?? type);
  assert.deepEqual(said.filter((what) => what !== 'ping'), ['I must go.', 'bye']);
  assert.equal(node.sockets.length, 2);
  assert.equal(ada.state, 'ended');
});

for (const [how, breaks] of Object.entries({
  'that breaks at once': (node) => node.socket.closes(1006),
  'that is dead, which nobody has noticed yet': (node) => (node.deaf = true),
})) {
  test(`a goodbye on a line ${how} is said once more`, async (t) => {
    const node = new FakeNode(t);
    const ada = await node.lets('Ada');
    node.deaf = true;
    ada.leave();
    breaks(node);
    await node.passes(9 * seconds);
    node.deaf = false;
    await node.passes(dialledAgain);
    assert.equal(byes(node), 2);
    assert.equal(node.living.length, 0);
    assert.equal(ada.state, 'ended');
    assert.deepEqual(ada.told.filter(({ state }) => state === 'reconnecting'), [], 'she does not see that');
  });
}

test('who has left without being heard, and is somebody else for the node by now, does not come back', async (t) => {
  const node = new FakeNode(t);
  const ada = await node.lets('Ada');
  node.takes = (socket) => socket.closes(1006);
  losesHerLine(node);
  ada.say('I must go.');
  ada.leave();
  node.id = 'ada the second';
  await node.passes(60 * seconds);
  assert.deepEqual(new Set(node.sockets.map(({ id }) => id)), new Set(['ada']));
  assert.deepEqual(ada.warnings().map(({ text, message }) => [text, message.data.text]), [['A message was not sent', 'I must go.']]);
});

test('what is longer than the node takes is told of, and holds up nothing else', async (t) => {
  const node = new FakeNode(t);
  node.largest = 1024;
  const ada = await node.lets('Ada');
  losesHerLine(node);
  node.largest = 512;
  ada.say('Tea?');
  ada.say('A long story. '.repeat(50));
  ada.say('With milk.');
  await node.passes(dialledAgain);
  assert.equal(node.sockets.length, 2);
  assert.deepEqual(node.heard, ['Tea?', 'With milk.']);
  assert.deepEqual(ada.warnings().map(({ text }) => text), ['A message was not sent: it is longer than the server takes']);
});

test('who leaves and comes back while the node is still answering is in the room once', async (t) => {
  const node = new FakeNode(t);
  node.ponders = 1 * seconds;
  const ada = await node.lets('Ada');
  ada.leave();
  ada.connect();
  await node.passes(5 * seconds);
  assert.equal(ada.state, 'connected');
  assert.equal(node.asked, 2);
  assert.equal(node.sockets.length, 1);
});

test('a page that stood still does not take its line for dead while the answer waits to be read', async (t) => {
  const node = new FakeNode(t);
  const ada = await node.lets('Ada');
  await node.passes(12 * seconds);
  const waiting = [];
  node.hears = (...said) => waiting.push(said);
  await node.passes(4 * seconds);
  await node.pageStandsStill(12 * seconds);
  delete node.hears;
  for (const said of waiting) node.hears(...said);
  await node.passes(60 * seconds);
  assert.equal(node.sockets.length, 1);
  assert.equal(ada.state, 'connected');
});

test('a line that died while the page stood still is found dead, if a little later', async (t) => {
  const node = new FakeNode(t);
  const ada = await node.lets('Ada');
  await node.passes(12 * seconds);
  node.deaf = true;
  await node.passes(4 * seconds);
  await node.pageStandsStill(12 * seconds);
  await node.passes(12 * seconds);
  assert.equal(ada.state, 'reconnecting');
});

test('she who says too much is told which of it is not sent', async (t) => {
  const node = new FakeNode(t);
  const ada = await node.lets('Ada');
  losesHerLine(node);
  const taken = Array.from({ length: 257 }, (_, n) => ada.say(`line ${n}`));
  assert.deepEqual(taken, [...Array(256).fill(true), false]);
  const [{ text, message }] = ada.warnings();
  assert.match(text, /^Not sent/);
  assert.equal(message.data.text, 'line 256');
  assert.equal(message.data.time, ada.told.findLast(({ type }) => type === 'text').time, 'the line that she sees');
});

test('what cannot be delivered is told with the message that it was', async (t) => {
  const node = new FakeNode(t);
  const ada = await node.lets('Ada');
  node.accepts = false;
  ada.send('nobody', 'move', 'e4');
  await settled();
  node.socket.hears('undeliverable', { id: node.socket.frames.at(-1).id, receiver: 'nobody', reason: 'absent' });
  const [{ text, message }] = ada.warnings();
  assert.equal(text, 'Not delivered: no client nobody in this room');
  assert.deepEqual(message, { receiver: 'nobody', type: 'move', data: 'e4' });
});

test('what nobody would hear is not taken for a message of her own', async (t) => {
  const node = new FakeNode(t);
  const ada = await node.lets('Ada');
  for (const type of ['ping', 'pong', 'bye', 'offer', 'answer', 'icecandidate', 'greeting']) {
    assert.throws(() => ada.send('bob', type), { name: 'TypeError', message: new RegExp(`^type: "${type}" is not`) });
  }
  assert.ok(ada.send('ground control', 'ping'), 'the node itself hears it');
  assert.ok(ada.send('bob', 'move', 'e4'));
  await settled();
  assert.deepEqual(node.heard, ['e4']);
});

test('offers and answers of another id are said by nobody again, and told of to nobody', async (t) => {
  const node = new FakeNode(t);
  const line = new Signaling({ server: 'http://fake.example', room: 'tea', passes: [] });
  const lost = [];
  line.addEventListener('lost', ({ detail }) => lost.push(detail));
  line.start();
  await settled();
  node.accepts = false;
  line.send('bob', 'offer', 'an offer');
  await settled();
  node.id = 'ada the second';
  losesHerLine(node, 4003);
  line.send('bob', 'answer', 'an answer');
  line.send('bob', 'move', 'e4');
  await node.passes(dialledAgain);
  assert.deepEqual(node.socket.heard, ['e4']);
  assert.deepEqual(lost, []);
});

test('who comes back on hearing what was not sent still hears when the network is back', async (t) => {
  const node = new FakeNode(t);
  const ada = await node.lets('Ada');
  node.takes = (socket) => socket.closes(1006);
  losesHerLine(node);
  ada.say('I must go.');
  ada.addEventListener('warning', () => ada.connect(), { once: true });
  ada.leave();
  node.id = 'ada the second';
  await node.passes(dialledAgain);
  node.takes = (socket) => node.opens(socket);
  await node.passes(dialledAgain);
  assert.equal(ada.state, 'connected');
  losesHerLine(node);
  node.page.dispatchEvent(new Event('online'));
  await settled();
  assert.equal(ada.state, 'connected', 'without waiting for her turn');
});

test('who comes back on hearing that she has left has said goodbye', async (t) => {
  const node = new FakeNode(t);
  const ada = await node.lets('Ada');
  const first = node.socket;
  ada.addEventListener('state', () => ada.state === 'ended' && ada.connect());
  ada.leave();
  node.id = 'ada the second';
  await node.passes(dialledAgain);
  assert.ok(first.asked.includes('bye'));
  assert.equal(ada.state, 'connected');
});
