"""The tables in docs/performance.md, between the markers of each measure.

    <!-- bench: servers -->
    (tables)
    <!-- end -->

What stands outside of markers is written by hand; what stands inside is made from the results.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from .results import Run
from .tables import header, table, targets

__all__ = ["PAGE", "filled"]

PAGE: Final = Path("docs") / "performance.md"
_BLOCK: Final = re.compile(r"(<!-- bench: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(page: str, run: Run, plots: str) -> str:
    """The page with its blocks filled; one that the run has not measured stays as it is.

    plots: the folder of the pictures, as the page names it; "" for none.
    """

    def block(match: re.Match[str]) -> str:
        name = match[2]
        if name == "machine":
            text = header(run)
        elif name == "targets":
            text = targets(run)
        elif (measure := run.measure(name)) is not None:
            text = table(measure)
            if plots:
                text += f"\n\n![{measure.title}]({plots}/{name}.svg)"
        else:
            return match[0]
        return f"{match[1]}\n{text}\n\n{match[3]}"

    return _BLOCK.sub(block, page)
