"""A client in a trio program: one message to many hosts at once, and none of them waited for long.

    python examples/trio_fan_out.py

Two of the hosts take the message, one refuses it, and one never answers. Each has a second in
all, whatever phase it is in: trio's own deadline cancels the session, which closes its connection.
"""

from functools import partial

import trio

from smtp821 import Handler, SMTPError
from smtp821.trio import Client, serve

SECONDS = 1.0
MESSAGE = b"Subject: to all\r\n\r\nHello.\r\n"


class Taking(Handler):
    """Takes all mail, and keeps none."""

    def rcpt(self, command: object) -> None:
        """Everybody is known here."""

    def end_of_data(self, event: object) -> None:
        """It is taken."""


class Silent(Taking):
    """Never says anything."""

    async def connected(self, event: object) -> None:
        """Wait for ever."""
        await trio.sleep_forever()


async def send(name: str, port: int, results: dict[str, str]) -> None:
    """Send to one host."""
    results[name] = "no answer in time"
    with trio.move_on_after(SECONDS):
        try:
            async with Client(port=port, helo="here.example") as client:
                delivery = await client.send("<me@here.example>", ["<all@there.example>"], MESSAGE)
                results[name] = str(delivery.recipients[0].reply)
        except (SMTPError, OSError) as error:
            results[name] = str(error)


async def main() -> None:
    """Serve as four hosts, and send to all of them."""
    results: dict[str, str] = {}
    here = partial(serve, port=0, domain="there.example")
    async with (
        here(Taking) as one,
        here(Taking) as two,
        here(Handler) as strict,
        here(Silent) as silent,
    ):
        hosts = {"one": one, "two": two, "strict": strict, "silent": silent}
        async with trio.open_nursery() as nursery:
            for name, host in hosts.items():
                nursery.start_soon(send, name, host.address[1], results)
        await silent.stop(grace=0)
    for name in hosts:
        print(f"{name}: {results[name]}")


if __name__ == "__main__":
    trio.run(main)
