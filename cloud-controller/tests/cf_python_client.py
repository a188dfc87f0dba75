"""What a script does with the package cloudfoundry-client, against a controller. Arguments: address, user, password, zip."""

import sys

from cloudfoundry_client.client import CloudFoundryClient
from cloudfoundry_client.errors import InvalidStatusCode

ADDRESS, USER, PASSWORD, ZIP = sys.argv[1:5]


def equal(got, expected, what):
    if got != expected:
        raise AssertionError("%s: got %r, expected %r" % (what, got, expected))


def refused(status, code, work):
    try:
        work()
    except InvalidStatusCode as error:
        equal((int(error.status_code), error.body["code"]), (status, code), "refusal")
    else:
        raise AssertionError("not refused: %d" % code)


def log_in():
    client = CloudFoundryClient(ADDRESS)
    client.init_with_user_credentials(USER, PASSWORD)
    return client


def places(client):
    org = client.v2.organizations.get_first(name="acme")
    equal([one["entity"]["name"] for one in org.spaces()], ["dev"], "spaces of the organization")
    space = client.v2.spaces.get_first(name="dev", organization_guid=org["metadata"]["guid"])
    equal(space.organization()["metadata"]["guid"], org["metadata"]["guid"], "organization of the space")
    equal(len(list(client.v2.stacks)), 1, "stacks")
    equal([one["entity"]["name"] for one in client.v2.buildpacks], ["test"], "buildpacks")
    return space["metadata"]["guid"]


def pages(client, space):
    made = [client.v2.apps.create(name="page-%d" % n, space_guid=space, memory=64) for n in range(7)]
    listed = client.v2.apps.list(space_guid=space, **{"results-per-page": 3})
    equal(listed.total_results, 7, "total")
    equal([one["entity"]["name"] for one in listed], ["page-%d" % n for n in range(7)], "three pages")
    some = client.v2.apps.list(name=["page-1", "page-5", "nothing"])
    equal([one["entity"]["name"] for one in some], ["page-1", "page-5"], "IN")
    newest = client.v2.apps.get_first(**{"order-direction": "desc"})
    equal(newest["entity"]["name"], "page-6", "descending")
    for app in made:
        client.v2.apps.remove(app["metadata"]["guid"])
    equal(len(list(client.v2.apps)), 0, "removed")


def services(client, app, space):
    made = client.post(
        "%s/v2/user_provided_service_instances" % ADDRESS,
        json=dict(name="db", space_guid=space, credentials=dict(uri="pg://x")),
    ).json()
    binding = client.v2.service_bindings.create(app, made["metadata"]["guid"])
    env = client.v2.apps.get_env(app)
    equal(env["system_env_json"]["VCAP_SERVICES"]["user-provided"][0]["name"], "db", "bound")
    equal(len(list(client.v2.apps.list_service_bindings(app))), 1, "bindings of the app")
    client.v2.service_bindings.remove(binding["metadata"]["guid"])
    for manager in (client.v2.services, client.v2.service_plans, client.v2.service_brokers, client.v2.service_plan_visibilities):
        equal(list(manager.list()), [], "nothing managed")


def routes(client, app, space):
    domain = client.v2.shared_domains.get_first()
    route = client.v2.routes.create_host_route(domain["metadata"]["guid"], space, "web")
    guid = route["metadata"]["guid"]
    refused(400, 210003, lambda: client.v2.routes.create_host_route(domain["metadata"]["guid"], space, "web"))
    client.v2.apps.associate_route(app, guid)
    equal([one["entity"]["host"] for one in client.v2.apps.list_routes(app)], ["web"], "routes of the app")
    client.v2.apps.remove_route(app, guid)
    equal(list(client.v2.apps.list_routes(app)), [], "unmapped")


def life(client, space):
    app = client.v2.apps.create(
        name="web", space_guid=space, memory=64, instances=1, environment_json=dict(A="b"), health_check_type="port"
    )
    guid = app["metadata"]["guid"]
    refused(400, 100002, lambda: client.v2.apps.create(name="web", space_guid=space))
    refused(400, 150001, lambda: client.v2.apps.start(guid))
    equal(client.v2.resources.match([dict(sha1="0" * 40, size=10, fn="a", mode="0644")]), [], "nothing known")
    job = client.v2.apps.upload(guid, [], ZIP, asynchronous=True)
    equal(client.v2.jobs.get(job["metadata"]["guid"])["entity"]["status"], "finished", "upload")
    # Waits until the instance is RUNNING.
    client.v2.apps.start(guid, check_time=0.1, timeout=60)
    equal(client.v2.apps.get(guid)["entity"]["package_state"], "STAGED", "staged")
    equal(sorted(client.v2.apps.get_instances(guid)), ["0"], "instances")
    equal(client.v2.apps.get_summary(guid)["running_instances"], 1, "running")
    equal("0" in client.v2.apps.get_stats(guid), True, "stats")
    routes(client, guid, space)
    services(client, guid, space)
    updated = client.v2.apps.update(guid, memory=65)
    equal(updated["entity"]["memory"], 65, "updated")
    kinds = {event["entity"]["type"] for event in client.v2.event.list(actee=guid)}
    equal({"audit.app.create", "audit.app.update", "audit.app.map-route"} <= kinds, True, "events %r" % kinds)
    client.v2.apps.stop(guid, check_time=0.1)
    refused(400, 200003, lambda: client.v2.apps.get_stats(guid))
    client.v2.apps.remove(guid)
    refused(404, 100004, lambda: client.v2.apps.get(guid))


def main():
    client = log_in()
    again = CloudFoundryClient(ADDRESS)
    again.init_with_token(client.refresh_token)
    equal(len(list(again.v2.organizations)), 1, "after a refresh")
    space = places(client)
    pages(client, space)
    life(client, space)
    refused(404, 30003, lambda: client.v2.organizations.get("nothing"))
    try:
        CloudFoundryClient(ADDRESS).init_with_user_credentials(USER, "wrong")
    except Exception as error:  # The package lets its token library's own error through.
        equal("401" in str(getattr(error, "status_code", error)) or "UNAUTHORIZED" in str(error).upper(), True, repr(error))
    else:
        raise AssertionError("a wrong password logs in")
    print("ALL SAID AND DONE")


main()
