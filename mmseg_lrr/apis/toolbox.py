# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Run MMSegmentation's own command-line scripts, with this package registered.

``tools/train.py`` and ``tools/test.py`` are the toolbox's: the installed scripts are run as they
are, so every option of theirs behaves as users know it. What is ours is taken out of the command
line and translated before.
"""

from __future__ import annotations

import argparse
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

import mmseg
from mmengine.config import Config, DictAction

from mmseg_lrr.datasets.listed_files import check_configured_lists
from mmseg_lrr.models.post_processing.dense_crf import PRESETS

from .cpu_processes import cpu_process_group
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


def _config(argv: Sequence[str]) -> Config | None:
    """The config on the command line; None if there is none, which the toolbox's script says."""
    path = next((argument for argument in argv if argument.endswith('.py')), None)
    return None if path is None or not Path(path).is_file() else Config.fromfile(path)


def _own_crf(argv: Sequence[str]) -> dict:
    """The CRF that the config on the command line names, else the default."""
    cfg = _config(argv)
    return crf_config() if cfg is None else default_crf(cfg)


def _abbreviates(argument: str, option: str) -> bool:
    """Whether argparse takes an argument for an option: it understands ``--cfg=...`` too."""
    name = argument.partition('=')[0]
    return len(name) > 2 and option.startswith(name)


def _with_options(arguments: Sequence[str], options: Sequence[str]) -> list[str]:
    """Add ``--cfg-options`` before those of the user, who has the last word."""
    if not options:
        return list(arguments)
    # The parser adds up what several --cfg-options say; of one setting the last counts. After a
    # bare "--" there are no options.
    users = (number for number, argument in enumerate(arguments)
             if argument == '--' or _abbreviates(argument, '--cfg-options'))
    first = next(users, len(arguments))
    return [*arguments[:first], '--cfg-options', *options, *arguments[first:]]


def _launcher(argv: Sequence[str]) -> str:
    """Value of ``--launcher``, read as the toolbox's scripts read it."""
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    parser.add_argument('--launcher', default='none')
    try:
        return parser.parse_known_args(argv)[0].launcher
    except argparse.ArgumentError:
        return 'none'  # The toolbox's script says what is wrong.


def _options(argv: Sequence[str]) -> argparse.Namespace | None:
    """What of the toolbox's options says which config its script goes by.

    None if they cannot be read, which the script says.
    """
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    parser.add_argument('--work-dir')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={})
    try:
        return parser.parse_known_args(argv)[0]
    except argparse.ArgumentError:
        return None


def _configured(argv: Sequence[str]) -> Config | None:
    """The config as ``--cfg-options`` change it; None if the script is to say what is wrong."""
    cfg, options = _config(argv), _options(argv)
    if cfg is None or options is None:
        return None
    cfg.merge_from_dict(options.cfg_options)
    return cfg


def _check_lists(cfg: Config | None, *loaders: str) -> None:
    """Refuse empty lists of images of the config's data loaders."""
    for loader in loaders if cfg is not None else ():
        check_configured_lists((cfg.get(loader) or {}).get('dataset') or {})


def _resume(argv: Sequence[str], cfg: Config | None) -> list[str]:
    """Let ``--resume`` go on from the work folder although the config names a ``load_from``.

    By itself the toolbox resumes from the checkpoint that ``load_from`` names: the second of two
    stages would take the first stage's last checkpoint for its own, with its number of epochs.
    Where there is nothing to resume from, ``--resume`` is dropped, with a warning.
    """
    arguments = list(argv)
    resuming = [word for word in arguments if _abbreviates(word, '--resume')]
    if not resuming or cfg is None or cfg.get('load_from') is None:
        return arguments
    options = _options(arguments)
    if 'load_from' in options.cfg_options:
        return arguments
    work_dir = (options.work_dir or cfg.get('work_dir')
                or Path('work_dirs') / Path(cfg.filename).stem)
    last = Path(work_dir) / 'last_checkpoint'
    if last.is_file():
        return _with_options(arguments, ['load_from=None'])
    print(f'train.py: warning: there is no {last} to resume from; the training begins with '
          f'load_from={cfg.load_from}', file=sys.stderr)
    return [word for word in arguments if word not in resuming]


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
        options = ['test_cfg.type=LRRTestLoop']
        options += [f'{place}.{option}={value}' for option, value in crf.items()]
        arguments = _with_options(arguments, options)
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


def _run_launched(name: str, argv: Sequence[str], cfg: Config | None, more_help: str = '') -> None:
    """Run a script that knows ``--launcher``, with or without GPUs."""
    with cpu_process_group(_launcher(argv), cfg) as options:
        _run(find_script(name), _with_options(argv, options), more_help)


def train(argv: Sequence[str] | None = None) -> None:
    """Run the toolbox's ``train.py``.

    ``--launcher pytorch`` also works without a GPU, and ``--resume`` with a config that has a
    ``load_from``: it goes on from the work folder, or begins if there is no checkpoint yet.

    Args:
        argv: Arguments without the program's name; those of this process by default.

    Raises:
        ValueError: A data set's list of images is empty.
    """
    arguments = sys.argv[1:] if argv is None else argv
    cfg = _configured(arguments)
    _check_lists(cfg, 'train_dataloader', 'val_dataloader')
    _run_launched('train.py', _resume(arguments, cfg), cfg)


def test(argv: Sequence[str] | None = None) -> None:
    """Run the toolbox's ``test.py``, understanding our options too (see :func:`translate`).

    ``--launcher pytorch`` also works without a GPU.

    Args:
        argv: Arguments without the program's name; those of this process by default.

    Raises:
        ValueError: A data set's list of images is empty.
    """
    try:
        arguments = translate(sys.argv[1:] if argv is None else argv)
    except ValueError as error:
        # As argparse ends for the toolbox's own options.
        print(f'test.py: error: argument --crf: {error}', file=sys.stderr)
        raise SystemExit(2) from error
    cfg = _configured(arguments)
    _check_lists(cfg, 'test_dataloader')
    _run_launched('test.py', arguments, cfg, _TEST_HELP)


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
