// How two people come to sit on different nodes.
import assert from 'node:assert/strict';

/**
 * Two people in a room behind the balancer whose sockets are on different nodes, one of them with his page from the one
 * node and his socket on the other. They try new rooms until it comes out so.
 */
export async function onDifferentNodes(house, balancer, query = '') {
  const browser = await house.browser();
  const tried = [];
  for (let attempt = 0; attempt < 12; attempt++) {
    const people = [];
    for (const [i, name] of ['Alice', 'Bob'].entries()) {
      const person = await house.caller(name, { browser });
      people.push(person);
      await person.opens(new URL(`/room/far-apart-${attempt}${query}`, balancer.url));
      // Taking turns is regular enough to bring the same constellation again and again: step out of line now and then.
      if ((attempt >> i) & 1) await fetch(balancer.url);
      await person.joins();
    }
    const [alice, bob] = people.map((person) => person.socketServedBy());
    const parted = people.some((person) => person.servedBy() !== person.socketServedBy());
    tried.push(people.map((person) => `${person}: page ${person.servedBy()}, socket ${person.socketServedBy()}`).join('; '));
    if (alice !== bob && parted) return people;
    for (const person of people) await person.leaves();
  }
  assert.fail(`never on different nodes:\n${tried.join('\n')}`);
}
