# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Run MMSegmentation's own command-line scripts, with this package registered.

``tools/train.py`` and ``tools/test.py`` are the installed MMSegmentation's: their own parsers read
the command line, and only what they understood is changed before they go on.
"""

import argparse
import importlib.util
import runpy
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import mmseg
import torch
from mmengine.config import Config
from mmengine.device import get_device

from mmseg_lrr.models.post_processing.dense_crf import PRESETS

from .checkpoint_check import CheckedRunner
from .needed_files import need_files
from .testing import DEFAULT_CRF_PRESET, crf_config, default_crf, without_labels

_TEST_HELP = f"""
options of mmseg-lrr:
  --aug-test            another name of --tta: test time augmentation by the config's tta_model
                        and tta_pipeline
  --crf[=PRESET]        refine the result (with --aug-test, the fused one) by a fully connected
                        CRF; the same as --cfg-options model.test_cfg.crf.type=DenseCRF
                        model.test_cfg.crf.preset=PRESET (with --aug-test tta_model.crf...), to
                        which other settings can be added. PRESET is one of
                        {', '.join(PRESETS)};
                        default: crf of the config's tta_model, or of the config, else
                        {DEFAULT_CRF_PRESET}
"""


def find_script(name: str) -> Path:
    """Find one of MMSegmentation's scripts, such as ``train.py``.

    Raises:
        FileNotFoundError: It is neither in ``mmseg/.mim/tools`` (installed from a wheel) nor in
            ``tools`` beside the module (an editable checkout).
    """
    package = Path(mmseg.__file__).resolve().parent
    places = [package / '.mim' / 'tools' / name, package.parent / 'tools' / name]
    for place in places:
        if place.is_file():
            return place
    raise FileNotFoundError(
        f"MMSegmentation's {name} was not found; looked for {' and '.join(map(str, places))}")


def ignore_notes() -> None:
    """Keep mmseg's notes on its own code off the screen; who runs it can do nothing about them."""
    for note in ('``build_loss`` would be deprecated', 'The draw is False'):
        warnings.filterwarnings('ignore', note, module='mmseg')


def _load(name: str, argv: Sequence[str]) -> tuple[ModuleType, argparse.Namespace]:
    """Load a script with ``parse_args`` and ``main``, and let it read a command line."""
    path = find_script(name)
    spec = importlib.util.spec_from_file_location(f'mmseg_tools_{path.stem}', path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    sys.argv = [str(path), *argv]
    args = script.parse_args()
    args.cfg_options = args.cfg_options or {}
    ignore_notes()
    return script, args


def _run(script: ModuleType, args: argparse.Namespace) -> None:
    """Let a script go on with what its parser gave."""
    if args.launcher == 'pytorch' and get_device() == 'cpu':
        # mmengine's launcher selects a GPU; it leaves a group that is there already alone.
        torch.distributed.init_process_group('gloo')
        args.cfg_options = {'model_wrapper_cfg.device_ids': None,
                            'model_wrapper_cfg.broadcast_buffers': False, **args.cfg_options}
    script.parse_args = lambda: args
    script.main()


def train(argv: Sequence[str] | None = None) -> None:
    """Run MMSegmentation's ``train.py``.

    ``--resume`` goes on from the work folder also with a config that has a ``load_from``, or begins
    if there is no checkpoint yet. By itself mmengine would resume from the checkpoint that
    ``load_from`` names: a second stage would take the first one's, and its iterations, for its own.

    Args:
        argv: Arguments without the program's name; those of this process
            by default.
    """
    script, args = _load('train.py', sys.argv[1:] if argv is None else argv)
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options)
    if args.resume and cfg.get('load_from') and 'load_from' not in args.cfg_options:
        work_dir = Path(args.work_dir or cfg.get('work_dir')
                        or Path('work_dirs', Path(args.config).stem))
        if (work_dir / 'last_checkpoint').is_file():
            args.cfg_options['load_from'] = cfg.load_from = None
        else:
            warnings.warn(f'there is no {work_dir}/last_checkpoint to resume from; the training '
                          f'begins with load_from={cfg.load_from}', stacklevel=2)
            args.resume = False
    start = cfg.get('model', {}).get('backbone', {}).get('init_cfg')
    need_files(cfg, 'train', 'val', **{
        'load_from': cfg.get('load_from'),
        'model.backbone.init_cfg.checkpoint': isinstance(start, dict) and start.get('checkpoint')})
    _run(script, args)


def test(argv: Sequence[str] | None = None) -> None:
    """Run MMSegmentation's ``test.py``, with ``--aug-test`` and ``--crf[=PRESET]``.

    A checkpoint of another network is refused. What ``--crf`` sets is set before the user's
    ``--cfg-options``, which thus have the last word.

    Args:
        argv: Arguments without the program's name; those of this process
            by default.
    """
    words, presets = [], []
    for word in sys.argv[1:] if argv is None else argv:
        if word.partition('=')[0] == '--crf':
            presets.append(word.removeprefix('--crf').removeprefix('='))
        else:
            words.append('--tta' if word == '--aug-test' else word)
    try:
        script, args = _load('test.py', words)
    except SystemExit as stop:
        if not stop.code:  # After --help.
            print(_TEST_HELP, end='')
        raise
    cfg = Config.fromfile(args.config)
    if presets:
        crf = crf_config(presets[-1]) if presets[-1] else default_crf(cfg)
        place = 'tta_model.crf' if args.tta else 'model.test_cfg.crf'
        own = cfg.get('tta_model', {}).get('type') != 'SegTTAModel'  # which runs no CRF
        args.cfg_options = {
            **({} if own else {'tta_model.type': 'LRRTTAModel', 'tta_model.fusion': 'mean'}),
            # The loop refuses a segmentor that would ignore the CRF.
            'test_cfg.type': 'LRRTestLoop',
            **{f'{place}.{option}': value for option, value in crf.items()},
            **args.cfg_options}
    cfg.merge_from_dict(args.cfg_options)
    dataset = (cfg.get('test_dataloader') or {}).get('dataset', {})
    if 'data_prefix' in dataset and 'seg_map_path' not in dataset.data_prefix:
        # Images for a test server; mmseg's pipelines would look for labels.
        for place, pipeline in (('test_dataloader.dataset.pipeline', dataset.get('pipeline')),
                                ('tta_pipeline', cfg.get('tta_pipeline'))):
            args.cfg_options[place] = without_labels(pipeline or ())
    need_files(cfg, 'test', checkpoint=args.checkpoint)
    script.Runner = CheckedRunner
    _run(script, args)


def script(argv: Sequence[str] | None = None) -> None:
    """Run any other script of MMSegmentation, named by its path among them.

    By themselves the scripts need the full mmcv, and do not know this package.

    Args:
        argv: The script, such as ``analysis_tools/confusion_matrix.py``,
            and its arguments; those of this process by default.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ('-h', '--help'):
        print("usage: toolbox.py SCRIPT [ARGUMENT ...]\n\nMMSegmentation's scripts:")
        folder = find_script('test.py').parent
        for path in sorted(folder.glob('*/*.py')):
            print(f'  {path.relative_to(folder).as_posix()}')
        return
    try:
        path = find_script(arguments[0])
    except FileNotFoundError as error:
        print(f'toolbox.py: error: {error}', file=sys.stderr)
        raise SystemExit(2) from error
    sys.argv = [str(path), *arguments[1:]]
    runpy.run_path(str(path), run_name='__main__')
