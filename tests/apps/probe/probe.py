"""What the stories look at from inside: environment, instance, lines of output.

    GET /           instance id of VCAP_APPLICATION
    GET /env        the environment the process was started with, as JSON
    GET /lines/N    prints N numbered lines, answers when all are printed
    GET /eat        takes memory until something ends the process
    GET /exit       ends the process with status 7
"""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def environment():
    with open("/proc/self/environ", "rb") as file:
        pairs = [entry.split(b"=", 1) for entry in file.read().split(b"\0") if b"=" in entry]
    return {name.decode(): value.decode() for name, value in pairs}


def eat():
    held = []
    while True:
        held.append(os.urandom(1 << 20))


class Probe(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/env":
            return self.answer(json.dumps(environment()))
        if self.path.startswith("/lines/"):
            count = int(self.path.rsplit("/", 1)[1])
            for number in range(count):
                print(f"line {number}")
            sys.stdout.flush()
            return self.answer("printed")
        if self.path == "/eat":
            eat()
        if self.path == "/exit":
            os._exit(7)
        self.answer(json.loads(os.environ["VCAP_APPLICATION"])["instance_id"])

    def answer(self, text):
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """The access log would mix with the numbered lines."""


ThreadingHTTPServer(("0.0.0.0", int(os.environ["VCAP_APP_PORT"])), Probe).serve_forever()
