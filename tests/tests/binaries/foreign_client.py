"""A morning with the package cloudfoundry-client on a whole platform. Arguments: address, user, zip, router; CF_PASSWORD."""

import os
import sys
import threading
import time
import urllib.request

from cloudfoundry_client.client import CloudFoundryClient

ADDRESS, USER, ZIP, ROUTER = sys.argv[1:5]


def wait_for(what, attempt):
    deadline = time.monotonic() + 60
    seen = None
    while time.monotonic() < deadline:
        try:
            seen = attempt()
            if seen:
                return seen
        except Exception as error:
            seen = error
        time.sleep(0.05)
    raise AssertionError("%s: never; last %r" % (what, seen))


def body(host, path):
    request = urllib.request.Request(ROUTER + path, headers={"Host": host})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


def lines(envelopes, wanted):
    """The first line of log which contains the text."""
    for envelope in envelopes:
        text = envelope.logMessage.message.decode()
        if wanted in text:
            return text
    return None


def main():
    client = CloudFoundryClient(ADDRESS)
    client.init_with_user_credentials(USER, os.environ["CF_PASSWORD"])
    space = client.v2.spaces.get_first(name="dev")["metadata"]["guid"]
    domain = client.v2.shared_domains.get_first()
    app = client.v2.apps.create(name="web", space_guid=space, memory=64, buildpack="binary_buildpack")["metadata"]["guid"]
    route = client.v2.routes.create_host_route(domain["metadata"]["guid"], space, "web")
    client.v2.apps.associate_route(app, route["metadata"]["guid"])
    client.v2.apps.upload(app, [], ZIP, asynchronous=False)
    client.v2.apps.start(app, check_time=0.1, timeout=120)
    host = "web.%s" % domain["entity"]["name"]
    wait_for("the app answers", lambda: body(host, "/"))

    followed = []
    stream = threading.Thread(
        target=lambda: followed.append(lines(client.doppler.stream_logs(app), "line 2")), daemon=True
    )
    stream.start()
    # Said again until the stream has begun.
    wait_for("the stream tells", lambda: body(host, "/lines/3") and any(followed))
    wait_for("recent lines tell", lambda: lines(client.doppler.recent_logs(app), "line 2"))

    client.v2.apps.update(app, instances=2)
    wait_for("two instances run", lambda: len([1 for one in client.v2.apps.get_stats(app).values() if one["state"] == "RUNNING"]) == 2)
    usage = lambda: client.v2.apps.get_stats(app)["0"]["stats"]["usage"]
    # Measured every few seconds.
    wait_for("usage is measured", lambda: usage()["mem"] > 0 and usage()["disk"] > 0)
    client.v2.apps.stop(app, check_time=0.1)
    client.v2.apps.remove(app)
    print("ALL SAID AND DONE")


main()
