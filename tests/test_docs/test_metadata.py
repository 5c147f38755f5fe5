# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The files beside the documents say the same as the package and each other."""

import re
import subprocess

import pytest
import yaml

import mmseg_lrr

from .documents import ROOT, blocks, read


def test_citation() -> None:
    citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text())
    assert citation['cff-version'] == '1.2.0'
    assert citation['version'] == mmseg_lrr.__version__
    assert {'message', 'title', 'authors'} <= set(citation)
    paper = citation['preferred-citation']
    (bibtex, ) = (block.body for block in blocks('README.md') if block.language == 'bibtex')
    assert f'title={{{paper["title"]}}}' in bibtex
    for author in paper['authors']:
        assert f'{author["family-names"]}, {author["given-names"]}' in bibtex
    assert f'year={{{paper["year"]}}}' in bibtex
    assert f'pages={{{paper["start"]}--{paper["end"]}}}' in bibtex
    assert paper['conference']['name'] in bibtex


def test_changelog_has_this_version() -> None:
    assert re.search(rf'^## {re.escape(mmseg_lrr.__version__)} ', read('CHANGELOG.md'), re.M)


def test_pre_commit_has_the_linter_with_its_own_settings() -> None:
    settings = yaml.safe_load((ROOT / '.pre-commit-config.yaml').read_text())
    (repository, ) = settings['repos']
    assert repository['repo'].endswith('/ruff-pre-commit')
    # No arguments: all settings are those of pyproject.toml, which the linter reads by itself.
    assert repository['hooks'] == [dict(id='ruff-check')]
    pyproject = (ROOT / 'pyproject.toml').read_text()
    assert '\nline-length = 100\n' in pyproject
    assert '\nselect = ["E", "F", "W", "I", "B", "UP"]\n' in pyproject


def test_development_page_is_short() -> None:
    assert re.findall(r'^\d+', read('docs/development.md'), re.M) == [
        str(number) for number in range(1, 11)]


def test_what_commands_leave_is_ignored() -> None:
    """Files that the documents' commands write into the repository's folder."""
    if not (ROOT / '.git').exists():
        pytest.skip('not a checkout')
    left = ['show/0.png', 'predictions/0.png', 'browsed/0.png', 'report/report.md', 'crf.json',
            'camvid_bases.npy', 'work_dirs/x', 'lrr.onnx', 'VGG.pth', 'voc_server/0.png',
            'confusion/confusion_matrix.png', 'camvid_predictions/0.png']
    ignored = subprocess.run(
        ['git', 'check-ignore', *left], cwd=ROOT, capture_output=True, text=True)
    if ignored.returncode == 128:
        pytest.skip(f'git cannot read the checkout: {ignored.stderr}')
    assert ignored.stdout.split() == left
