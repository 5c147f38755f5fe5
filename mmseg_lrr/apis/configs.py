# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Find the package's own config files in any kind of install."""

import difflib
from pathlib import Path

from mmengine.config import Config

_PACKAGE = Path(__file__).resolve().parent.parent


def get_config(name: str) -> Config:
    """Load one of the package's configs by name, however the package was installed.

    A wheel carries the configs as ``mmseg_lrr/.mim/configs``; an editable install and a plain
    checkout have them in the repository's ``configs``.

    Args:
        name: As in ``mmengine.hub.get_config``, without the package:
            ``lrr/lrr4x_r101_voc.py``. The folder and the ending may be left out.

    Returns:
        The config.

    Raises:
        FileNotFoundError: There is no config of that name; the message lists the nearest names.
    """
    wheel = _PACKAGE / '.mim' / 'configs'
    root = wheel if wheel.is_dir() else _PACKAGE.parent / 'configs'
    path = root / 'lrr' / f'{name.removeprefix("lrr/").removesuffix(".py")}.py'
    if not path.is_file():
        known = sorted(file.stem for file in path.parent.glob('*.py'))
        near = difflib.get_close_matches(path.stem, known, n=5, cutoff=0.3)
        raise FileNotFoundError(
            f'there is no config {name!r} in {path.parent}; nearest: {", ".join(near or known)}')
    return Config.fromfile(path)
