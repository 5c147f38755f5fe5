# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Run the test suite in fresh environments of other versions, one after the other.

    python tools/reliability/versions.py forks oldest-torch

Each environment is made by pip from nothing, gets a clone of the last commit, and is removed
afterwards (some 6 GB while it stands). What it held and how the suite ended is printed as rows of
a table; the exit status is the number of environments that failed.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_TOOLBOX = ('mmengine==0.10.7', 'mmcv-lite==2.1.0', 'mmsegmentation==1.2.2', 'mmpretrain==1.2.0',
            'setuptools<82', 'ftfy', 'regex')
_FORKS = ('onedl-mmengine==0.10.12', 'onedl-mmcv==2.3.6', 'onedl-mmsegmentation==1.4.2',
          'onedl-mmpretrain==1.3.6', 'setuptools>=82', 'ftfy', 'regex')

#: Packages whose versions make a row of the table.
_SHOWN = ('torch', 'numpy', 'mmengine', 'mmcv-lite', 'mmsegmentation', 'mmpretrain',
          'onedl-mmengine', 'onedl-mmcv', 'onedl-mmsegmentation', 'onedl-mmpretrain', 'setuptools')


@dataclass(frozen=True)
class Environment:
    """What is installed beside this package.

    Attributes:
        requirements: For one call of pip.
        variables: Environment variables of that call.
        checkout: Version of the toolbox that is unpacked and installed as an editable checkout.
    """

    requirements: tuple[str, ...]
    variables: dict[str, str] = field(default_factory=dict)
    checkout: str | None = None


ENVIRONMENTS = {
    'pinned': Environment(('torch==2.14.1', 'torchvision==0.29.1', *_TOOLBOX)),
    # The index's own build (===), which torchvision's is made for.
    'torch-2.13': Environment(('torch===2.13.0', 'torchvision==0.28.0', *_TOOLBOX)),
    'oldest-torch': Environment(('torch==2.4.1', 'torchvision==0.19.1', *_TOOLBOX)),
    # The fork's mmcv comes as source; LRR needs none of its compiled ops.
    'forks': Environment(('torch==2.14.1', 'torchvision==0.29.1', *_FORKS),
                         variables={'MMCV_WITH_OPS': '0'}),
    'checkout': Environment(('torch==2.14.1', 'torchvision==0.29.1', *_TOOLBOX), checkout='1.2.2'),
}


def _call(command: list[str], log: Path, **options: object) -> None:
    """Run a command, its output at the end of a file.

    Raises:
        subprocess.CalledProcessError: It failed; the message names the command.
    """
    with log.open('a') as output:
        print('+', *command, file=output, flush=True)
        subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=True, **options)


def _install_checkout(python: str, version: str, scratch: Path, log: Path) -> None:
    """Replace the toolbox's wheel by its unpacked sources."""
    pip = [python, '-m', 'pip']
    _call([*pip, 'download', '--no-deps', '--no-binary=:all:', f'mmsegmentation=={version}',
           '--no-build-isolation', '-d', str(scratch)], log)
    archive = next(scratch.glob('mmsegmentation-*.tar.gz'))
    _call(['tar', '-xzf', str(archive), '-C', str(scratch)], log)
    _call([*pip, 'install', '--no-deps', '--no-build-isolation', '-e',
           str(archive).removesuffix('.tar.gz')], log)


def _versions(python: str) -> str:
    """Versions of Python and of the packages shown, on one line."""
    code = ('import platform, importlib.metadata as m\n'
            'print("Python", platform.python_version())\n'
            f'for name in {_SHOWN!r}:\n'
            '    try: print(name, m.version(name))\n'
            '    except m.PackageNotFoundError: pass\n')
    done = subprocess.run([python, '-c', code], capture_output=True, text=True, check=True)
    return ', '.join(done.stdout.split('\n')[:-1])


def run(name: str, interpreter: str, log: Path, pytest_options: list[str]) -> tuple[str, str, bool]:
    """Make one environment, run the suite in it and remove it.

    Args:
        name: One of ``ENVIRONMENTS``.
        interpreter: Python for the environment.
        log: File for what pip and pytest print.
        pytest_options: Options for pytest.

    Returns:
        The versions in it, pytest's closing line, and whether all tests passed.
    """
    environment = ENVIRONMENTS[name]
    with tempfile.TemporaryDirectory(prefix=f'lrr_{name}_') as folder:
        scratch = Path(folder)
        python = str(scratch / 'venv' / 'bin' / 'python')
        project = scratch / 'project'
        _call([interpreter, '-m', 'venv', str(scratch / 'venv')], log)
        _call(['git', 'clone', '--quiet', str(ROOT), str(project)], log)
        if (ROOT.parent / 'shared').is_dir():
            # The real data, where the tests look for it.
            (scratch / 'shared').symlink_to(ROOT.parent / 'shared')
        variables = {**os.environ, **environment.variables}
        for tool in ('setuptools', 'wheel'):
            _call([python, '-m', 'pip', 'install', '--upgrade', tool], log)
        _call([python, '-m', 'pip', 'install', *environment.requirements], log, env=variables)
        _call([python, '-m', 'pip', 'install', '-e', f'{project}[test]'], log)
        if environment.checkout:
            _install_checkout(python, environment.checkout, scratch, log)
        versions = _versions(python)
        with log.open('a') as output:
            print('+ pytest', *pytest_options, file=output, flush=True)
            done = subprocess.run(
                [python, '-m', 'pytest', *pytest_options], cwd=project, stdout=output,
                stderr=subprocess.STDOUT)
    lines = [line for line in log.read_text().splitlines() if re.search(r' in [\d.]+s', line)]
    return versions, lines[-1].strip('= ') if lines else 'no test ran', done.returncode == 0


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('names', nargs='+', choices=ENVIRONMENTS, help='environments to make')
    parser.add_argument('--python', default=sys.executable, help='interpreter (default: this one)')
    parser.add_argument('--log-dir', type=Path, default=Path('work_dirs/versions'),
                        help='folder for what pip and pytest print (default: %(default)s)')
    parser.add_argument('--pytest', default='-q -n 2', metavar='OPTIONS',
                        help='options of pytest in one word (default: "%(default)s")')
    args = parser.parse_args()
    args.log_dir.mkdir(parents=True, exist_ok=True)
    failed = 0
    print('| environment | versions | suite |\n|---|---|---|', flush=True)
    for name in args.names:
        log = args.log_dir / f'{name}.txt'
        log.write_text('')
        try:
            versions, outcome, passed = run(name, args.python, log, args.pytest.split())
        except subprocess.CalledProcessError as error:
            versions, passed = 'not made', False
            outcome = f'failed: {" ".join(error.cmd[:6])}; see {log}'
        failed += not passed
        print(f'| {name} | {versions} | {outcome} |', flush=True)
    raise SystemExit(failed)


if __name__ == '__main__':
    main()
