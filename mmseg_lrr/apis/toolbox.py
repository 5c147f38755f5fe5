# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Run MMSegmentation's own command-line scripts, with this package registered.

``tools/train.py`` and ``tools/test.py`` are the toolbox's: the installed scripts are run as they
are, so every option of theirs behaves as users know it. What is ours is taken out of the command
line and translated before.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

import mmseg
from mmengine.config import Config

from mmseg_lrr.models.post_processing.dense_crf import PRESETS

from .testing import DEFAULT_CRF_PRESET, crf_config, default_crf
from .toolbox_repairs import repaired

_TEST_HELP = f"""
options of mmseg-lrr:
  --aug-test            another name of --tta: test time augmentation by the config's tta_model
                        and tta_pipeline
  --crf[=PRESET]        refine the result by a fully connected CRF; with --aug-test, the fused
                        result. The same as --cfg-options model.test_cfg.crf.type=DenseCRF
                        model.test_cfg.crf.preset=PRESET (with --aug-test tta_model.crf...), to
                        which other settings can be added; those that the config spells out
                        there stay. PRESET is one of
                        {', '.join(PRESETS)};
                        default: crf of the config's tta_model, or of the config, else
                        {DEFAULT_CRF_PRESET}
"""


def find_script(name: str, package: Path | None = None) -> Path:
    """Find one of the toolbox's scripts.

    Args:
        name: File name, such as ``train.py``.
        package: Folder of the module ``mmseg``; the imported one by default.

    Returns:
        The script in ``mmseg/.mim/tools`` (installed from a wheel) or in ``tools`` beside the
        module (an editable checkout of the toolbox).

    Raises:
        FileNotFoundError: It is in neither; the message says where it was looked for.
    """
    if package is None:
        package = Path(mmseg.__file__).resolve().parent
    places = [package / '.mim' / 'tools' / name, package.parent / 'tools' / name]
    for place in places:
        if place.is_file():
            return place
    raise FileNotFoundError(
        f"MMSegmentation's {name} was not found; looked for {' and '.join(map(str, places))}. "
        'Install mmsegmentation from its wheel, or as an editable checkout.'
    )


def _own_crf(argv: Sequence[str]) -> dict:
    """The CRF that the config on the command line names, else the default."""
    config = next((argument for argument in argv if argument.endswith('.py')), None)
    if config is None or not Path(config).is_file():
        return crf_config()  # The toolbox's script says what is missing.
    return default_crf(Config.fromfile(config))


def _abbreviates(argument: str, option: str) -> bool:
    """Whether argparse takes an argument for an option: it understands ``--cfg=...`` too."""
    name = argument.partition('=')[0]
    return len(name) > 2 and option.startswith(name)


def translate(argv: Sequence[str]) -> list[str]:
    """Turn a command line of ``tools/test.py`` into one that the toolbox's script understands.

    Args:
        argv: Arguments as given by the user, without the program's name.

    Returns:
        Arguments for the toolbox's ``test.py``, in the same order. What ``--crf`` sets comes as one
        more ``--cfg-options``, before those of the user, which add to it and have the last word.

    Raises:
        ValueError: ``--crf`` names no preset that there is; the message lists them.
    """
    # After a bare "--" there are no options.
    end = argv.index('--') if '--' in argv else len(argv)
    arguments: list[str] = []
    crf: dict[str, str] | None = None
    for argument in argv[:end]:
        name, _, value = argument.partition('=')
        if name == '--crf':
            # "--crf=" is a mistake, not the default.
            crf = crf_config(value) if '=' in argument else _own_crf(argv)
        else:
            arguments.append('--tta' if argument == '--aug-test' else argument)
    if crf is not None:
        tta = any(_abbreviates(argument, '--tta') for argument in arguments)
        place = 'tta_model.crf' if tta else 'model.test_cfg.crf'
        # The loop refuses a segmentor that would ignore the CRF.
        options = ['--cfg-options', 'test_cfg.type=LRRTestLoop']
        options += [f'{place}.{option}={value}' for option, value in crf.items()]
        # The parser adds up what several --cfg-options say; of one setting the last counts.
        users = (number for number, argument in enumerate(arguments)
                 if _abbreviates(argument, '--cfg-options'))
        first = next(users, len(arguments))
        arguments[first:first] = options
    return [*arguments, *argv[end:]]


def _run(script: Path, argv: Sequence[str], more_help: str = '') -> None:
    """Run a script in this process as ``python script argv`` would."""
    sys.argv = [str(script), *argv]
    try:
        runpy.run_path(str(script), run_name='__main__')
    except SystemExit as stop:
        # argparse has printed the toolbox's help and leaves with 0; ours follows it.
        if not stop.code and {'-h', '--help'} & set(argv):
            print(more_help, end='')
        raise


def train(argv: Sequence[str] | None = None) -> None:
    """Run the toolbox's ``train.py``.

    Args:
        argv: Arguments without the program's name; those of this process by default.
    """
    _run(find_script('train.py'), sys.argv[1:] if argv is None else argv)


def test(argv: Sequence[str] | None = None) -> None:
    """Run the toolbox's ``test.py``, understanding our options too (see :func:`translate`).

    Args:
        argv: Arguments without the program's name; those of this process by default.
    """
    try:
        arguments = translate(sys.argv[1:] if argv is None else argv)
    except ValueError as error:
        # As argparse ends for the toolbox's own options.
        print(f'test.py: error: argument --crf: {error}', file=sys.stderr)
        raise SystemExit(2) from error
    _run(find_script('test.py'), arguments, _TEST_HELP)


def script(argv: Sequence[str] | None = None) -> None:
    """Run any other script of the toolbox, named by its path among them.

    The package is imported and the toolbox repaired (:func:`~.toolbox_repairs.repaired`) before:
    by themselves the scripts fail with mmcv-lite, and two of them with any mmcv.

    Args:
        argv: The script, such as ``analysis_tools/get_flops.py``, and its arguments; those of this
            process by default.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ('-h', '--help'):
        print('usage: toolbox.py SCRIPT [ARGUMENT ...]\n\nscripts of the installed toolbox:')
        folder = find_script('test.py').parent
        for path in sorted(folder.glob('*/*.py')):
            print(f'  {path.relative_to(folder).as_posix()}')
        return
    try:
        path = find_script(arguments[0])
    except FileNotFoundError as error:
        print(f'toolbox.py: error: {error}', file=sys.stderr)
        raise SystemExit(2) from error
    with repaired():
        _run(path, arguments[1:])
