# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Configs by name, from a checkout and from a wheel."""

import importlib.util
import os
import shutil
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest
from mmengine.fileio import load

from mmseg_lrr.apis import configs

NAME = 'lrr4x_r101_voc'


def write_configs(root: Path) -> None:
    """Lay out a ``configs`` folder with two configs over one base."""
    (root / 'lrr' / '_base_').mkdir(parents=True)
    (root / 'lrr' / '_base_' / 'runtime.py').write_text("default_scope = 'mmseg'")
    for name in ('lrr4x_r101_voc', 'lrr32x_vgg16_voc'):
        (root / 'lrr' / f'{name}.py').write_text(
            f"_base_ = './_base_/runtime.py'\nname = {name!r}"
        )


@pytest.mark.parametrize('where', ['repository/configs', 'repository/mmseg_lrr/.mim/configs'])
@pytest.mark.parametrize('name', [f'lrr/{NAME}.py', f'lrr/{NAME}', f'{NAME}.py', NAME])
def test_config_is_found_in_a_checkout_and_in_a_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, name: str
) -> None:
    write_configs(tmp_path / where)
    monkeypatch.setattr(configs, '_PACKAGE', tmp_path / 'repository' / 'mmseg_lrr')
    cfg = configs.get_config(name)
    assert cfg.name == NAME
    assert cfg.default_scope == 'mmseg'
    assert Path(cfg.filename) == tmp_path / where / 'lrr' / f'{NAME}.py'


@pytest.mark.parametrize('name', ['lrr/lrr4x_r101_vok.py', 'lrr4x_r110', '../lrr4x_r101_voc'])
def test_unknown_name_lists_the_nearest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    write_configs(tmp_path / 'configs')
    monkeypatch.setattr(configs, '_PACKAGE', tmp_path / 'mmseg_lrr')
    with pytest.raises(FileNotFoundError, match=r'nearest: lrr/lrr4x_r101_voc\.py') as error:
        configs.get_config(name)
    assert repr(name) in str(error.value)
    assert '_base_' not in str(error.value)


def test_missing_configs_say_where_they_were_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(configs, '_PACKAGE', tmp_path / 'mmseg_lrr')
    with pytest.raises(FileNotFoundError) as error:
        configs.get_config(NAME)
    assert str(tmp_path / 'mmseg_lrr' / '.mim' / 'configs') in str(error.value)
    assert str(tmp_path / 'configs') in str(error.value)


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
            repo_root / name, source / name, ignore=shutil.ignore_patterns('__pycache__')
        )
    subprocess.run(
        [sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps', '--no-build-isolation',
         '--wheel-dir', str(folder), str(source)],
        check=True,
    )  # fmt: skip
    (built,) = folder.glob('*.whl')
    return built


def test_wheel_holds_the_module_and_mim_and_nothing_else(wheel: Path, repo_root: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(
            next(name for name in names if name.endswith('.dist-info/METADATA'))
        ).decode()
    assert {name.split('/')[0].split('-')[0] for name in names} == {'mmseg_lrr'}
    expected = {
        f'mmseg_lrr/.mim/{path.relative_to(repo_root).as_posix()}'
        for path in (repo_root / 'configs').rglob('*')
        if path.is_file() and '__pycache__' not in path.parts
    } | {'mmseg_lrr/.mim/model-index.yml'}
    assert {name for name in names if '/.mim/' in name} == expected
    # Nothing heavy is required: an existing set-up stays as it is.
    required = [line for line in metadata.splitlines() if line.startswith('Requires-Dist')]
    assert required and all('extra ==' in line for line in required)


def test_config_comes_out_of_an_installed_wheel(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / 'site'
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    # mmengine 0.10.7 looks packages up through pkg_resources, which setuptools 82 took out.
    hub_works = importlib.util.find_spec('pkg_resources') is not None
    code = f"""
        import sys
        sys.modules['pkg_resources'] = None
        import mmseg_lrr
        found = [mmseg_lrr.get_config({NAME!r})]
        del sys.modules['pkg_resources']
        if {hub_works}:
            from mmengine.hub import get_config
            found.append(get_config('mmseg_lrr::lrr/{NAME}.py'))
        for cfg in found:
            print(cfg.filename)
    """
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', textwrap.dedent(code)],
        cwd=tmp_path,
        env={**os.environ, 'PYTHONPATH': str(site)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    config = site / 'mmseg_lrr' / '.mim' / 'configs' / 'lrr' / f'{NAME}.py'
    # The forks' mmcv prints what it lacks first.
    assert done.stdout.splitlines()[-1 - hub_works:] == [str(config)] * (1 + hub_works)
