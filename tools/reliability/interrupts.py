# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Kill commands at random moments (SIGKILL), start them again, compare with undisturbed runs.

    python tools/reliability/interrupts.py --kills 20

Training, testing, the report, class bases and the conversion of a tiny network each run once
undisturbed, and then as often as ``--kills`` says into an empty folder, are killed at a moment
drawn from the first run's duration, looked at, and started again. A kill is survived if all files
under their final names were whole (the last checkpoint loads and is the one that
``last_checkpoint`` names; other files are those of the undisturbed run) and the second start ended
with the same result: the same weights, optimiser and random states bit by bit, the same tables, the
same bytes. Prints the rows of a table; the exit status is the number of kills not survived.

The processes are forked from this one, which has imported everything: the moments then fall into
the work and not into the imports.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import random
import re
import runpy
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

# Before the toolbox: it prepares the stack and registers the package.
import mmseg_lrr  # noqa: F401

# isort: split
from mmseg_lrr.compat import load_protected
from mmseg_lrr.converters import from_matconvnet

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'tests'))

from tiny_project import make_project  # noqa: E402

_CHECKPOINT = '../trained/iter_8.pth'


@dataclass(frozen=True)
class Command:
    """A command and what it leaves.

    Attributes:
        name: For the table.
        argv: Our tool and its arguments, run in a folder beside ``trained``.
        result: Gives what two runs are compared by, from the folder.
        broken: Gives what is wrong in the folder of a killed run, or nothing.
    """

    name: str
    argv: tuple[str, ...]
    result: Callable[[Path], object]
    broken: Callable[[Path], str]


def _weights(folder: Path) -> object:
    """All of the last checkpoint that decides how a run goes on."""
    content = load_protected(folder / 'out' / 'iter_8.pth', 'cpu')
    parts = ('state_dict', 'optimizer', 'param_schedulers', 'random_states')
    return _comparable({part: content[part] for part in parts})


def _comparable(value: object) -> object:
    """Nested values with bytes for tensors."""
    if isinstance(value, torch.Tensor):
        return (str(value.dtype), tuple(value.shape), value.contiguous().numpy().tobytes())
    if isinstance(value, dict):
        return {key: _comparable(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_comparable(part) for part in value]
    return value


def _broken_training(folder: Path) -> str:
    out = folder / 'out'
    for path in out.glob('*.pth'):
        try:
            load_protected(path, 'cpu')
        except Exception as error:
            return f'{path.name} does not load: {error}'
    last = out / 'last_checkpoint'
    if last.exists() and not (folder / last.read_text()).is_file():
        return f'last_checkpoint names {last.read_text()!r}, which is not there'
    return ''


def _metrics(folder: Path) -> object:
    """The figures of the last test."""
    path = max((folder / 'out').glob('*/2*.json'))
    return {name: value for name, value in json.loads(path.read_text()).items()
            if 'time' not in name}


def _table(folder: Path) -> object:
    """The report's figures, without its seconds."""
    return re.sub(r'"seconds_per_image": [\d.e-]+', '',
                  (folder / 'out' / 'report.json').read_text())


def _broken_json(folder: Path) -> str:
    for path in (folder / 'out').glob('*.json'):
        try:
            json.loads(path.read_text())
        except ValueError as error:
            return f'{path.name} is not whole: {error}'
    page = folder / 'out' / 'report.html'
    if page.exists() and not page.read_text().rstrip().endswith('</html>'):
        return 'report.html is not whole'
    return ''


def _bytes(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).read_bytes()


def _not_reference(name: str) -> Callable[[Path], str]:
    def look(folder: Path) -> str:
        path, whole = folder / name, folder.parent / 'reference' / name
        differs = path.exists() and path.read_bytes() != whole.read_bytes()
        return f'{name} is not whole' if differs else ''

    return look


def _nothing(folder: Path) -> str:
    return ''


COMMANDS = (
    Command('training', ('train.py', '../config.py', '--work-dir', 'out', '--resume'),
            _weights, _broken_training),
    Command('testing', ('test.py', '../config.py', _CHECKPOINT, '--work-dir', 'out'),
            _metrics, _nothing),
    Command('report', ('report.py', '../config.py', _CHECKPOINT, '--out', 'out', '--images', '1'),
            _table, _broken_json),
    Command('bases', ('compute_bases.py', '../config.py', 'bases.npy', '--patches', '300'),
            _bytes('bases.npy'), _not_reference('bases.npy')),
    Command('conversion', ('model_converters/matconvnet2mmseg.py', '../network.mat', 'out.pth'),
            lambda folder: _comparable(
                load_protected(folder / 'out.pth')['state_dict']),
            lambda folder: '' if not (folder / 'out.pth').exists() or load_protected(
                folder / 'out.pth') else 'out.pth is empty'),
)


def _start(command: Command, folder: Path) -> int:
    """Fork a process that runs the command in the folder; return its id."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        os.setsid()
        os.chdir(folder)
        output = os.open('output.txt', os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for stream in (1, 2):
            os.dup2(output, stream)
        script = str(ROOT / 'tools' / command.argv[0])
        sys.argv = [script, *command.argv[1:]]
        runpy.run_path(script, run_name='__main__')
        status = 0
    finally:
        sys.stdout.flush()
        os._exit(status)


def _finish(command: Command, folder: Path) -> None:
    """Run the command to its end.

    Raises:
        RuntimeError: It failed; the message has the end of its output.
    """
    _, status = os.waitpid(_start(command, folder), 0)
    if status:
        raise RuntimeError(f'{command.name} failed: {(folder / "output.txt").read_text()[-2000:]}')


def _kill(command: Command, folder: Path, moment: float) -> bool:
    """Kill the command after some seconds; return whether it was still running."""
    child = _start(command, folder)
    time.sleep(moment)
    running = os.waitpid(child, os.WNOHANG) == (0, 0)
    if running:
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return running


def interrupt(command: Command, project: Path, kills: int) -> tuple[int, int, list[str]]:
    """Kill one command again and again.

    Returns:
        Kills that found the command running, kills survived, and what went wrong otherwise.
    """
    # The folders of the runs lie in one beside config.py; the paths of the commands are relative.
    base = project / command.name
    base.mkdir()
    for name in ('config.py', 'images', 'labels', 'network.mat', 'trained'):
        if (project / name).exists():
            (base / name).symlink_to(project / name)
    reference = base / 'reference'
    reference.mkdir()
    for name in ('images', 'labels'):
        (reference / name).symlink_to(project / name)
    start = time.monotonic()
    _finish(command, reference)
    duration = time.monotonic() - start
    expected = command.result(reference)
    hits, survived, troubles = 0, 0, []
    for number in range(kills):
        folder = base / f'killed_{number}'
        folder.mkdir()
        for name in ('images', 'labels'):
            (folder / name).symlink_to(project / name)
        moment = random.uniform(0, duration)
        hits += _kill(command, folder, moment)
        trouble = command.broken(folder)
        if not trouble:
            _finish(command, folder)
            if command.result(folder) != expected:
                trouble = 'the second start ended with another result'
        if trouble:
            troubles.append(f'{command.name}, killed after {moment:.2f} s: {trouble}')
        else:
            survived += 1
            shutil.rmtree(folder)
    return hits, survived, troubles


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--kills', type=int, default=20, help='of each command (default: 20)')
    parser.add_argument('--seed', type=int, default=0, help='of the moments (default: 0)')
    parser.add_argument('--folder', type=Path, help='new folder for the runs (default: temporary)')
    parser.add_argument('--commands', nargs='+', choices=[command.name for command in COMMANDS],
                        default=[command.name for command in COMMANDS],
                        help='which commands (default: all)')
    args = parser.parse_args()
    random.seed(args.seed)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        project = args.folder or Path(temporary) / 'project'
        project.mkdir()
        make_project(project, images=6, iterations=8, val_interval=3)
        write_network(project / 'network.mat')
        (project / 'start').mkdir()
        for name in ('images', 'labels'):
            (project / 'start' / name).symlink_to(project / name)
        _finish(COMMANDS[0], project / 'start')
        (project / 'start' / 'out').rename(project / 'trained')
        print('| command | kills | survived | found running |\n|---|---|---|---|', flush=True)
        failed = 0
        for command in COMMANDS:
            if command.name not in args.commands:
                continue
            hits, survived, troubles = interrupt(command, project, args.kills)
            failed += args.kills - survived
            print(f'| {command.name} | {args.kills} | {survived} | {hits} |', flush=True)
            for trouble in troubles:
                print(trouble, file=sys.stderr, flush=True)
    raise SystemExit(failed)


def write_network(path: Path) -> None:
    """Write a network of the released layout with narrow layers, and let the converter take it."""
    from test_converters.released_layout import make_net, write_v7
    from test_converters.small_networks import FC_CHANNELS, hollow_params

    write_v7(path, {'net': make_net(hollow_params(num_classes=21))})
    from_matconvnet.convert = functools.partial(from_matconvnet.convert, fc_channels=FC_CHANNELS)


if __name__ == '__main__':
    main()
