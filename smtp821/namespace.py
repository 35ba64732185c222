"""The public names, all at one level: what `from smtp821 import ...` gives."""

from .delivery import Delivery, RecipientResult, SessionLost, SessionRefused, Status
from .handler import Handler
from .protocol.commands import (
    COMMANDS,
    Command,
    Data,
    Expn,
    Helo,
    Help,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Rset,
    Saml,
    Send,
    Soml,
    TransactionCommand,
    Turn,
    Verb,
    Vrfy,
)
from .protocol.dialect import HTTP_WORDS, RFC821, RFC821_LENIENT, Dialect
from .protocol.dots import DotDecoder, DotEncoder, Policy
from .protocol.errors import (
    LocalProtocolError,
    ProtocolError,
    RemoteProtocolError,
    SMTPError,
)
from .protocol.events import (
    NEED_COMMAND,
    NEED_DATA,
    NEED_REPLY,
    Closed,
    Connected,
    EndOfData,
    Event,
    MailData,
    Pause,
    Rejected,
    Replied,
    Turned,
)
from .protocol.grammar import Grammar
from .protocol.limits import Limits
from .protocol.paths import NULL_PATH, POSTMASTER, Domain, Mailbox, Path
from .protocol.receiver import Receiver
from .protocol.replies import STANDARD_TEXTS, Category, Code, Reply, Severity
from .protocol.sender import Sender
from .protocol.sequencing import (
    ADDITIONS,
    ORDER,
    ORDINARY,
    SEQUENCING,
    TRANSITIONS,
    Outcome,
    State,
    outcome,
)
from .protocol.session import Envelope
from .timeouts import Timeouts

__all__ = [
    # the two roles
    "Receiver",
    "Sender",
    # what they are given and give
    "Command",
    "Helo",
    "Mail",
    "Rcpt",
    "Data",
    "Rset",
    "Send",
    "Soml",
    "Saml",
    "Vrfy",
    "Expn",
    "Help",
    "Noop",
    "Quit",
    "Turn",
    "TransactionCommand",
    "Event",
    "Connected",
    "MailData",
    "EndOfData",
    "Rejected",
    "Replied",
    "Turned",
    "Closed",
    "Pause",
    "NEED_DATA",
    "NEED_REPLY",
    "NEED_COMMAND",
    "Reply",
    "Envelope",
    "Path",
    "Mailbox",
    "Domain",
    "NULL_PATH",
    "POSTMASTER",
    # what is spoken
    "Dialect",
    "RFC821",
    "RFC821_LENIENT",
    "HTTP_WORDS",
    "Grammar",
    "Limits",
    "Policy",
    "Verb",
    "Code",
    "Severity",
    "Category",
    "State",
    "Outcome",
    "outcome",
    "COMMANDS",
    "STANDARD_TEXTS",
    "SEQUENCING",
    "ADDITIONS",
    "ORDER",
    "ORDINARY",
    "TRANSITIONS",
    # applications: what answers, and what became of a message
    "Handler",
    "Delivery",
    "RecipientResult",
    "Status",
    "Timeouts",
    # transparency alone
    "DotDecoder",
    "DotEncoder",
    # what can go wrong
    "SMTPError",
    "ProtocolError",
    "LocalProtocolError",
    "RemoteProtocolError",
    "SessionLost",
    "SessionRefused",
]
