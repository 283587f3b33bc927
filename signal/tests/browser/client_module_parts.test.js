import assert from 'node:assert/strict';
import test from 'node:test';
import { iceServers, renewIn, route } from '../../web/client/ice.js';
import { Outbox } from '../../web/client/outbox.js';
import { difference, readRoster } from '../../web/client/roster.js';
import { delay } from '../../web/client/signaling.js';

const seconds = 1000;
const hours = 3600 * seconds;

const ada = { id: 'a', username: 'Ada' };
const bob = { id: 'b', username: 'Bob' };
const carol = { id: 'c', username: 'Carol' };

test('who came, who left and who has another name', () => {
  const robert = { ...bob, username: 'Robert' };
  assert.deepEqual(difference([], [ada, bob]), { came: [ada, bob], left: [], renamed: [] });
  assert.deepEqual(difference([ada, bob], [robert, carol]), { came: [carol], left: [ada], renamed: [robert] });
  assert.deepEqual(difference([ada, bob], [bob, ada]), { came: [], left: [], renamed: [] });
});

test('a roster is read without what is none', () => {
  const clients = [ada, { id: 7, username: 'Number' }, { username: 'Nobody' }, { id: 'd' }];
  assert.deepEqual(readRoster({ clients }), [ada, { id: 'd', username: '' }]);
  for (const none of [null, undefined, {}, { clients: 'Ada' }]) assert.deepEqual(readRoster(none), []);
});

test('ICE servers become what RTCConfiguration takes', () => {
  const told = [
    { urls: ['stun:example.org'], kind: 'stun' },
    { urls: ['turn:example.org'], username: '1:a', credential: 'x', kind: 'turn' },
    { urls: [], kind: 'stun' },
  ];
  const [stun, turn, ...more] = iceServers(told);
  assert.deepEqual(stun, { urls: ['stun:example.org'] });
  assert.deepEqual(turn, { urls: ['turn:example.org'], username: '1:a', credential: 'x' });
  assert.deepEqual(more, []);
  assert.deepEqual(iceServers(null), []);
});

test('credentials are renewed when four fifths of their time is over, the first to expire counting', () => {
  const now = 1_000_000 * seconds;
  const until = (time) => ({ urls: ['turn:example.org'], username: `${(now + time) / seconds}:a`, credential: 'x' });
  assert.equal(renewIn([{ urls: ['stun:example.org'] }], now), null);
  assert.equal(renewIn([until(10 * hours), until(5 * hours)], now), 4 * hours);
  assert.equal(renewIn([until(-hours)], now), 30 * seconds, 'not at once: a clock may be wrong');
  assert.equal(renewIn([until(1000 * hours)], now), 24 * hours, 'and not never');
});

test('the way is relayed when one end of the chosen pair is a relay', () => {
  const report = (local, remote) =>
    new Map([
      ['T', { type: 'transport', selectedCandidatePairId: 'P' }],
      ['P', { type: 'candidate-pair', localCandidateId: 'L', remoteCandidateId: 'R' }],
      ['L', { candidateType: local }],
      ['R', { candidateType: remote }],
    ]);
  assert.equal(route(report('host', 'srflx')), 'direct');
  assert.equal(route(report('host', 'relay')), 'relayed');
  assert.equal(route(report('relay', 'host')), 'relayed');
  assert.equal(route(new Map()), null);
});

test('a message is kept, by a name of its own, until it is safe', () => {
  const outbox = new Outbox();
  const [one, two] = ['Tea?', 'Tea?'].map((data) => outbox.add({ receiver: 'room', type: 'text', data }));
  const names = [one, two].map(({ frame }) => JSON.parse(frame).id);
  assert.notEqual(names[0], names[1]);
  assert.deepEqual(outbox.kept, [one, two]);
  outbox.remove(names[0]);
  outbox.remove('of another page');
  assert.deepEqual(outbox.kept, [two]);
  while (outbox.kept.length < 256) assert.notEqual(outbox.add({}), null);
  assert.equal(outbox.add({}), null, 'too much waits');
});

test('where much waits, candidates make room for what is said once only', () => {
  const outbox = new Outbox();
  const candidate = () => outbox.add({ receiver: 'b', type: 'icecandidate', data: {} });
  const line = () => outbox.add({ receiver: 'room', type: 'text', data: 'Tea?' });
  const types = () => outbox.kept.map(({ message }) => message.type);
  const first = line();
  while (outbox.kept.length < 256) candidate();
  const last = line();
  assert.ok(last, 'there is room for a line');
  assert.deepEqual([types().length, types()[0], types().at(-1)], [256, 'text', 'text']);
  assert.ok(candidate(), 'and for another candidate');
  while (types().includes('icecandidate')) assert.ok(line());
  assert.equal(line(), null, 'but not for more lines than ever');
  assert.equal(candidate(), null);
  assert.ok(outbox.kept.includes(first) && outbox.kept.includes(last));
});

test('attempts to come back spread out, and never more than so far', () => {
  const [shortest, longest] = [() => 0, () => 1];
  assert.deepEqual([0, 1, 2, 3].map((n) => delay(n, longest)), [500, 1000, 2000, 4000]);
  assert.equal(delay(5, longest), 15 * seconds);
  assert.equal(delay(5000, longest), 15 * seconds);
  assert.equal(delay(5, shortest), 0);
});
