"""How a receipt is read, one step per module, each usable alone.

`pages` opens the file, `recognition` reads the pieces of text on each page, `layout` puts the
pieces into rows; `amounts`, `dates` and `words` know what numbers, days and labels look like;
`merchant`, `totals`, `details` and `items` decide, and `extraction` puts the documents together.
"""

from __future__ import annotations
