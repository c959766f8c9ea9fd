"""ddpmcodec info"""

from __future__ import annotations

import json
from typing import Any

import click

from ddpmcodec.errors import FAILURES, DdpmError

from ._common import EXIT_CODES, counted, each, echo, is_archive, label, message_of, naming, printable, read_input
from ._options import files_argument
from ._report import archive_line


@click.command(epilog=EXIT_CODES)
@files_argument
@click.option("--json", "as_json", is_flag=True, help="One JSON object; with several files, an array of them.")
def info(files: tuple[str, ...], as_json: bool) -> int:
    """Print what files say of themselves. Nothing is decoded. FILE - is standard input.

    Of an archive this is a line; `ddpmcodec archive list` names its images.
    """
    descriptions: list[dict[str, Any]] = []

    def describe(name: str) -> None:
        from ddpmcodec.archive.reader import describe as facts_of_archive
        from ddpmcodec.codec.information import info as facts

        data = read_input(name)
        if is_archive(name, data):
            with naming(name):
                descriptions.append({"file": label(name), **facts_of_archive(data)})
            if not as_json:
                echo(printable(archive_line(name, descriptions[-1])))
            return
        with naming(name):
            descriptions.append({"file": label(name), **facts(data)})
        if not as_json:
            echo(_text(descriptions[-1]))

    def describe_or_fail(name: str) -> None:
        try:
            describe(name)
        except FAILURES as error:
            code = error.exit_code if isinstance(error, DdpmError) else DdpmError.exit_code
            descriptions.append({"file": label(name), "error": message_of(error), "exit_code": code})
            raise

    code = each(files, describe_or_fail)
    if as_json and (descriptions or len(files) > 1):
        echo(json.dumps(descriptions if len(files) > 1 else descriptions[0], allow_nan=False, indent=2))
    return code


def _complete(facts: dict[str, Any]) -> str:
    if facts["lossy"]:
        return "no, lossy: cut on purpose"
    return "yes" if facts["complete"] else f"no, {facts['missing_bytes']} bytes are missing"


def _steps(noise: list[float]) -> str:
    """noise: after each step, in grey levels."""
    if len(noise) == 1:
        return "1 step to exact pixels"
    return f"{len(noise)} steps to {', '.join(f'{level:g}' for level in noise[:-1])} grey levels and exact pixels"


def _model(facts: dict[str, Any]) -> str:
    if facts["model_number"] and not facts["model"]:
        return f"number {facts['model_number']}, of a newer version"
    return f"{facts['model_id']} ({facts['model'] or 'not embedded: needs --model'})"


def _coding(facts: dict[str, Any]) -> str:
    size = f", {facts['original_bytes']} bytes" if facts["original_bytes"] else ""
    kept = f", {facts['format']}{size}: {facts['reason']}" if facts["format"] else size
    return f"{facts['coding']}{kept}"


def _text(facts: dict[str, Any]) -> str:
    size = f"{facts['bytes']} bytes, {facts['bpp']:.3f} bpp, {facts['bits_per_dim']:.3f} bits/dim"
    lines = {
        "image": f"{facts['width']} x {facts['height']} {facts['mode']}" if facts["width"] else "no picture was read",
        "size": size,
        "complete": _complete(facts),
        "coding": _coding(facts),
    }
    if facts["following_bytes"]:
        lines["complete"] += (
            f", and {counted(facts['following_bytes'], 'byte')} behind the end: only previews ignore that"
        )
    lines["effort"] = str(facts["effort"])
    steps = f", {_steps(facts['noise'])}" if facts["noise"] else ""
    lines["levels"] = f"{facts['levels']}{steps}{', by repeats' if facts['repeats'] else ''}"
    lines["model"] = _model(facts)
    segments = f", {facts['segments']} segments each" if facts["segments"] else ""
    lines["layout"] = f"format {facts['format_version']}, {counted(facts['tiles'], 'tile')}{segments}"
    if facts["segment_bytes"]:
        lines["segments"] = ", ".join(map(str, facts["segment_bytes"])) + " bytes"
    if facts["bits"] > 8:
        lines["samples"] = f"{facts['bits']} bits" + _coded_bits(facts)
    last = [name for name in ("recipe", "kept", "low_bits") if facts[f"{name}_bytes"]]
    parts = ["header", "alpha", "pixel", *(last or ["metadata"])]
    lines["sections"] = ", ".join(f"{part.replace('_', ' ')} {facts[f'{part}_bytes']}" for part in parts)
    if facts["alpha_coding"]:
        lines["alpha"] = facts["alpha_coding"]
    kept = facts["metadata"]
    absent = "cut off" if facts["metadata_bytes"] else "none"
    sizes = ", ".join(f"{key} {size} bytes" for key, size in (kept or {}).items())
    if facts["original_bytes"]:
        absent = f"in the {facts['format'] or 'JPEG'}"
    lines["metadata"] = "damaged: get the file again" if kept is None else sizes or absent
    return "\n".join([printable(f"{facts['file']}:"), *(f"  {key:9} {value}" for key, value in lines.items())])


def _coded_bits(facts: dict[str, Any]) -> str:
    """Return how many bits of a sample are coded, unless all are."""
    how = {"none": "", "shifted": ", which zeros follow", "repeated": ", which are repeated"}[facts["scaling"]]
    return "" if facts["bits"] == facts["coded_bits"] else f", coded as {facts['coded_bits']}{how}"
