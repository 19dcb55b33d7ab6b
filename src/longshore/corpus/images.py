"""Making images known to the API."""

from __future__ import annotations

from longshore.corpus import checks
from longshore.corpus.mixin import WorkerMixin
from longshore.corpus.models import Image


class ImageMixin(WorkerMixin):
    """Helpers for images."""

    def create_iiif_url(self, url: str) -> Image | None:
        """Make an image of a IIIF server known.

        Args:
            url: of the image itself, without `/info.json`.

        Returns:
            The image; None in read-only mode.

        Raises:
            AssertionError: the address is no text.
        """
        checks.text(url, "url")
        if not self.may_write("create image"):
            return None
        return Image(self.api_client.request("CreateIIIFURL", body={"url": url}))
