"""A server in an asyncio program: its handler awaits, and so does whoever waits for the mail.

    python examples/asyncio_inbox.py

Each message that comes in goes to a queue, from which another task of the program takes it. While
the queue is full nothing more is read from the peers: they wait, and no memory grows.
"""

import asyncio

from smtp821 import EndOfData, Envelope, Handler, MailData, Rcpt
from smtp821.asyncio import Client, serve

Inbox = asyncio.Queue[tuple[Envelope, bytes]]


class ToQueue(Handler):
    """Takes mail for anybody, and hands it on."""

    def __init__(self, peer: str, inbox: Inbox) -> None:
        super().__init__(peer)
        self.inbox = inbox
        self.message = bytearray()

    def rcpt(self, command: Rcpt) -> None:
        """Everybody is known here."""

    def mail_data(self, event: MailData) -> None:
        """Keep a piece of the message."""
        self.message += event.data

    async def end_of_data(self, event: EndOfData) -> None:
        """Wait for a place in the queue; 250 is said when there was one."""
        await self.inbox.put((event.envelope, bytes(self.message)))
        self.message.clear()


async def main() -> None:
    """Serve, send three messages at once, and take them from the queue."""
    inbox: Inbox = asyncio.Queue(maxsize=1)

    async def send(number: int) -> None:
        async with Client(*server.address, helo="here.example") as client:
            text = b"Subject: number %d\r\n" % number
            await client.send("<me@here.example>", ["<user@local.example>"], text)

    async with (
        serve(lambda peer: ToQueue(peer, inbox), port=0, domain="local.example") as server,
        asyncio.TaskGroup() as tasks,
    ):
        for number in range(3):
            tasks.create_task(send(number))
        messages = [await inbox.get() for _ in range(3)]
    for envelope, message in sorted(messages, key=lambda each: each[1]):
        print(envelope.reverse_path, message.decode("ascii").strip())


if __name__ == "__main__":
    asyncio.run(main())
