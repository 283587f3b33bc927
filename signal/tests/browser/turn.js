// A TURN server, and the credentials that it takes: `<expiry>:<name>`, and its HMAC-SHA1 under the secret that it shares
// with the nodes.
import { createHmac, randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { freePort } from './part.js';
import { until } from './until.js';

// Below the ports that the system gives out by itself.
const relayPorts = { from: 20000, to: 20999 };

export async function turn(house) {
  const port = await freePort();
  const secret = randomBytes(16).toString('hex');
  const config = join(house.dir, 'turnserver.conf');
  await writeFile(config, configuration({ port, secret, dir: house.dir }));
  const part = house.starts('turn', 'turnserver', ['-c', config], { cwd: house.dir });
  await until('turnserver listens', async () => {
    const connection = connect(port, '127.0.0.1');
    await once(connection, 'connect');
    return connection.destroy();
  });

  return {
    part,
    secret,
    url: `turn:127.0.0.1:${port}?transport=udp`,

    /** Credentials as a node makes them, to last until `expiry` (seconds since 1970). */
    signs(expiry, name) {
      const username = `${expiry}:${name}`;
      return { username, credential: createHmac('sha1', secret).update(username).digest('base64') };
    },

    /** Whether a client of another make gets a relay, and data through it, with these credentials. */
    async serves({ username, credential }) {
      const client = house.starts('turnutils_uclient', 'turnutils_uclient', [
        ...['-y', '-c', '-n', '1', '-p', String(port), '-u', username, '-w', credential, '127.0.0.1'],
      ]);
      await client.ended;
      return client.child.exitCode === 0;
    },
  };
}

const configuration = ({ port, secret, dir }) => `
listening-ip=127.0.0.1
relay-ip=127.0.0.1
listening-port=${port}
min-port=${relayPorts.from}
max-port=${relayPorts.to}
realm=switchboard.test
use-auth-secret
static-auth-secret=${secret}
fingerprint
no-tls
no-dtls
no-cli
allow-loopback-peers
pidfile=${join(dir, 'turnserver.pid')}
userdb=${join(dir, 'turnserver.db')}
log-file=stdout
`;
