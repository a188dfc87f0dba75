"""Does harm in one way until it is ended, and says how much.

    hostile.py MODE SEED

    MODE        short, long, binary or endless (floods its log), fork, disk, inodes, memory or dns
    GET /       {"instance": id, "done": n, "refused": n} as JSON
"""

import json
import mmap
import os
import random
import signal
import socket
import struct
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer

DONE, REFUSED = 0, 8
# Shared with the process that does the harm, so that what answers is not slowed down by it.
counts = mmap.mmap(-1, 16)


def count(which, more=1):
    before = struct.unpack_from("Q", counts, which)[0]
    struct.pack_into("Q", counts, which, before + more)


def flood(dice, piece, lines):
    """Writes for one to five seconds, then rests for less than half of one; `lines` are in one piece."""
    while True:
        end = time.monotonic() + dice.uniform(1, 5)
        while time.monotonic() < end:
            rest = memoryview(piece)
            while rest:
                rest = rest[os.write(1, rest):]
            count(DONE, lines)
        time.sleep(dice.uniform(0, 0.5))


def short(dice):
    flood(dice, b"flood\n" * 512, 512)


def long(dice):
    flood(dice, b"x" * 60000 + b"\n", 1)


def binary(dice):
    flood(dice, dice.randbytes(50000), 1)


def endless(dice):
    flood(dice, b"y" * 65536, 1)


def fork(dice):
    """Children fork as well, and live for two seconds."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        try:
            if os.fork() == 0:
                signal.alarm(2)
            count(DONE)
        except OSError:
            count(REFUSED)
            time.sleep(dice.uniform(0, 0.05))


def disk(dice):
    block = dice.randbytes(1 << 20)
    number = 0
    while True:
        try:
            with open(f"block-{number % 1000}", "wb") as file:
                file.write(block)
            count(DONE)
            number += 1
        except OSError:
            count(REFUSED)
            for full in range(number):
                try_unlink(f"block-{full % 1000}")
            number = 0
            time.sleep(dice.uniform(0, 0.5))


def inodes(dice):
    number = 0
    while True:
        try:
            os.close(os.open(f"inode-{number}", os.O_CREAT | os.O_WRONLY))
            count(DONE)
            number += 1
        except OSError:
            count(REFUSED)
            for full in range(number):
                try_unlink(f"inode-{full}")
            number = 0
            time.sleep(dice.uniform(0, 0.5))


def try_unlink(name):
    try:
        os.unlink(name)
    except OSError:
        pass


def memory(dice):
    """In the process that answers: the instance ends with it, and starts again."""
    time.sleep(dice.uniform(0.2, 1))
    held = []
    while True:
        held.append(dice.randbytes(1 << 20))
        count(DONE)


def dns(dice):
    """Half a query each, held until the resolver closes."""
    with open("/etc/resolv.conf") as file:
        server = next(line.split()[1] for line in file if line.startswith("nameserver"))
    held = []
    while True:
        try:
            stream = socket.create_connection((server, 53), timeout=2)
            stream.send(b"\x01")
            held.append(stream)
            count(DONE)
        except OSError:
            count(REFUSED)
            time.sleep(0.1)
        if len(held) > 400:
            held.pop(0).close()
        time.sleep(dice.uniform(0, 0.02))


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        instance = json.loads(os.environ["VCAP_APPLICATION"])["instance_id"]
        done, refused = struct.unpack("QQ", counts[:])
        body = json.dumps({"instance": instance, "done": done, "refused": refused}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        """Reads what comes, as slowly as it comes."""
        rest = int(self.headers.get("Content-Length", 0))
        self.connection.settimeout(1)
        try:
            while rest > 0 and (piece := self.rfile.read1(min(rest, 65536))):
                rest -= len(piece)
        except OSError:
            pass
        self.do_GET()

    def log_message(self, *_):
        """The log is for the flood."""


harm = globals()[sys.argv[1]]
# Beside a fork bomb there are no threads to be had.
kind = HTTPServer if harm is fork else ThreadingHTTPServer
server = kind(("0.0.0.0", int(os.environ["VCAP_APP_PORT"])), Answer)
if harm is memory:
    threading.Thread(target=harm, args=(random.Random(int(sys.argv[2])),), daemon=True).start()
elif os.fork() == 0:
    server.socket.close()
    harm(random.Random(int(sys.argv[2])))
server.serve_forever()
