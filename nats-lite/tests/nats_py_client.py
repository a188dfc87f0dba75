"""What a Python client expects of the server.

Arguments: the address, and with TLS the authority, the client's certificate and its key.
"""

import asyncio
import ssl
import sys

import nats
from nats.errors import NoRespondersError


def login(url: str, files: list[str]) -> dict:
    options = {"servers": url, "user": "guest", "password": "hunter2"}
    if files:
        authority, certificate, key = files
        context = ssl.create_default_context(cafile=authority)
        context.load_cert_chain(certificate, key)
        options["tls"] = context
    return options


async def is_refused(options: dict) -> bool:
    try:
        await nats.connect(**options, allow_reconnect=False, connect_timeout=10)
        return False
    except Exception as error:
        return "authorization" in str(error).lower()


async def main(url: str, files: list[str]) -> None:
    options = login(url, files)
    assert await is_refused({**options, "password": "wrong"}), "a wrong password opened"

    told, back, refused = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def lame_duck():
        told.set()

    async def reconnected():
        back.set()

    async def complained(error):
        if "permissions violation" in str(error).lower():
            refused.set()

    client = await nats.connect(
        **options,
        reconnect_time_wait=0.05,
        max_reconnect_attempts=-1,
        lame_duck_mode_cb=lame_duck,
        reconnected_cb=reconnected,
        error_cb=complained,
    )

    inbox = await client.subscribe("greet.*")
    await client.publish("greet.joe", b"hello", headers={"From": "py"})
    message = await inbox.next_msg(timeout=10)
    assert (message.subject, message.data) == ("greet.joe", b"hello"), message
    assert message.headers == {"From": "py"}, message.headers

    counts = [0, 0]

    async def serve(member: int):
        async def answer(request):
            counts[member] += 1
            await request.respond(b"re: " + request.data)

        await client.subscribe("service", queue="crew", cb=answer)

    await serve(0)
    await serve(1)
    for number in range(100):
        reply = await client.request("service", str(number).encode(), timeout=10)
        assert reply.data == b"re: " + str(number).encode(), reply.data
    assert sum(counts) == 100 and all(counts), counts

    try:
        await client.request("nobody", b"", timeout=10)
        raise AssertionError("an unheard request was answered")
    except NoRespondersError:
        pass

    limited = await client.subscribe("limited")
    await limited.unsubscribe(limit=2)
    for number in range(4):
        await client.publish("limited", str(number).encode())
    await client.flush()
    got = [(await limited.next_msg(timeout=10)).data for _ in range(2)]
    assert got == [b"0", b"1"], got

    big = await client.subscribe("big")
    await client.publish("big", b"x" * 1_000_000)
    assert len((await big.next_msg(timeout=10)).data) == 1_000_000

    await client.publish("forbidden", b"x")
    await asyncio.wait_for(refused.wait(), 10)

    print("waiting for the lame duck", flush=True)
    await asyncio.wait_for(told.wait(), 10)
    await asyncio.wait_for(back.wait(), 20)
    after = await client.subscribe("back")
    await client.publish("back", b"again")
    assert (await after.next_msg(timeout=10)).data == b"again"

    await client.drain()
    assert client.is_closed
    print("all conversations held", flush=True)


asyncio.run(main(sys.argv[1], sys.argv[2:]))
