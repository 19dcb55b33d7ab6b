"""Pages with their images and lines, as files have them: read for an import, written by an export.

Nothing here knows of a server but `importing` and `exporting`, which speak with it by HTTP.
"""

from __future__ import annotations
