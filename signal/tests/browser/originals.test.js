import assert from 'node:assert/strict';
import { apart, Client, stages } from './client.js';
import { connects } from './clients/direct.js';
import { enters } from './clients/mesh.js';
import { hosts, joins } from './clients/share.js';
import { scene } from './scene.js';

scene('share: a user shows a screen to the host, whoever drops out', async (house) => {
  const browser = await house.browser();
  for (const stage of await stages(house)) {
    let roomid;
    const comes = (user) => user.does(joins, { url: user.socket('/ws'), username: 'Uta', roomid });
    const [host, user] = await apart(stage, 'share', async () => {
      const host = await Client.opens(browser, 'the host', stage);
      const user = await Client.opens(browser, 'the user', stage);
      roomid = await host.does(hosts, { url: host.socket('/ws'), username: 'Hugo' });
      await comes(user);
      return [host, user];
    });
    const shares = async (times) => {
      await user.does(() => window.share());
      await host.hears('RCP_OFFER', times);
      await host.receives('video');
    };
    await shares(1);

    await user.does(() => window.stop());
    assert.deepEqual(await host.hears('STOP_SHARING'), [{ type: 'STOP_SHARING', username: 'Uta' }]);
    await shares(2);

    await user.drops();
    await host.hears('USER_LEFT');
    await host.receives('video');
    await comes(user);
    await shares(3);

    await host.drops();
    const [error] = await user.hears('ERROR');
    assert.deepEqual(error, { type: 'ERROR', message: 'The host has left' });
    await host.receives('video');
    assert.deepEqual(await user.heard('STOP_SHARING'), [], 'nobody has told the user to stop');
    assert.equal((await host.heard('STOP_SHARING')).length, 1);
    await Promise.all([host.closes(), user.closes()]);
  }
});

scene('direct: users who have registered call each other by name, and one drops out', async (house) => {
  const browser = await house.browser();
  for (const stage of await stages(house)) {
    const [alice, bob] = await apart(stage, 'direct', async (attempt) => {
      const people = [];
      for (const name of ['alice', 'bob']) {
        // The app's page came from the host of its server.
        const person = await Client.opens(browser, `${name}${attempt}`, stage, '/healthcheck');
        await person.does(connects, person.name);
        people.push(person);
      }
      return people;
    });
    const both = (act) => Promise.all([alice, bob].map(act));
    const talk = () => both(async (person) => Promise.all([person.receives('video'), person.receives('audio')]));
    const bothAreContent = () =>
      both(async (person) => {
        for (const type of ['TARGET_NOT_FOUND', 'INVALID_MESSAGE']) assert.deepEqual(await person.heard(type), []);
      });
    await alice.does((name) => window.ring(name), bob.name);
    await bob.hears('offer');
    await talk();
    await bothAreContent();

    await alice.drops();
    await talk();
    await alice.does(connects, alice.name);
    await bob.does((name) => window.ring(name), alice.name);
    const [{ originator, target }] = await alice.hears('offer');
    assert.deepEqual({ originator, target }, { originator: bob.name, target: alice.name });
    await talk();
    await both((person) => person.closes());
  }
});

scene('mesh: who joins the lobby is called by whoever is in it, and one drops out', async (house) => {
  const browser = await house.browser();
  for (const stage of await stages(house)) {
    let id;
    const comes = (person) => person.does(enters, { url: person.socket('/mesh'), name: person.name });
    const [alice, bob] = await apart(stage, 'mesh', async () => {
      const alice = await Client.opens(browser, 'alice', stage);
      const bob = await Client.opens(browser, 'bob', stage);
      id = await comes(alice);
      assert.notEqual(await comes(bob), id);
      return [alice, bob];
    });
    const talk = () =>
      Promise.all([alice, bob].map((person) => Promise.all([person.receives('video'), person.receives('audio')])));
    const [{ payload }] = await bob.hears('OFFER');
    assert.deepEqual(payload.user, { id, name: 'alice' });
    await talk();

    await bob.drops();
    await talk();
    await comes(bob);
    await bob.hears('OFFER', 2);
    await talk();
    for (const person of [alice, bob]) {
      assert.deepEqual(await person.heard('ERROR'), []);
      await person.closes();
    }
  }
});
