"""ddpmcodec completion"""

from __future__ import annotations

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
)

from . import COMPLETE
from ._common import EXIT_CODES, echo


class _Files(ShellComplete):
    """Names of files where nothing else completes what was typed."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        return super().get_completions(args, incomplete) or [CompletionItem(incomplete, type="file")]


class Bash(_Files, BashComplete):
    """Bash's completion, with names of files."""


class Zsh(_Files, ZshComplete):
    """Zsh's completion, with names of files."""


class Fish(_Files, FishComplete):
    """Fish's completion, with names of files."""


SHELLS = {shell.name: shell for shell in (Bash, Zsh, Fish)}
for _shell in SHELLS.values():
    add_completion_class(_shell)


@click.command(epilog=EXIT_CODES)
@click.argument("shell", type=click.Choice(list(SHELLS)))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print a script that makes a shell complete commands, options and file names.

    \b
    To install it, add a line to a start-up file, or write one:
      bash  ~/.bashrc: eval "$(ddpmcodec completion bash)"
      zsh   ~/.zshrc, after compinit: eval "$(ddpmcodec completion zsh)"
      fish  ddpmcodec completion fish > ~/.config/fish/completions/ddpmcodec.fish
    """
    echo(SHELLS[shell](context.find_root().command, {}, "ddpmcodec", COMPLETE).source())
