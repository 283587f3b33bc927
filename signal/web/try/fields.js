// The words that are filled in before one connects.

/** A field with the first `value(owner)` in it. */
export function field({ name, label, value }, owner, changed) {
  const field = document.querySelector("#field").content.firstElementChild.cloneNode(true);
  const input = field.querySelector("input");
  Object.assign(input, { id: `${owner}-${name}`, name, value: value(owner) });
  Object.assign(field.querySelector("label"), { htmlFor: input.id, textContent: label });
  input.addEventListener("input", changed);
  return field;
}

/** What is filled in, by name. */
export function words(fields) {
  return Object.fromEntries([...fields.querySelectorAll("input")].map(({ name, value }) => [name, value]));
}
