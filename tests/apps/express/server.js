// A page by express, and a websocket that sends back what it is sent.
const express = require("express");
const { WebSocketServer } = require("ws");

const app = express();
app.get("/", (_, response) => response.send("express\n"));
const server = app.listen(process.env.PORT);
new WebSocketServer({ server, path: "/echo" }).on("connection", (socket) => {
  socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
});
