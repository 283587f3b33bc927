#!/usr/bin/env node
// `make cluster`: what compose.yaml puts into containers, on this machine and without them. haproxy with HTTPS, two nodes,
// Redis, coturn, turn-auth, and Prometheus where it is installed, with the same configurations.
//
//   HTTPS_PORT        where haproxy listens (8443); 0: any free port
//   PROMETHEUS_PORT   where Prometheus listens (9090); 0: any free port
//
// All other ports are free ones. It runs until Ctrl-C, or until one of its parts ends, which is a failure.
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { accessSync, constants, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { connect, createServer } from 'node:net';
import { delimiter, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const repository = fileURLToPath(new URL('../', import.meta.url));
const target = resolve(repository, process.env.CARGO_TARGET_DIR ?? 'target');
const own = join(target, 'cluster');

// Debian keeps haproxy where only root looks. What is set for a node of one's own is not meant for these.
process.env.PATH += `${delimiter}/usr/sbin`;
for (const key of Object.keys(process.env)) if (/^(SIGNAL|TURN_AUTH)__/.test(key)) delete process.env[key];

/** What a person has to know, and nothing else: no stack under it. */
class Trouble extends Error {}

/** @type {Map<string, Part>} in the order of their start */
const parts = new Map();
let stopping = false;
let died = () => {};
const partDied = new Promise((resolve) => (died = resolve));

class Part {
  constructor(name, program, args = [], env = {}) {
    Object.assign(this, { name, log: [] });
    // A group of its own: Ctrl-C is for this script, which stops its parts in their order. Should it be killed itself,
    // nobody does, so they are too.
    this.child = spawn('setpriv', ['--pdeathsig', 'KILL', program, ...args], { detached: true, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    parts.set(name, this);
    const closed = once(this.child, 'close').then(([code, signal]) => signal ?? `exit code ${code}`);
    this.ended = closed.catch((problem) => problem.message).then((how) => {
      this.isOver = true;
      if (!stopping) died(new Trouble(`${name} has ended by itself (${how})`));
    });
    for (const stream of [this.child.stdout, this.child.stderr]) createInterface(stream).on('line', (line) => this.#says(line));
  }

  #says(line) {
    if (!line.trim()) return;
    this.log.push(line);
    if (this.log.length > 100) this.log.shift();
    console.log(`${this.name.padEnd(10)} │ ${line}`);
  }

  /** What `pattern` finds in what it says. */
  finds(pattern) {
    return until(`${this.name} says ${pattern}`, () => this.log.map((line) => pattern.exec(line)).find(Boolean));
  }

  async stops(signal = 'SIGTERM') {
    if (!this.isOver) this.child.kill(signal);
    await this.ended;
  }
}

/** Looks again and again until `look` returns something. */
async function until(what, look) {
  for (const end = Date.now() + 20_000; Date.now() < end && !stopping; await pause(50)) {
    const seen = await Promise.resolve().then(look).catch(() => undefined);
    if (seen) return seen;
  }
  throw new Trouble(`${what}: not within 20 s`);
}

const answers = (url) => until(`${url} answers`, async () => (await fetch(url)).ok);

const accepts = (port) =>
  until(`somebody listens on port ${port}`, async () => {
    const connection = connect(port, '127.0.0.1');
    await once(connection, 'connect');
    return connection.destroy();
  });

/** The port that `variable` names, if it is free; of 0, any that is. */
async function port(variable, usual) {
  const wanted = variable ? (process.env[variable] ?? usual) : 0;
  const server = createServer();
  try {
    await once(server.listen({ port: Number(wanted), host: '127.0.0.1' }), 'listening');
  } catch (problem) {
    const why = problem.code === 'EADDRINUSE' ? 'is taken' : `cannot be used (${problem.message})`;
    throw new Trouble(`port ${wanted} ${why}: ${variable}=… names another one, ${variable}=0 takes any that is free`);
  }
  const { port } = server.address();
  await once(server.close(), 'close');
  return port;
}

const isThere = (program) =>
  process.env.PATH.split(delimiter).some((dir) => {
    try {
      accessSync(join(dir, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });

function lookForParts() {
  const missing = ['redis-server', 'turnserver', 'haproxy', 'openssl'].filter((program) => !isThere(program));
  if (missing.length === 0) return;
  console.log(`missing: ${missing.join(', ')}; signal/tests/parts installs them`);
  const { status } = spawnSync(join(repository, 'signal/tests/parts'), { stdio: 'inherit' });
  if (status !== 0) throw new Trouble('parts are missing');
}

/** A certificate of our own for this machine, kept so that a browser has to be persuaded only once. */
function certificate() {
  const file = join(own, 'certificate.pem');
  const isGood = existsSync(file) && spawnSync('openssl', ['x509', '-checkend', '86400', '-noout', '-in', file]).status === 0;
  if (isGood) return file;
  const { status, stdout, stderr } = spawnSync('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '365'],
    ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-keyout', '-'],
  ]);
  if (status !== 0) throw new Trouble(`openssl makes no certificate:\n${stderr}`);
  writeFileSync(file, stdout, { mode: 0o600 });
  return file;
}

/** A file that nobody else can read, gone when the cluster is. */
function file(dir, name, text) {
  const path = join(dir, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

const shipped = (path) => join(repository, 'deploy', path);
const random = () => randomBytes(32).toString('base64url');

async function redis(dir) {
  const at = await port();
  const args = ['--port', at, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', dir];
  new Part('redis', 'redis-server', args.map(String));
  await accepts(at);
  return `redis://127.0.0.1:${at}`;
}

/** The shipped configuration, and what is particular here: one's own machine is whom one calls. */
async function coturn(dir, secret) {
  const at = await port();
  const here = `
listening-port=${at}
listening-ip=127.0.0.1
relay-ip=127.0.0.1
allow-loopback-peers
allowed-peer-ip=127.0.0.1
static-auth-secret=${secret}
pidfile=${join(dir, 'turnserver.pid')}
userdb=${join(dir, 'turnserver.db')}
`;
  const config = file(dir, 'turnserver.conf', readFileSync(shipped('coturn/turnserver.conf'), 'utf8') + here);
  new Part('coturn', 'turnserver', ['-c', config]);
  await accepts(at);
  return `turn:127.0.0.1:${at}`;
}

async function turnAuth(turn, secretFile, keyFile) {
  const part = new Part('turn-auth', join(target, 'release/turn-auth'), [], {
    TURN_AUTH__LISTEN: '127.0.0.1:0',
    TURN_AUTH__OPS__LISTEN: '127.0.0.1:0',
    TURN_AUTH__TURN__URLS: `${turn}?transport=udp,${turn}?transport=tcp`,
    TURN_AUTH__TURN__SECRET_FILE: secretFile,
    TURN_AUTH__KEYS_FILE: keyFile,
    TURN_AUTH__DRAIN__WAIT: '0s',
  });
  const [, url] = await part.finds(/Credentials are at\s+(http:\S+)/);
  const [, metrics] = await part.finds(/Metrics are at\s+(http:\S+)/);
  await answers(new URL('/ready', metrics));
  return { url, metrics };
}

async function node(name, env) {
  const part = new Part(name, join(target, 'release/signal'), [], {
    SIGNAL__NODE__NAME: name,
    SIGNAL__LISTEN: '127.0.0.1:0',
    SIGNAL__OPS__LISTEN: '127.0.0.1:0',
    SIGNAL__TRUSTED_PROXIES: '127.0.0.1',
    // Nobody needs to learn his public address to call himself.
    SIGNAL__ICE__STUN: '',
    // haproxy looks twice a second, and whoever pressed Ctrl-C waits.
    SIGNAL__DRAIN__WAIT: '1s',
    SIGNAL__DRAIN__SPREAD: '2s',
    ...env,
  });
  const [, url] = await part.finds(/Switchboard is at\s+(http:\S+)/);
  const [, metrics] = await part.finds(/Metrics are at\s+(http:\S+)/);
  await answers(new URL('/ready', metrics));
  return { url, metrics };
}

async function haproxy(left, right, at) {
  const metrics = await port();
  const pem = certificate();
  new Part('haproxy', 'haproxy', ['-db', '-f', shipped('haproxy/haproxy.cfg')], {
    HTTPS: `127.0.0.1:${at}`,
    METRICS: `127.0.0.1:${metrics}`,
    CERTIFICATE: pem,
    MAXCONN: '2000',
    ...{ LEFT: new URL(left.url).host, LEFT_OPS: new URL(left.metrics).port },
    ...{ RIGHT: new URL(right.url).host, RIGHT_OPS: new URL(right.metrics).port },
  });
  const url = `https://localhost:${at}/`;
  await until(`${url} answers`, async () => {
    const asked = request(url, { host: '127.0.0.1', ca: readFileSync(pem) }).end();
    const [response] = await once(asked, 'response');
    return response.resume().statusCode === 200;
  });
  return { url, metrics: `http://127.0.0.1:${metrics}/metrics` };
}

/** With the shipped rules, and these targets. */
async function prometheus(dir, jobs, at) {
  const targets = Object.entries(jobs).map(([part, urls]) => ({ labels: { part }, targets: urls.map((url) => new URL(url).host) }));
  // More often than in a real one: who sits before it wants to see something.
  const config = file(dir, 'prometheus.yml', readFileSync(shipped('prometheus/prometheus.yml'), 'utf8').replaceAll('15s', '2s'));
  file(dir, 'rules.yml', readFileSync(shipped('prometheus/rules.yml')));
  file(dir, 'targets.yml', JSON.stringify(targets));
  new Part('prometheus', 'prometheus', [
    ...[`--config.file=${config}`, `--storage.tsdb.path=${join(dir, 'prometheus')}`],
    ...[`--web.listen-address=127.0.0.1:${at}`, '--log.level=warn'],
  ]);
  const url = `http://127.0.0.1:${at}/`;
  await answers(new URL('/-/ready', url));
  return url;
}

async function start(dir) {
  const watched = isThere('prometheus');
  const httpsPort = await port('HTTPS_PORT', 8443);
  const prometheusPort = watched && (await port('PROMETHEUS_PORT', 9090));

  const secret = random();
  const keyFile = file(dir, 'turn_key', random());
  const redisUrl = await redis(dir);
  const turn = await coturn(dir, secret);
  const credentials = await turnAuth(turn, file(dir, 'turn_secret', secret), keyFile);
  const env = {
    SIGNAL__REDIS__URL: redisUrl,
    SIGNAL__SESSION__SECRET_FILE: file(dir, 'session_secret', random()),
    SIGNAL__TURN__AUTH_URL: credentials.url,
    SIGNAL__TURN__AUTH_KEY_FILE: keyFile,
  };
  const [left, right] = await Promise.all([node('left', env), node('right', env)]);
  const web = await haproxy(left, right, httpsPort);
  const jobs = { signal: [left.metrics, right.metrics], 'turn-auth': [credentials.metrics], haproxy: [web.metrics] };
  const prometheusUrl = watched && (await prometheus(dir, jobs, prometheusPort));

  console.log(`
Switchboard is at    ${web.url}
                     The browser will warn: the certificate is one that this machine made for itself. Go on.
                     ${web.url}room/hello?relay shows a call that is relayed.
Nodes are at         ${left.url}  ${right.url}
TURN is at           ${turn}, its credentials at ${credentials.url}
Metrics are at       ${left.metrics}  ${right.metrics}
                     ${credentials.metrics}  ${web.metrics}
Prometheus is at     ${prometheusUrl || 'no place: it is not installed (Debian: prometheus)'}
Ctrl-C               sends everybody away and stops all of it.
`);
}

/** Nodes first, while all that they need is still there; then the rest, last come first gone. */
async function stop() {
  stopping = true;
  const isNode = (part) => ['left', 'right'].includes(part.name);
  await Promise.all([...parts.values()].filter(isNode).map((part) => part.stops()));
  for (const part of [...parts.values()].reverse()) await part.stops();
}

const told = new Promise((resolve) => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => {
      // Told twice: at once.
      if (stopping) for (const part of parts.values()) part.child.kill('SIGKILL');
      else console.log('\nstopping: the nodes send their clients away first');
      resolve();
    });
  }
});

mkdirSync(own, { recursive: true });
const dir = mkdtempSync(join(own, 'run-'));
try {
  lookForParts();
  await Promise.race([start(dir).then(() => Promise.race([told, partDied])), told, partDied]).then((trouble) => {
    if (trouble) throw trouble;
  });
} catch (problem) {
  if (!(problem instanceof Trouble)) throw problem;
  console.error(`cluster: ${problem.message}`);
  process.exitCode = 1;
} finally {
  await stop();
  rmSync(dir, { recursive: true, force: true });
}
if (process.exitCode !== 1) console.log('stopped: nothing is left running');
