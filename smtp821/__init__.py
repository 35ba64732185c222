"""RFC 821 (SMTP, August 1982) as a sans-IO library, for both roles.

Receiver and Sender turn bytes into events and replies or commands into bytes; the modules
`smtp821.sockets` and its like drive them over a network. See README.md.

The names are those of `smtp821.namespace`, which is loaded when the first of them is asked for: so
a program, or a plugin, that imports a module of this package does not wait for all of it.
"""

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .namespace import *  # noqa: F403
else:  # so that a type checker still sees a name that there is not

    def __getattr__(name):
        from importlib import import_module  # `from . import` would ask here again

        namespace = import_module(".namespace", __name__)
        if name != "__all__" and name not in namespace.__all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals().update({public: getattr(namespace, public) for public in namespace.__all__})
        return getattr(namespace, name)

    def __dir__():
        return sorted({*globals(), *__getattr__("__all__")})
