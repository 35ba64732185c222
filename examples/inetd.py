"""An adapter of one's own: SMTP over standard input and output, as inetd starts a server.

    printf 'HELO me\r\nQUIT\r\n' | python examples/inetd.py

It keeps no mail: every recipient is unknown. What it shows is the whole of an adapter.
"""

import os
import sys

from smtp821 import RFC821, Closed, Handler
from smtp821.service import Service


def main() -> None:
    """Hold one session over file descriptors 0 and 1."""
    conversation = Service(Handler, "local.example", RFC821).converse("standard input")
    while True:
        pause = conversation.advance()
        sys.stdout.buffer.write(conversation.data_to_send())
        sys.stdout.buffer.flush()
        if isinstance(pause, Closed):
            return
        conversation.receive_data(os.read(0, 65536))


if __name__ == "__main__":
    main()
