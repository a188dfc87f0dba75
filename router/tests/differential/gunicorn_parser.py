"""Hexadecimal lines in: a stream of requests each. JSON lines out: what gunicorn's parser makes of it."""

import json
import sys

from gunicorn.config import Config
from gunicorn.http.errors import NoMoreData
from gunicorn.http.parser import RequestParser


def read(data):
    seen = {"requests": [], "refused": False}
    config = Config()
    # Ours are wider: what is compared is meaning, not limits.
    config.set("limit_request_line", 0)
    config.set("limit_request_fields", 1000)
    config.set("limit_request_field_size", 0)
    config.set("permit_unconventional_http_method", True)
    try:
        for request in RequestParser(config, iter([data]), ("127.0.0.1", 1)):
            body = request.body.read().decode("utf-8", "replace")
            seen["requests"].append([request.method, request.uri, body])
            if request.should_close():
                break
    except (StopIteration, NoMoreData):
        pass
    except Exception:
        seen["refused"] = True
    return seen


for line in sys.stdin:
    print(json.dumps(read(bytes.fromhex(line.strip()))))
