// A load balancer that knows nothing of sessions: whichever node is next gets the request.
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { freePort } from './part.js';
import { until } from './until.js';

export async function balancer(house, nodes) {
  const port = await freePort();
  const socket = join(house.dir, 'haproxy.sock');
  const config = join(house.dir, 'haproxy.cfg');
  await writeFile(config, configuration({ port, socket, nodes }));
  const part = house.starts('haproxy', 'haproxy', ['-db', '-f', config]);

  const tell = async (command) => {
    const connection = connect(socket);
    await once(connection, 'connect');
    connection.end(`${command}\n`);
    return (await connection.setEncoding('utf8').toArray()).join('');
  };
  await until('haproxy has all nodes up', async () => {
    const lines = (await tell('show stat')).split('\n').filter((line) => /^nodes,node\d/.test(line));
    return lines.length === nodes.length && lines.every((line) => line.split(',')[17] === 'UP');
  });

  return {
    part,
    url: `http://127.0.0.1:${port}/`,
    /** Nobody new gets through; who is through stays. */
    closes: () => tell('disable frontend web'),
    opens: () => tell('enable frontend web'),
    /** Cuts everybody off who is through; they may come again at once. */
    cuts: () => Promise.all(nodes.map((_, i) => tell(`shutdown sessions server nodes/node${i}`))),
  };
}

const configuration = ({ port, socket, nodes }) => `
global
  maxconn 1000
  stats socket ${socket} mode 600 level admin
defaults
  mode http
  log stdout format raw local0
  option httplog
  option forwardfor
  option redispatch
  retries 3
  timeout connect 2s
  timeout client 30s
  timeout server 30s
  timeout tunnel 1h
frontend web
  bind 127.0.0.1:${port}
  default_backend nodes
backend nodes
  balance roundrobin
  option httpchk
  http-check send meth GET uri /ready ver HTTP/1.1 hdr Host ready
  default-server check inter 500 fall 2 rise 1 on-marked-down shutdown-sessions
${nodes.map(({ url, ops }, i) => `  server node${i} ${new URL(url).host} addr ${ops.hostname} port ${ops.port}`).join('\n')}
`;
