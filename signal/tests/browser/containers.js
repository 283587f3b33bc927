// deploy/compose.yaml with the built image, on ports of its own. Where no registry can be reached, what stands beside our
// own services are Debian's programs under the names of their images (deploy/tests/image).
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { repository, target } from './node.js';
import { freePort } from './part.js';

const podman = join(repository, 'deploy/tests/podman');
const run = promisify(execFile);

export async function containers(house) {
  const deploy = join(house.dir, 'deploy');
  await cp(join(repository, 'deploy'), deploy, { recursive: true, filter: (path) => !path.endsWith('/secrets') });
  await secrets(join(deploy, 'secrets'));
  const [http, https, turn] = [await freePort(), await freePort(), await freePort()];
  const env = {
    ...process.env,
    SWITCHBOARD_HOST: '127.0.0.1',
    ...{ HTTP_PORT: String(http), HTTPS_PORT: String(https), TURN_PORT: String(turn) },
    // Not the network of one that is in use on this machine, and no more than its descriptors.
    ...{ FRONT: '172.30.81.0/24', DESCRIPTORS: '20000', MAXCONN: '5000' },
  };
  const project = `switchboard-${randomBytes(4).toString('hex')}`;
  const compose = (...args) =>
    run(
      join(target, 'venv/bin/podman-compose'),
      ['--podman-path', podman, '--in-pod', 'false', '--project-name', project, '--file', join(deploy, 'compose.yaml'), ...args],
      { env },
    );
  const within = async (...args) => (await run(podman, args)).stdout;
  const services = ['redis', 'turn-auth', 'coturn', 'left', 'right', 'haproxy'];

  return {
    url: `https://localhost:${https}/`,
    turn: `turn:127.0.0.1:${turn}`,
    starts: () => compose('up', '--no-build', '--detach', ...services),
    /** What everybody in it had to say. */
    said: async () => (await compose('logs').catch((problem) => problem)).stderr,
    inspects: async (service) => JSON.parse(await within('inspect', `${project}_${service}_1`))[0],
    /** Stops one, with the time that compose.yaml gives it, and gives its exit code. */
    async stops(service) {
      await compose('stop', service);
      return (await this.inspects(service)).State.ExitCode;
    },
    /** All of it, at once. */
    ends: () => compose('down', '--volumes', '--timeout', '0'),
    names: () => within('ps', '--all', '--filter', `name=${project}`, '--format', '{{.Names}}'),
  };
}

/** Readable files in a directory that is not, as README.md says. */
async function secrets(dir) {
  await mkdir(dir, { mode: 0o700 });
  for (const name of ['session_secret', 'turn_secret', 'turn_key']) await writeFile(join(dir, name), randomBytes(32).toString('base64url'));
  const [certificate, key] = [join(dir, 'certificate.pem'), join(dir, 'key.pem')];
  await run('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=localhost', '-keyout', key, '-out', certificate]);
  await writeFile(certificate, await readFile(key), { flag: 'a' });
}
