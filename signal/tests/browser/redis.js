// A Redis that keeps nothing.
import { freePort } from './part.js';

export async function redis(house) {
  const port = await freePort();
  const args = ['--port', port, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', house.dir];
  const part = house.starts('redis', 'redis-server', args.map(String));
  await part.says(/Ready to accept connections/);
  return { part, url: `redis://127.0.0.1:${port}` };
}
