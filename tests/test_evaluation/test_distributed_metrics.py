# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Two processes report what one does, to the last count."""

import json
import os
import runpy
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def start(repo_root: Path, script: Path, *arguments: object) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, '-W', 'ignore', str(script), *map(str, arguments)],
        env={**os.environ, 'PYTHONPATH': str(repo_root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_two_processes_equal_one(
    tmp_path: Path, repo_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, together = tmp_path / 'alone', tmp_path / 'together'
    alone.mkdir()
    together.mkdir()
    script = Path(__file__).with_name('evaluate_share.py')
    runs = [start(repo_root, script, together, rank, 2) for rank in (0, 1)]
    # The script changes the working directory; this has it put back.
    monkeypatch.chdir(alone)
    monkeypatch.syspath_prepend(script.parent)
    runpy.run_path(str(script))['main'](str(alone), 0, 1)
    for run in runs:
        output, _ = run.communicate(timeout=240)
        assert run.returncode == 0, output

    expected = json.loads((alone / 'rank0.json').read_text())
    ranks = [json.loads((together / f'rank{rank}.json').read_text()) for rank in (0, 1)]
    images = len(expected['share'])
    assert sum(len(result['share']) for result in ranks) == images + 1
    assert {'mIoU', 'mIoU_32x', 'trimap_mIoU@4_8x', 'apart/trimap_mIoU@1'} <= set(
        expected['metrics'])
    for result in ranks:
        assert result['metrics'] == expected['metrics']
    assert (together / 'bands.csv').read_text() == (alone / 'bands.csv').read_text()

    archives = [folder / 'out' / 'VOC2012_comp6_test_cls.tar' for folder in (alone, together)]
    with tarfile.open(archives[0]) as one, tarfile.open(archives[1]) as two:
        assert two.getnames() == one.getnames()
        assert len(one.getnames()) == images
        for name in one.getnames():
            pictures = [np.asarray(Image.open(tar.extractfile(name))) for tar in (one, two)]
            np.testing.assert_array_equal(*pictures)


def test_two_images_of_one_name_in_two_processes(tmp_path: Path, repo_root: Path) -> None:
    """Refused in both processes, as one process refuses them; one image in both is none."""
    script = Path(__file__).with_name('same_name.py')
    for run in [start(repo_root, script, tmp_path, rank) for rank in (0, 1)]:
        output, _ = run.communicate(timeout=240)
        assert run.returncode == 0, output
        said = [line for line in output.splitlines() if 'written to' in line or line == 'fine']
        member = 'results/VOC2012/Segmentation/comp6_test_cls/x.png'
        assert said == [
            *(f'a/x.jpg and b/x.jpg would both be written to {name}'
              for name in ('x.png', 'x.png', member)), *['fine'] * 3]
