"""How the commands of rounds are run: in a process each, or in one for each rank.

Under torchrun every rank has a process of its own here, too, which starts its part of
each command: rank 0 decides, and the others follow it. They meet in the store of the
launcher, not in a process group: what rank 0 does between two commands, as reading
annotations, is done by it alone.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import print_log
from torch.distributed.distributed_c10d import Store
from torch.distributed.rendezvous import rendezvous

from mmdistill.config.files import ROOTS, tool_file
from mmdistill.errors import ConfigError
from mmdistill.utils.commands import run_command, shown

PATIENCE = timedelta(days=100)
"""Time that a rank waits for a command: others may label for weeks."""
END = ''
"""What is said in place of a command when there is none left."""
REMEDY = '; what it said is above. The same command goes on where it stopped'


class Commands:
    """Runs tools in processes of their own, which find modules beside the recipe.

    Args:
        config: The recipe's config.
        environment: Further variables of their environment.
        is_named: Whether what a command prints has the name of its folder at the
            beginning of each line, as others run beside it.
    """

    def __init__(
        self,
        config: Config,
        environment: Mapping[str, str] | None = None,
        is_named: bool = False,
    ) -> None:
        self._environment, self._is_named = environment or {}, is_named
        beside = Path(config.filename).resolve().parent if config.filename else None
        paths = [str(ROOTS[1]), *([str(beside)] if beside else [])]
        self._shown_path = str(beside) if config.get('custom_imports') else ''
        known = [each for each in os.environ.get('PYTHONPATH', '').split(':') if each]
        self._path = ':'.join(dict.fromkeys([*known, *paths]))

    def __call__(self, command: Sequence[str], log: Path) -> float:
        """Run a command, shown as it can be typed.

        Args:
            command: The tool and its arguments.
            log: Its folder names the lines of what is printed, where they are named.
                No file is written: MMEngine keeps a log.

        Returns:
            Seconds of processor time.

        Raises:
            UserError: If it fails.
        """
        file = tool_file(Path(command[0]).name)
        near = file.is_relative_to(Path.cwd())
        name = str(file.relative_to(Path.cwd()) if near else file)
        where = f'PYTHONPATH={self._shown_path} ' if self._shown_path else ''
        print_log(f'$ {where}{shown([name, *command[1:]])}', logger='current')
        prefix = f'[{log.parent.name}] ' if self._is_named else ''
        return self._run(command, self._environment, prefix)

    def end(self) -> None:
        """Say that no command is left."""

    def _run(
        self, command: Sequence[str], environment: Mapping[str, str], prefix: str = ''
    ) -> float:
        file = tool_file(Path(command[0]).name)
        return run_command(
            [sys.executable, str(file), *command[1:]],
            command[0],
            environment={'PYTHONPATH': self._path, **environment},
            remedy=REMEDY,
            dies_with_parent=True,
            prefix=prefix,
        )


class Leader(Commands):
    """Runs commands on all ranks; for rank 0.

    Args:
        config: The recipe's config.
        meeting: Where the ranks meet.
        world_size: Number of ranks.
    """

    def __init__(self, config: Config, meeting: Store, world_size: int) -> None:
        super().__init__(config)
        self._meeting, self._world_size, self._number = meeting, world_size, 0

    def end(self) -> None:
        """Say that no command is left, and wait until all ranks know."""
        self._say(END)
        ranks = range(1, self._world_size)
        # This process may be the one that they ask.
        self._meeting.wait([f'rank_{rank}' for rank in ranks], PATIENCE)

    def _run(
        self, command: Sequence[str], environment: Mapping[str, str], prefix: str = ''
    ) -> float:
        with socket.socket() as free:
            free.bind(('', 0))
            port = str(free.getsockname()[1])
        self._say('\n'.join([port, *command]))
        return super()._run(*_launched([port, *command]))

    def _say(self, text: str) -> None:
        self._meeting.set(f'command_{self._number}', text)
        self._number += 1


class Followers(Commands):
    """Runs the commands of rank 0; for all other ranks.

    Args:
        config: The recipe's config.
        meeting: Where the ranks meet.
        rank: The rank of this process.
    """

    def __init__(self, config: Config, meeting: Store, rank: int) -> None:
        super().__init__(config)
        self._meeting, self._rank = meeting, rank

    def follow(self) -> None:
        """Run what rank 0 runs, until it has no command left.

        Raises:
            UserError: If a command fails.
        """
        number = 0
        while True:
            key = f'command_{number}'
            self._meeting.wait([key], PATIENCE)
            text = self._meeting.get(key).decode()
            if text == END:
                self._meeting.set(f'rank_{self._rank}', END)
                return
            self._run(*_launched(text.split('\n')))
            number += 1


def round_commands(config: Config) -> Commands:
    """Return what runs the commands of rounds, for the launcher of this process.

    Args:
        config: The recipe's config.

    Raises:
        ConfigError: If the launcher cannot run rounds.
    """
    launcher = config.get('launcher', 'none')
    if launcher == 'none':
        return Commands(config)
    if launcher != 'pytorch':
        raise ConfigError(
            f'distill.rounds cannot be run whole by --launcher {launcher}; run each '
            'round by hand, its number after --round, or start torchrun with '
            '--launcher pytorch'
        )
    meeting, rank, world_size = next(rendezvous('env://'))
    meeting.set_timeout(PATIENCE)
    if rank == 0:
        return Leader(config, meeting, world_size)
    return Followers(config, meeting, rank)


def _launched(words: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """A command of all ranks, and the variables by which its processes meet."""
    port, *command = words
    # The launcher's own store is that of this process.
    variables = dict(MASTER_PORT=port, TORCHELASTIC_USE_AGENT_STORE='False')
    return [*command, '--launcher', 'pytorch'], variables
