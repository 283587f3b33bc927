// The same from a shell: with curl, jq and websocat.

const JAR = "cookies.txt";

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function request({ method, path, body, gives, cookies }, known) {
  const address = new URL(path(known), location.href);
  const words = quoted(JSON.stringify(body(known)));
  const jar = cookies ? ` -c ${JAR}` : "";
  const line = `curl -s${jar} -X ${method} -H 'content-type: application/json' -d ${words} ${quoted(address.href)}`;
  return gives.includes("token") ? `TOKEN=$(${line} | jq -r .token)` : line;
}

/** The lines that connect as one who has filled in this, for the first time; a token is a variable of the shell's. */
export function shell({ requests = [], keeps = [], socket, subprotocol }, { ...known }) {
  for (const name of keeps) delete known[name];
  const given = requests.flatMap(({ gives }) => gives).includes("token");
  const address = new URL(
    socket({ ...known, ...(given && { token: "$TOKEN" }) }),
    location.href.replace(/^http/, "ws"),
  );
  const cookies = requests.some((request) => request.cookies)
    ? ` -H "Cookie: $(awk -F'\\t' 'NF == 7 {printf "%s=%s; ", $6, $7}' ${JAR})"`
    : "";
  const wants = subprotocol ? ` --protocol ${subprotocol}` : "";
  const place = given ? `"${address.href}"` : quoted(address.href);
  return [...requests.map((one) => request(one, known)), `websocat${wants}${cookies} ${place}`].join("\n");
}
