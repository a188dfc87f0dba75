// What a JavaScript client expects of the server.
// Arguments: the address, and with TLS the authority, the client's certificate and its key.
// Node looks for the package where the test installed it: see foreign_clients.rs.
import { createRequire } from "node:module";
import { strict as assert } from "node:assert";
const require = createRequire(process.env.NATS_JS_DIR + "/");
const { connect, StringCodec, headers, ErrorCode, Events } = require("nats");

const text = StringCodec();
const [url, caFile, certFile, keyFile] = process.argv.slice(2);
const login = { servers: url, user: "guest", pass: "hunter2" };
if (caFile) login.tls = { caFile, certFile, keyFile };

await assert.rejects(connect({ ...login, pass: "wrong", reconnect: false }), (error) => error.code === ErrorCode.AuthorizationViolation);

const client = await connect({ ...login, name: "suite", reconnectTimeWait: 50, maxReconnectAttempts: -1 });
const waiting = new Map();
const happened = (name) => new Promise((resolve) => waiting.set(name, resolve));
(async () => {
  for await (const event of client.status()) waiting.get(event.type)?.(event);
})();

const seen = [];
const inbox = client.subscribe("greet.*", { max: 2 });
const reading = (async () => {
  for await (const message of inbox) seen.push([message.subject, text.decode(message.data), message.headers?.get("From")]);
})();
const from = headers();
from.set("From", "js");
client.publish("greet.joe", text.encode("hello"), { headers: from });
client.publish("greet.ann");
client.publish("greet.too-late");
await reading;
assert.deepEqual(seen, [["greet.joe", "hello", "js"], ["greet.ann", "", undefined]]);

const counts = [0, 0];
for (const member of [0, 1]) {
  client.subscribe("service", { queue: "crew", callback: (_, request) => { counts[member] += 1; request.respond(text.encode("re: " + text.decode(request.data))); } });
}
for (let number = 0; number < 100; number++) {
  const answer = await client.request("service", text.encode(String(number)), { timeout: 10000 });
  assert.equal(text.decode(answer.data), "re: " + number);
}
assert.equal(counts[0] + counts[1], 100);
assert.ok(counts[0] > 0 && counts[1] > 0, String(counts));

await assert.rejects(client.request("nobody", undefined, { timeout: 10000 }), (error) => error.code === ErrorCode.NoResponders);

const refused = happened(Events.Error);
client.publish("forbidden", text.encode("x"));
const event = await refused;
assert.ok(String(event.permissionContext?.subject ?? event.data).toLowerCase().includes("forbidden") || event.data === ErrorCode.PermissionsViolation, JSON.stringify(event));

const told = happened(Events.LDM);
const back = happened(Events.Reconnect);
console.log("waiting for the lame duck");
await told;
await back;
const again = client.subscribe("back", { max: 1 });
client.publish("back", text.encode("again"));
for await (const message of again) assert.equal(text.decode(message.data), "again");

await client.drain();
assert.ok(client.isClosed());
console.log("all conversations held");
