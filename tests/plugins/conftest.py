"""Commands use plugins, too."""

from command_fixtures import coded, ddpm, file, foreign, other_model, photo, pixels  # noqa: F401
