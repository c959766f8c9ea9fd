"""ddpmcodec doctor"""

from __future__ import annotations

import json
from typing import Any

import click

from ._common import EXIT_CODES, echo, printable

OK = "ok"  # of a check that finds no problem


@click.command(epilog=EXIT_CODES)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def doctor(as_json: bool) -> int:
    """Examine this installation: versions, processor, the core's kernels, known answers, and a measure of its speed.

    Exit code 0: all is well. Otherwise the problems are printed, with what to do, and the exit code is that of the
    gravest.
    """
    facts, code = _examine()
    echo(json.dumps(facts, indent=2, allow_nan=False) if as_json else _text(facts))
    return code


def _examine() -> tuple[dict[str, Any], int]:
    """The facts about the installation, and the exit code."""
    from . import _health

    checks = list(_health.checks())
    well = all(check.problem is None for check in checks)
    facts = {
        **_health.description(),
        "checks": {check.name: check.problem or OK for check in checks},
        "megapixels_a_second": _health.speed() if well else None,
        "well": well,
    }
    return facts, max(check.exit_code for check in checks)


def _text(facts: dict[str, Any]) -> str:
    versions, machine, speed = facts["versions"], facts["machine"], facts["megapixels_a_second"]
    lines = {
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "system": machine["system"],
        "processor": f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads are used",
        "models": ", ".join(f"{name} {model_id}" for name, model_id in facts["models"].items())
        + f", in {facts['models_folder']}",
        "kernels": f"{facts['kernel']} is used, this processor runs {', '.join(facts['kernels'])}",
        **({"slow": facts["slow"]} if facts["slow"] else {}),
        **facts["checks"],
    }
    if speed:
        lines["speed"] = f"encode {speed['encode']}, decode {speed['decode']} megapixels a second, on one thread"
    problems = sum(found != OK for found in facts["checks"].values())
    last = f"{problems} problem{'s' * (problems > 1)}: see above what to do" if problems else "all is well"
    width = max(map(len, lines))
    return "\n".join([*(printable(f"{key:{width}}  {value}") for key, value in lines.items()), last])
