// Hexadecimal lines in: a stream of requests each. JSON lines out: what node's HTTP server makes of it.
import http from "node:http";
import { Duplex } from "node:stream";
import { createInterface } from "node:readline";

function read(bytes) {
  return new Promise((resolve) => {
    const seen = { requests: [], refused: false };
    let open = 0;
    let ended = false;
    const done = () => { if (ended && open === 0) setImmediate(() => resolve(seen)); };
    const server = http.createServer({ keepAliveTimeout: 0 });
    const take = (request, response) => {
      const at = seen.requests.length;
      seen.requests.push([request.method, request.url, ""]);
      open += 1;
      const parts = [];
      request.on("data", (part) => parts.push(part));
      request.on("end", () => {
        seen.requests[at][2] = Buffer.concat(parts).toString();
        response.end("ok");
        open -= 1;
        done();
      });
      request.on("error", () => { open -= 1; done(); });
    };
    server.on("request", take);
    server.on("checkContinue", take);
    server.on("clientError", () => { seen.refused = true; ended = true; open = 0; done(); });
    server.on("upgrade", (request) => {
      seen.requests.push([request.method, request.url, ""]);
      ended = true;
      done();
    });
    const socket = new Duplex({
      read() {},
      write(_chunk, _encoding, callback) { callback(); },
    });
    server.emit("connection", socket);
    socket.push(bytes);
    setImmediate(() => setImmediate(() => { socket.push(null); ended = true; setTimeout(done, 5); }));
  });
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await read(Buffer.from(line, "hex"))));
}
process.exit(0);
