# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Find the package's own config files in any kind of install."""

from __future__ import annotations

import difflib
from pathlib import Path

from mmengine.config import Config

_PACKAGE = Path(__file__).resolve().parent.parent


def configs_root() -> Path:
    """Return the folder that holds ``lrr/``.

    A wheel carries the configs as ``mmseg_lrr/.mim/configs``; an editable install and a plain
    checkout have them in the repository's ``configs``.

    Raises:
        FileNotFoundError: Neither is there.
    """
    places = [_PACKAGE / '.mim' / 'configs', _PACKAGE.parent / 'configs']
    for place in places:
        if (place / 'lrr').is_dir():
            return place
    raise FileNotFoundError(
        'the configs of mmseg-lrr were not found; looked in ' + ' and '.join(map(str, places))
    )


def get_config(name: str) -> Config:
    """Load one of the package's configs by name, whatever way the package was installed.

    Args:
        name: As in ``mmengine.hub.get_config``, without the package: ``lrr/lrr4x_r101_voc.py``.
            The folder and the ending may be left out: ``lrr4x_r101_voc``.

    Returns:
        The config.

    Raises:
        FileNotFoundError: There is no config of that name; the message lists the nearest names.
    """
    root = configs_root()
    wanted = f'{name.removesuffix(".py")}.py'
    if '/' not in wanted:
        wanted = f'lrr/{wanted}'
    known = sorted(
        file.relative_to(root).as_posix()
        for file in root.rglob('*.py')
        if '_base_' not in file.parts
    )
    if wanted not in known:
        near = difflib.get_close_matches(wanted, known, n=5, cutoff=0.3)
        raise FileNotFoundError(
            f'there is no config {name!r} in {root}; nearest: {", ".join(near or known)}'
        )
    return Config.fromfile(root / wanted)
