"""ddpmcodec export"""

from __future__ import annotations

from pathlib import Path

import click

from ddpmcodec.files import check_output, write_file

from ._common import EXIT_CODES, force_option, say


@click.command(epilog=EXIT_CODES)
@click.argument("run", metavar="RUN")
@click.option("-o", "--output", required=True, metavar="OUT", help="The exported model, a .safetensors file.")
@click.option("--name", help="What the model calls itself; default: the output's name.")
@click.option(
    "--search", "images", metavar="DATA", help="Choose the step lists of the efforts on the last images of DATA."
)
@click.option(
    "--search-images", type=click.IntRange(1), default=32, show_default=True, help="How many; not to be trained on."
)
@force_option
def export(run: str, output: str, name: str | None, images: str | None, search_images: int, force: bool) -> int:
    """Turn the averaged network of a training folder into one exact, integer model file, and check it."""
    check_output(Path(output), None, force=force)
    from ddpmcodec.networks import checkpoint
    from ddpmcodec.presets import PRESETS
    from ddpmcodec.training.search import searched_presets
    from ddpmcodec.training.state import averaged_network

    latent, facts = averaged_network(Path(run))
    name = name or Path(output).stem
    presets = searched_presets(latent, images, search_images) if images else PRESETS
    data = checkpoint.export(latent, presets, name=name, training=facts)
    model = checkpoint.parse(data, output)
    write_file(Path(output), data)
    say(f"{output}: model {model.name!r}, id {model.id[:4].hex()}, {len(data)} bytes; use it with --model {output}")
    return 0
