"""Says who answers; `six` comes from the package index."""

import os
import platform
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import six


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"python {platform.python_version()}, six {six.__version__}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Answer).serve_forever()
