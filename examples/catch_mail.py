"""A server inside a program: catch the mail that some code under test sends.

    python examples/catch_mail.py

It starts a server on a port that the system chooses, sends through it with the standard library,
and shows what was caught.
"""

import smtplib

from smtp821 import EndOfData, Envelope, Handler, MailData, Rcpt
from smtp821.sockets import serve

caught: list[tuple[Envelope, bytes]] = []


class Catcher(Handler):
    """Takes mail for anybody, and keeps it in memory."""

    def rcpt(self, command: Rcpt) -> None:
        """Everybody is known here."""

    def mail_data(self, event: MailData) -> None:
        """Keep a piece of the message."""
        self._pieces.append(event.data)

    def data(self, command: object) -> None:
        """Begin a message."""
        self._pieces: list[bytes] = []

    def end_of_data(self, event: EndOfData) -> None:
        """The message is complete."""
        caught.append((event.envelope, b"".join(self._pieces)))


def main() -> None:
    """Send one message to two recipients, and show it."""
    with serve(Catcher, port=0, domain="local.example") as server:
        host, port = server.address
        with smtplib.SMTP(host, port) as client:
            client.sendmail(
                "me@here.example",
                ["user@local.example", "other@local.example"],
                "Subject: hello\r\n\r\n.A line that begins with a dot.\r\n",
            )
    for envelope, message in caught:
        print("from", envelope.reverse_path, "to", *envelope.forward_paths)
        print(message.decode("ascii"), end="")


if __name__ == "__main__":
    main()
