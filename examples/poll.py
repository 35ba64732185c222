"""A host that asks another for its mail (RFC 821, 3.8): TURN, for where only one of them can call.

    python examples/poll.py

ISI keeps the mail for HOSTY until HOSTY calls. HOSTY sends what it has, says TURN, and becomes
the receiver: over the same connection it takes what was waiting. TURN gives mail to whoever claims
a name in HELO, so ISI agrees only for a peer whose address it knows.
"""

from smtp821 import Delivery, EndOfData, Handler, Helo, MailData, Rcpt, Reply, Status, Turn
from smtp821.sockets import Client, serve

WAITING = {"HOSTY.ARPA": [("<Jones@ISI.ARPA>", "<Smith@HOSTY.ARPA>", b"Subject: hello\r\n")]}
KNOWN = {"127.0.0.1": "HOSTY.ARPA"}  # who may ask for mail, and from where


class Mailbox(Handler):
    """Takes mail for anybody, and shows it."""

    def rcpt(self, command: Rcpt) -> None:
        """Everybody is known here."""
        self.message = bytearray()

    def mail_data(self, event: MailData) -> None:
        """Keep a piece of the message."""
        self.message += event.data

    def end_of_data(self, event: EndOfData) -> None:
        """The message is complete."""
        paths = " ".join(map(str, event.envelope.forward_paths))
        print(f"{self.peer}: for {paths}: {bytes(self.message).decode('ascii').strip()}")


class Isi(Mailbox):
    """The host that is called: mail goes both ways."""

    def __init__(self, peer: str) -> None:
        super().__init__("ISI has received")
        self.known_as = KNOWN.get(peer.rpartition(":")[0])
        self.name = ""

    def helo(self, command: Helo) -> None:
        """Remember who says to be calling."""
        self.name = command.domain.text

    def turn(self, command: Turn) -> Reply | None:
        """Agree, if it is who it says to be."""
        return None if self.name == self.known_as else Reply(502)

    def turned(self, client: Client) -> None:
        """Send all that waits; what was accepted waits no longer."""
        queue = WAITING[self.name]
        for message in [*queue]:
            delivery: Delivery = client.send(message[0], [message[1]], message[2])
            if delivery.status is Status.ACCEPTED:
                queue.remove(message)


def main() -> None:
    """Let HOSTY call ISI."""
    with serve(Isi, port=0, domain="ISI.ARPA") as server:
        with Client(*server.address, helo="HOSTX.ARPA") as stranger:
            print("HOSTX says TURN:", stranger.turn(Mailbox("HOSTX has received"), "HOSTX.ARPA"))
        with Client(*server.address, helo="HOSTY.ARPA") as client:
            client.send("<Smith@HOSTY.ARPA>", ["<Jones@ISI.ARPA>"], b"Subject: hi\r\n")
            print("HOSTY says TURN:", client.turn(Mailbox("HOSTY has received"), "HOSTY.ARPA"))
    print("still waiting:", WAITING["HOSTY.ARPA"])


if __name__ == "__main__":
    main()
