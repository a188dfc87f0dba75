// Says who answers; `ms` comes from the package registry.
const http = require("http");
const ms = require("ms");

const answer = () => `node ${process.versions.node}, a day has ${ms("1 day")} ms\n`;
http.createServer((_, response) => response.end(answer())).listen(process.env.PORT);
