// JSON on lines of its own, and not otherwise changed: numbers stay as they were written, and members where they were.

const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g;

export function isJson(text) {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** `text` with a line for each member; as it is, if it is no JSON. */
export function indented(text) {
  if (!isJson(text)) return text;
  const tokens = text.match(TOKEN);
  const line = (depth) => `\n${"  ".repeat(depth)}`;
  let depth = 0;
  return tokens
    .map((token, i) => {
      const isEmpty = "]}".includes(tokens[i + 1]) && "[{".includes(token);
      if ("[{".includes(token)) return isEmpty ? token : token + line(++depth);
      if ("]}".includes(token)) return "[{".includes(tokens[i - 1]) ? token : line(--depth) + token;
      if (token === ",") return token + line(depth);
      return token === ":" ? ": " : token;
    })
    .join("");
}
