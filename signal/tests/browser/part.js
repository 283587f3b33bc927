// One program of a scene, from its start to its end, with what it said.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { delimiter } from 'node:path';
import { until } from './until.js';

const running = new Set();

// However this process ends, its programs do not outlive it.
process.once('exit', () => running.forEach((part) => part.child.kill('SIGKILL')));
for (const [signal, number] of [['SIGINT', 2], ['SIGTERM', 15]]) {
  process.once(signal, () => process.exit(128 + number));
}

// What a developer has set for a node of his own is not meant for ours; Debian keeps haproxy where only root looks.
const inherited = Object.fromEntries(Object.entries(process.env).filter(([key]) => !key.startsWith('SIGNAL_')));
inherited.PATH += `${delimiter}/usr/sbin`;

export class Part {
  constructor(name, program, args, { cwd, env }) {
    this.name = name;
    this.log = '';
    this.child = spawn(program, args, { cwd, env: { ...inherited, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    running.add(this);
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => (this.log += text));
    }
    this.ended = once(this.child, 'close')
      .catch((problem) => (this.log += `${problem}\n`))
      .finally(() => running.delete(this));
  }

  /** What `pattern` finds in what the program says; it fails at once when the program ends without having said it. */
  async says(pattern, options) {
    const saying = until(`${this.name} says ${pattern}`, () => pattern.exec(this.log), options);
    await Promise.race([saying, this.ended]);
    const found = pattern.exec(this.log);
    if (!found) throw new Error(`${this.name} ended without saying ${pattern}:\n${this.log}`);
    return found;
  }

  /** Ends the program by its pid, without a chance to tidy up. */
  async dies() {
    this.child.kill('SIGKILL');
    await this.ended;
  }
}

/** A port that nobody listens on. */
export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}
