import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { anyPort, open, repository, target } from './node.js';
import { scene } from './scene.js';

const run = promisify(execFile);
const minutes = 60_000;

scene('somebody clones the repository, types one command and calls himself from a second tab', async (house) => {
  const clone = join(house.dir, 'clone');
  await run('git', ['clone', '--quiet', repository, clone]);

  // The crates that we build on are built already. They are copied, not shared: cargo tells the clone's own crates
  // from this repository's by nothing but their age, and would afterwards take the clone's program for ours.
  const built = join(house.dir, 'target', 'release');
  await mkdir(built, { recursive: true });
  await run('cp', ['--archive', ...['.fingerprint', 'build', 'deps'].map((part) => join(target, 'release', part)), built]);

  const part = house.starts('cargo run', 'cargo', ['run', '--release', '-p', 'signal'], {
    cwd: clone,
    env: { ...anyPort, CARGO_TARGET_DIR: join(house.dir, 'target') },
  });
  const node = await open(part, { within: 15 * minutes });
  assert.match(part.log, /This node is\s+alone \(in memory\)/);

  const alice = await house.caller('Alice');
  await alice.opens(node.url);
  await alice.makesRoom('Tea at four');
  const bob = await house.caller('Bob', { besides: alice });
  await bob.opens(alice.url());
  await alice.joins();
  await bob.joins();
  const ids = [await alice.id(), await bob.id()];
  assert.notEqual(ids[0], ids[1], 'two tabs are two people');
  await alice.sees(bob);
  await bob.sees(alice);

  await alice.reloads();
  await bob.reloads();
  assert.deepEqual([await alice.id(), await bob.id()], ids, 'each keeps its own id');
  await alice.sees(bob);
  await bob.sees(alice);
  await alice.screenshot('clone-alice');
}, { deadline: 20 * minutes });
