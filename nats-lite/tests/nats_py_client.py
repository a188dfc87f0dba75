"""What a Python client expects of the server; the address is the only argument."""

import asyncio
import sys

import nats
from nats.errors import NoRespondersError


async def main(url: str) -> None:
    client = await nats.connect(url, max_reconnect_attempts=0)

    inbox = await client.subscribe("greet.*")
    await client.publish("greet.joe", b"hello", headers={"From": "py"})
    message = await inbox.next_msg(timeout=10)
    assert (message.subject, message.data) == ("greet.joe", b"hello"), message
    assert message.headers == {"From": "py"}, message.headers

    async def answer(request):
        await request.respond(b"re: " + request.data)

    await client.subscribe("service", queue="workers", cb=answer)
    reply = await client.request("service", b"question", timeout=10)
    assert reply.data == b"re: question", reply.data

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

    await client.close()
    print("all conversations held")


asyncio.run(main(sys.argv[1]))
