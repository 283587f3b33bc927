import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { promisify } from 'node:util';
import { queries } from '../../../deploy/tests/dashboard.mjs';
import { areGone, cluster } from './cluster.js';
import { scene } from './scene.js';
import { until } from './until.js';

const minutes = 60_000;

scene('make cluster: a relayed call over HTTPS, seen on the dashboard, and then nothing is left', async (house) => {
  const here = await cluster(house);
  const { url, credentials, prometheus, metrics } = await here.opens();
  const programs = await here.programs();
  const names = programs.map(({ name }) => name);
  for (const name of ['haproxy', 'signal', 'redis-server', 'turnserver', 'turn-auth', 'prometheus']) {
    assert.ok(names.includes(name), `${name} is among ${names}`);
  }

  const [alice, bob] = await onBothNodes(house, url);
  await alice.sees(bob);
  await bob.sees(alice);
  for (const [person, other] of [[alice, bob], [bob, alice]]) {
    await person.reaches(other, 'relayed');
    assert.deepEqual(await person.pairs(), ['relay→relay']);
    assert.ok(await person.page.evaluate(() => isSecureContext));
  }
  await alice.screenshot('cluster-alice');

  // Prometheus has not looked at anything for its first seconds.
  await until('the credentials are from turn-auth', async () => {
    const [issued] = await ask(prometheus, 'sum(turn_credentials_issued_total{job="turn-auth"})');
    return Number(issued?.value[1]) > 0;
  }, { within: 60_000, every: 500 });

  const stranger = await fetch(new URL('/?service=turn&username=somebody&key=guessed', credentials));
  assert.ok(!stranger.ok, 'who has no key gets none');

  for (const { title, expr, mayBeEmpty } of await queries()) {
    await until(`“${title}” shows something: ${expr}`, async () => {
      if (!alice.page.isClosed()) await alice.says('Are we on the dashboard?');
      const found = await ask(prometheus, expr);
      return mayBeEmpty || found.some(({ value }) => Number.isFinite(Number(value[1])));
    }, { within: 60_000, every: 500 });
  }
  const { alerts } = await api(prometheus, 'alerts');
  assert.deepEqual(alerts.filter(({ state }) => state === 'firing').map(({ labels }) => labels), [], 'all is well');
  const { groups } = await api(prometheus, 'rules');
  for (const { name, health, lastError } of groups.flatMap(({ rules }) => rules)) assert.equal(health, 'ok', `${name}: ${lastError}`);

  for (const address of metrics.filter((address) => !address.includes('haproxy'))) {
    const text = await (await fetch(address)).text();
    if (/^(signal|turn)_/m.test(text)) await wellFormed(text);
  }

  await here.stops();
  assert.match(here.part.log, /nothing is left running/);
  await areGone(programs);
}, { deadline: 4 * minutes });

scene('make cluster says which of its parts has died, and stops the others', async (house) => {
  const here = await cluster(house);
  await here.opens();
  const programs = await here.programs();
  process.kill(programs.find(({ name }) => name === 'redis-server').pid, 'SIGKILL');
  await here.part.ended;
  assert.match(here.part.log, /^cluster: redis has ended by itself \(SIGKILL\)/m);
  assert.notEqual(here.part.child.exitCode, 0);
  await areGone(programs);
});

scene('make cluster says that a port is taken, and how to name another', async (house) => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address();
  const here = await cluster(house, { HTTPS_PORT: String(port) });
  await here.part.ended.finally(() => other.close());
  assert.match(here.part.log, new RegExp(`^cluster: port ${port} is taken: HTTPS_PORT=… names another one`, 'm'));
  assert.notEqual(here.part.child.exitCode, 0);
});

/** Two people in a room whose sockets are on different nodes; new rooms until it comes out so. */
async function onBothNodes(house, url) {
  // As somebody who has clicked the warning away.
  const browser = await house.browser({ args: ['--ignore-certificate-errors'] });
  for (let attempt = 0; attempt < 12; attempt++) {
    const people = [];
    for (const name of ['Alice', 'Bob']) {
      const person = await house.caller(name, { browser });
      people.push(person);
      await person.opens(new URL(`/room/cluster-${attempt}?relay`, url));
      await person.joins();
    }
    const [alice, bob] = people.map((person) => person.socketServedBy());
    if (alice !== bob) return people;
    for (const person of people) await person.leaves();
  }
  return assert.fail('never on different nodes');
}

async function api(prometheus, path) {
  const response = await fetch(new URL(`/api/v1/${path}`, prometheus));
  const { status, data, error } = await response.json();
  assert.equal(status, 'success', error);
  return data;
}

const ask = async (prometheus, query) => (await api(prometheus, `query?${new URLSearchParams({ query })}`)).result;

/** As promtool wants metrics to be. */
async function wellFormed(text) {
  const checking = promisify(execFile)('promtool', ['check', 'metrics']);
  checking.child.stdin.end(text);
  await checking;
}
