// Every configuration in deploy/ is read by the program that it is for, and says the same as the others.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { queries } from './dashboard.mjs';

const deploy = fileURLToPath(new URL('../', import.meta.url));
const target = resolve(deploy, '..', process.env.CARGO_TARGET_DIR ?? 'target');
const inherited = { ...process.env, PATH: `${process.env.PATH}${delimiter}/usr/sbin` };
for (const key of Object.keys(inherited)) if (/^(SIGNAL|TURN_AUTH)_/.test(key)) delete inherited[key];

/** Runs a program that has to succeed, and gives what it wrote. */
const run = (program, args, env = {}) =>
  promisify(execFile)(program, args, { cwd: deploy, env: { ...inherited, ...env }, timeout: 60_000, maxBuffer: 1 << 24 });

let dir;
before(async () => (dir = await mkdtemp(join(tmpdir(), 'switchboard-'))));
after(() => rm(dir, { recursive: true, force: true }));

/** A file for as long as this runs. */
async function file(name, text) {
  const path = join(dir, name);
  await writeFile(path, text, { mode: 0o600 });
  return path;
}

/** Documents of YAML. */
async function parse(yaml) {
  const path = await file('parsed.yaml', yaml);
  const program = 'import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))';
  return JSON.parse((await run(join(target, 'venv/bin/python'), ['-c', program, path])).stdout);
}

async function compose() {
  const env = { SWITCHBOARD_HOST: 'switchboard.example.org', COMPOSE_PROFILES: 'grafana' };
  const { stdout, stderr } = await run('docker-compose', ['--file', 'compose.yaml', 'config'], env);
  assert.equal(stderr, '');
  const [{ services }] = await parse(stdout);
  return services;
}

async function kubernetes() {
  const { stdout, stderr } = await run('kubectl', ['kustomize', 'kubernetes']);
  assert.equal(stderr, '', 'nothing to warn of');
  return stdout;
}

/** The settings that are in force in an environment whose secrets are files in `secrets`, by their keys. */
async function settings(program, environment, secrets) {
  const there = await file('secret', 'a secret that is long enough for everything');
  const env = Object.fromEntries(
    Object.entries(environment).map(([key, value]) => [key, value.startsWith(secrets) ? there : value]),
  );
  await run(join(target, 'release', program), ['config', '--check'], env);
  return (await run(join(target, 'release', program), ['config'], env)).stdout;
}

/**
 * Seconds in `drain.wait` and `drain.spread`, and what a node takes at most after them: LINGER in signal/src/node.rs, what it
 * leaves to others (bequest.rs), the flush of its links (half a lease), and its last connections.
 */
function drains(config) {
  const [, group] = /^\[drain\]$([^[]*)/m.exec(config);
  const seconds = [...group.matchAll(/^(?:wait|spread) *= *"(\d+)s"/gm)].map(([, seconds]) => Number(seconds));
  assert.equal(seconds.length, 2, config);
  return seconds[0] + seconds[1] + 10 + 4 + 5 + 2;
}

test('haproxy takes its configuration', async () => {
  const [pem, key] = [join(dir, 'certificate.pem'), join(dir, 'key.pem')];
  await run('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=localhost', '-keyout', key, '-out', pem]);
  await writeFile(pem, await readFile(key), { flag: 'a' });
  // Names that exist in a network of containers are none here.
  const env = { CERTIFICATE: pem, LEFT: '127.0.0.1:8081', RIGHT: '127.0.0.1:8082', HTTP: ':8080' };
  await run('haproxy', ['-c', '-f', 'haproxy/haproxy.cfg'], env);
});

test('Prometheus takes its configuration and its rules', async () => {
  await run('promtool', ['check', 'config', 'prometheus/prometheus.yml']);
});

test('each alert speaks up when it should, and not when all is well', async () => {
  const rules = await readFile(join(deploy, 'prometheus/rules.yml'), 'utf8');
  const tests = await readFile(join(deploy, 'prometheus/rules_test.yml'), 'utf8');
  for (const [, alert] of rules.matchAll(/- alert: (\w+)/g)) assert.match(tests, new RegExp(`alertname="${alert}"`));
  await run('promtool', ['test', 'rules', 'prometheus/rules_test.yml']);
});

test('the dashboard asks Prometheus in its own language', async () => {
  const rules = (await queries()).map(({ expr }, i) => ({ record: `query:${i}`, expr }));
  const path = await file('queries.yml', JSON.stringify({ groups: [{ name: 'dashboard', rules }] }));
  await run('promtool', ['check', 'rules', path]);
});

test('Kubernetes would take the manifests, to the letter', async () => {
  const path = await file('manifests.yaml', await kubernetes());
  await run(join(target, 'venv/bin/kubernetes-validate'), ['-k', '1.32', '--strict', path]);
});

test('in Kubernetes nodes start with their settings, and have the time to drain', async () => {
  const manifests = await parse(await kubernetes());
  const config = (name) => manifests.find(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name.startsWith(`${name}-`)).data;
  const pod = (name) => manifests.find(({ kind, metadata }) => kind === 'Deployment' && metadata.name === name).spec.template.spec;
  const { env, ports } = pod('signal').containers[0];
  const address = env.find(({ name }) => name === 'SIGNAL__NODE__ADDRESS').value.replace('$(POD_IP)', '10.1.2.3');
  const node = await settings('signal', { ...config('signal'), SIGNAL__NODE__ADDRESS: address }, '/secrets/');
  assert.equal(address, `10.1.2.3:${ports.find(({ name }) => name === 'ops').containerPort}`);
  assert.ok(pod('signal').terminationGracePeriodSeconds > drains(node));
  await settings('turn-auth', config('turn-auth'), '/secrets/');
});

test('in the compose file nodes start with their settings, and have the time to drain', async () => {
  const { left, right, 'turn-auth': turnAuth } = await compose();
  for (const [name, { environment, stop_grace_period }] of Object.entries({ left, right })) {
    assert.equal(environment.SIGNAL__NODE__ADDRESS, `${name}:${environment.SIGNAL__OPS__LISTEN.split(':')[1]}`);
    const node = await settings('signal', environment, '/run/secrets/');
    const [, minutes, seconds] = /^(?:(\d+)m)?(?:(\d+)s)?$/.exec(stop_grace_period);
    assert.ok(Number(minutes ?? 0) * 60 + Number(seconds ?? 0) > drains(node));
  }
  await settings('turn-auth', turnAuth.environment, '/run/secrets/');
});

test('the image is built with the toolchain that everybody uses', async () => {
  const [, channel] = /^channel = "(.*)"$/m.exec(await readFile(join(deploy, '../rust-toolchain.toml'), 'utf8'));
  const [, tag] = /^FROM docker.io\/library\/rust:([\d.]+)-/m.exec(await readFile(join(deploy, 'Dockerfile'), 'utf8'));
  assert.equal(tag, channel);
});
