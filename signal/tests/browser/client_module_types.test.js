import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Guest } from './guest.js';
import { scene } from './scene.js';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const web = here('../../web/');

/** What the compiler has to say about a project; nothing when it is content. */
async function complaints(project) {
  const run = promisify(execFile)(process.execPath, [here('node_modules/typescript/bin/tsc'), '--project', project]);
  return run.then(({ stdout }) => stdout, ({ stdout, message }) => stdout || message);
}

test('an app that uses all of the client module is understood by the compiler', { timeout: 60_000 }, async () => {
  assert.equal(await complaints(here('app')), '');
});

// What a client and its peers say to each other is no app's business.
const betweenParts = ['rename', 'publish', 'hear', 'restate', 'configure', 'mend', 'look', 'close'];

scene('the client module is what its types say, no more and no less', async (house) => {
  const node = await house.node('a');
  const ada = await Guest.enters(house, 'Ada', node, 'types');
  await Guest.enters(house, 'Bob', node, 'types');
  await ada.seesNames('Ada', 'Bob');
  const names = await ada.page.evaluate(async (module) => {
    const members = (object) => [...Object.keys(object), ...Object.getOwnPropertyNames(Object.getPrototypeOf(object))];
    const [peer] = window.call.peers.values();
    return { exports: Object.keys(await import(module)), client: members(window.call), peer: members(peer) };
  }, new URL('client.js', node.url).href);

  const types = await fetch(new URL('client.d.ts', node.url));
  assert.equal(await types.text(), await readFile(join(web, 'client.d.ts'), 'utf8'), 'the node gives them out');

  const all = (list) => `{ ${list.filter((name) => name !== 'constructor').map((name) => `${name}: true`).join(', ')} }`;
  const source = `
    import * as module from "http://localhost:8080/client.js";
    type Own<T> = Record<Exclude<keyof T, keyof EventTarget>, true>;
    export const exports: Record<keyof typeof module, true> = ${all(names.exports)};
    export const client: Own<module.Client> = ${all(names.client)};
    export const peer: Own<module.Peer> = ${all(names.peer.filter((name) => !betweenParts.includes(name)))};
    export const clientEvents: Record<keyof module.ClientEventMap, true> = ${all(await toldIn('client/client.js'))};
    export const peerEvents: Record<keyof module.PeerEventMap, true> = ${all(await toldIn('client/peer.js'))};
  `;
  const { compilerOptions } = JSON.parse(await readFile(here('app/tsconfig.json'), 'utf8'));
  const paths = { 'http://localhost:8080/client.js': [join(web, 'client.d.ts')] };
  const project = { compilerOptions: { ...compilerOptions, paths }, files: ['names.ts'] };
  await writeFile(join(house.dir, 'names.ts'), source);
  await writeFile(join(house.dir, 'tsconfig.json'), JSON.stringify(project));
  assert.equal(await complaints(house.dir), '', source);
});

/** The types of the events that a part of the module dispatches. */
async function toldIn(part) {
  const told = (await readFile(join(web, part), 'utf8')).matchAll(/#tell\("([a-z]+)"/g);
  return [...new Set([...told].map(([, type]) => type))];
}
