"""Writes numbered lines, 50 a second, and knows how many.

    GET /           how many lines have been written
    GET /stop       writes no more, then the same
"""

import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

lock = threading.Lock()
over = threading.Event()
written = 0


def write():
    global written
    while not over.wait(0.02):
        with lock:
            if not over.is_set():
                sys.stdout.write(f"line {written}\n")
                sys.stdout.flush()
                written += 1


class Scribe(BaseHTTPRequestHandler):
    def do_GET(self):
        with lock:
            if self.path == "/stop":
                over.set()
            body = str(written).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """The access log would mix with the numbered lines."""


server = HTTPServer(("0.0.0.0", int(os.environ["VCAP_APP_PORT"])), Scribe)
threading.Thread(target=write, daemon=True).start()
server.serve_forever()
