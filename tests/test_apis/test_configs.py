# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Configs by name, from a checkout and from a wheel."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from mmengine.fileio import load

from mmseg_lrr.apis import configs

NAME = 'lrr4x_r101_voc'


@pytest.mark.parametrize('where', ['repository/configs', 'repository/mmseg_lrr/.mim/configs'])
def test_config_is_found_in_a_checkout_and_in_a_wheel(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    folder = tmp_path / where / 'lrr'
    (folder / '_base_').mkdir(parents=True)
    (folder / '_base_' / 'runtime.py').write_text("default_scope = 'mmseg'")
    (folder / f'{NAME}.py').write_text("_base_ = './_base_/runtime.py'")
    monkeypatch.setattr(configs, '_PACKAGE', tmp_path / 'repository' / 'mmseg_lrr')
    for name in (f'lrr/{NAME}.py', f'lrr/{NAME}', f'{NAME}.py', NAME):
        cfg = configs.get_config(name)
        assert cfg.default_scope == 'mmseg' and Path(cfg.filename) == folder / f'{NAME}.py'
    with pytest.raises(FileNotFoundError, match=f"no config 'lrr4x_r101_vok' .* nearest: {NAME}"):
        configs.get_config('lrr4x_r101_vok')


def test_model_index_names_files_that_are_there(repo_root: Path) -> None:
    for metafile in load(repo_root / 'model-index.yml')['Import']:
        content = load(repo_root / metafile)
        collections = [collection['Name'] for collection in content['Collections']]
        assert content['Models']
        for model in content['Models']:
            assert (repo_root / model['Config']).is_file(), model['Config']
            assert Path(model['Config']).stem == model['Name']
            assert model['In Collection'] in collections


def test_wheel_holds_the_package_and_its_configs(repo_root: Path, tmp_path: Path) -> None:
    """Of a copy of the repository: a build leaves files behind."""
    source = tmp_path / 'source'
    source.mkdir()
    for name in ('setup.cfg', 'setup.py', 'pyproject.toml', 'model-index.yml', 'LICENSE'):
        shutil.copy(repo_root / name, source)
    (source / 'README.md').write_text('mmseg-lrr')
    for name in ('mmseg_lrr', 'configs'):
        shutil.copytree(
            repo_root / name, source / name, ignore=shutil.ignore_patterns('__pycache__'))
    subprocess.run(
        [sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps', '--no-build-isolation',
         '--wheel-dir', str(tmp_path), str(source)], check=True)
    (wheel, ) = tmp_path.glob('*.whl')
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if '.dist-info/' not in name}
        (metadata, ) = (name for name in archive.namelist() if name.endswith('METADATA'))
        required = [line for line in archive.read(metadata).decode().splitlines()
                    if line.startswith('Requires-Dist')]
    tracked = {path.relative_to(repo_root) for folder in ('mmseg_lrr', 'configs')
               for path in (repo_root / folder).rglob('*')
               if path.is_file() and '__pycache__' not in path.parts}
    assert names == {'mmseg_lrr/.mim/model-index.yml'} | {
        ('' if path.parts[0] == 'mmseg_lrr' else 'mmseg_lrr/.mim/') + path.as_posix()
        for path in tracked}
    # Nothing heavy is required: an existing set-up stays as it is.
    assert required and all('extra ==' in line for line in required)
