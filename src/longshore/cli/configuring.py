"""From options and environment to the settings of a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from longshore.errors import ConfigurationError

if TYPE_CHECKING:
    from longshore.settings import Settings


def settings_of(**given: Any) -> Settings:
    """Return the settings: what was given and is not None, else the environment, else defaults.

    Raises:
        ConfigurationError: a value cannot be used; the message names the setting.
    """
    from pydantic import ValidationError

    from longshore.settings import Settings

    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        raise ConfigurationError(
            f"The setting LONGSHORE_{name.removeprefix('LONGSHORE_')} cannot be used: "
            f"{first['msg']}. See docs/reference/settings for what it may be."
        ) from error
