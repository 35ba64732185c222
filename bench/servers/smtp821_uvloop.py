"""This library on asyncio, with uvloop for the event loop."""

from __future__ import annotations

import uvloop

from .smtp821_asyncio import main

if __name__ == "__main__":
    uvloop.run(main())
