// The usual event stream in Node: one subscriber of the bus for all responses.
// Arguments: the bus, a subject, a file with an nkey's seed. Prints its port.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { connect, nkeyAuthenticator } from "nats";

const [servers, subject, key] = process.argv.slice(2);
const authenticator = key ? nkeyAuthenticator(new TextEncoder().encode(readFileSync(key, "utf8").trim())) : undefined;
const bus = await connect({ servers, authenticator });
const viewers = new Set();
let sequence = 0;

const server = createServer((request, response) => {
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  response.flushHeaders();
  viewers.add(response);
  request.on("close", () => viewers.delete(response));
});

const subscription = bus.subscribe(subject);
await bus.flush();
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
for await (const message of subscription) {
  const id = message.headers?.get("Nats-Sequence") || ++sequence;
  const frame = Buffer.from(`id: ${id}\nevent: log\ndata: ${message.string()}\n\n`);
  for (const response of viewers) response.write(frame);
}
