// What several protocols begin with: words for two peers, and what has to be so before a message makes sense.

/** Tells what this page makes up from what others do. */
export const any = Math.random().toString(36).slice(2, 6);

const person = (side) => ({ a: "Ada", b: "Bob" })[side];

/** A name that nobody else is likely to have. */
export const unique = (side) => `${person(side).toLowerCase()}-${any}`;

export const username = { name: "username", label: "Name", value: person };

export const theOther = (known, other) => (other.id ? "" : "the other peer has an id");

export const heard = (type) => (known) => (known[type] ? "" : `you have heard ${type}`);
