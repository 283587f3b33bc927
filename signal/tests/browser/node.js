// A signaling node: the program itself, told of the addresses and of nothing that it can know by itself.
import { fileURLToPath } from 'node:url';
import { resolve } from 'node:path';
import { until } from './until.js';

export const repository = fileURLToPath(new URL('../../../', import.meta.url));
export const target = resolve(repository, process.env.CARGO_TARGET_DIR ?? 'target');
const program = resolve(process.env.SIGNAL_PROGRAM ?? `${target}/release/signal`);

/** Every port of a node is one that nobody listens on. */
export const anyPort = { SIGNAL__LISTEN: '127.0.0.1:0', SIGNAL__OPS__LISTEN: '127.0.0.1:0' };

/** A node called `name`, alone, or in the cluster around `redis`; with the relay `turn` in its ICE servers when there is one. */
export async function node(house, name, { redis, turn, env } = {}) {
  const part = house.starts(`node ${name}`, program, [], {
    env: {
      ...anyPort,
      SIGNAL__NODE__NAME: name,
      SIGNAL__ICE__STUN: '',
      ...(redis && { SIGNAL__REDIS__URL: redis.url, SIGNAL__SESSION__SECRET: house.secret }),
      ...(turn && { SIGNAL__TURN__URLS: turn.url, SIGNAL__TURN__SECRET: turn.secret }),
      ...env,
    },
  });
  return open(part);
}

/** The node that is starting in `part`, as soon as it is ready. */
export async function open(part, options) {
  const [, url] = await part.says(/Switchboard is at\s+(http:\/\/\S+)/, options);
  const [, metrics] = await part.says(/Metrics are at\s+(http:\/\/\S+)/);
  const ops = new URL('/', metrics);
  await until(`${part.name} is ready`, async () => (await fetch(new URL('/ready', ops))).ok);
  const servedBy = (await fetch(url)).headers.get('x-served-by');
  return { part, url, ops, servedBy };
}

/** How many connections of `dialect` a node has. */
export async function connections(node, dialect) {
  const text = await (await fetch(new URL('/metrics', node.ops))).text();
  return Number(new RegExp(`^signal_connections\\{dialect="${dialect}"\\} (\\d+)`, 'm').exec(text)[1]);
}
