# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The notebook."""

import json
from pathlib import Path

import pytest

from .documents import ROOT

CELLS = [cell for cell in json.loads((ROOT / 'demo/lrr_tour.ipynb').read_text())['cells']
         if cell['cell_type'] == 'code']


def test_outputs_are_stripped() -> None:
    assert all(not cell['outputs'] and cell['execution_count'] is None for cell in CELLS)


@pytest.mark.slow
def test_cells_run(at_work: Path, capsys: pytest.CaptureFixture) -> None:
    """In a folder where no demo has run, so that the notebook trains for a few iterations."""
    namespace: dict = {}
    for cell in CELLS:
        exec(''.join(cell['source']), namespace)
    assert set(namespace['result'].keys()) >= {'pred_sem_seg', 'pred_sem_seg_32x'}
    printed = capsys.readouterr().out
    assert 'class_threshold=0.1: ' in printed and 'unmasked: ' in printed
