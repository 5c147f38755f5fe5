# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Configs by name, from a checkout and from a wheel."""

import importlib.util
import os
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
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
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


@pytest.fixture(scope='module')
def wheel(repo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a wheel from a copy of the repository: a build leaves files behind."""
    folder = tmp_path_factory.mktemp('wheel')
    source = folder / 'source'
    source.mkdir()
    for name in ('setup.cfg', 'setup.py', 'pyproject.toml', 'model-index.yml', 'LICENSE'):
        shutil.copy(repo_root / name, source)
    (source / 'README.md').write_text('mmseg-lrr')
    for name in ('mmseg_lrr', 'configs'):
        shutil.copytree(
            repo_root / name, source / name, ignore=shutil.ignore_patterns('__pycache__'))
    subprocess.run(
        [sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps', '--no-build-isolation',
         '--wheel-dir', str(folder), str(source)], check=True)
    (built, ) = folder.glob('*.whl')
    return built


def test_wheel_holds_the_package_and_its_configs(wheel: Path, repo_root: Path) -> None:
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


def test_config_comes_out_of_an_installed_wheel(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / 'site')
    code = f'import mmseg_lrr; print(mmseg_lrr.get_config({NAME!r}).filename)'
    # mmengine 0.10.7 looks packages up through pkg_resources, which setuptools 82 took out.
    if importlib.util.find_spec('pkg_resources'):
        code += (f'; from mmengine.hub import get_config'
                 f'; print(get_config("mmseg_lrr::lrr/{NAME}.py").filename)')
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, 'PYTHONPATH': str(tmp_path / 'site')}, check=True)
    config = tmp_path / 'site' / 'mmseg_lrr' / '.mim' / 'configs' / 'lrr' / f'{NAME}.py'
    # The forks' mmcv prints what it lacks first.
    found = [line for line in done.stdout.splitlines() if line.endswith('.py')]
    assert set(found) == {str(config)} and len(found) == code.count('print')
