"""ddpmcodec quality"""

from __future__ import annotations

import json
from pathlib import Path

import click

from ._common import EXIT_CODES, echo, naming_options, say
from ._options import PATH_NAME, quiet_option, verbose_option


@click.command(epilog=EXIT_CODES)
@click.argument("samples", type=PATH_NAME, metavar="SAMPLES")
@click.argument("reference", type=PATH_NAME, metavar="REFERENCE")
@click.option(
    "--inception",
    required=True,
    type=PATH_NAME,
    metavar="WEIGHTS",
    help="torch-fidelity's Inception weights, a .pth file.",
)
@click.option("--batch", type=click.IntRange(1), default=64, show_default=True, help="Images at a time.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@quiet_option
@verbose_option
def quality(samples: str, reference: str, inception: str, batch: int, as_json: bool, quiet: bool, verbose: bool) -> int:
    """Compare two folders of images: FID, Inception score, precision and recall.

    SAMPLES are generated (`ddpmcodec sample -o FOLDER`), REFERENCE are real images. Nothing is downloaded.
    """
    from ddpmcodec.paper.quality import FEATURES, measure

    with naming_options():
        scores = measure(Path(samples), Path(reference), Path(inception), batch=batch, verbose=verbose)
    if min(scores.samples, scores.references) < FEATURES and not quiet:
        say(f"fewer than {FEATURES} images: these figures are biased, compare them with those of as many images only")
    facts = scores._asdict()
    echo(
        json.dumps(facts, indent=2, allow_nan=False)
        if as_json
        else "\n".join(f"{k:20} {v:.6g}" for k, v in facts.items())
    )
    return 0
