# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Metadata lives in ``setup.cfg``; this adds one step to the build: the wheel's ``.mim``.

mmengine looks for a package's configs and model index in ``<package>/.mim``. They are copied into
the wheel while it is built, so that the repository holds them once. An editable install gets no
copy: ``mmseg_lrr.get_config`` reads the repository's ``configs`` there.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


class BuildWithConfigs(build_py):
    """Also put ``configs`` and ``model-index.yml`` into ``mmseg_lrr/.mim``."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib) / 'mmseg_lrr' / '.mim'
        # A build folder may be left from before a config was renamed.
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(
            ROOT / 'configs', target / 'configs', ignore=shutil.ignore_patterns('__pycache__')
        )
        shutil.copyfile(ROOT / 'model-index.yml', target / 'model-index.yml')


setup(cmdclass={'build_py': BuildWithConfigs})
