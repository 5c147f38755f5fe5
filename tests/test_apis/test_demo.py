# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The demo from end to end, on a handful of images."""

import json

import cv2
import pytest

from mmseg_lrr.apis.demo import run_demo

LEVELS = ['32x', '16x', '8x', '4x']


@pytest.fixture(scope='module')
def demo(tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('demo')
    return work_dir, run_demo(work_dir, num_train=8, num_val=3, max_iters=2)


def test_results_file_holds_every_row(demo):
    work_dir, results = demo
    assert json.loads((work_dir / 'results.json').read_text()) == json.loads(json.dumps(results))
    assert list(results['levels']) == LEVELS
    assert list(results['trimap']) == LEVELS
    figures = [*results['levels'].values(), results['ms'], results['ms_crf']]
    figures += [value for widths in results['trimap'].values() for value in widths.values()]
    assert all(0 <= figure <= 100 for figure in figures)
    assert results['seconds'] > 0


def test_panel_has_a_row_an_image_and_a_column_a_picture(demo):
    work_dir, _ = demo
    panel = cv2.imread(str(work_dir / 'levels.png'))
    # image, ground truth, four levels, three masks
    assert panel.shape[1] > 9 * 100
    assert panel.shape[0] > 3 * 100
    # the masks' colour scale (viridis' dark blue-violet) and the drawn labels are not blank
    assert len({tuple(pixel) for pixel in panel[::7, ::7].reshape(-1, 3).tolist()}) > 100


def test_checkpoint_carries_the_bases(demo):
    import torch
    work_dir, _ = demo
    name = (work_dir / 'last_checkpoint').read_text().strip()
    state = torch.load(name, weights_only=True)['state_dict']
    assert bool(state['decode_head.bases_loaded'])
    assert (work_dir / 'class_bases.npy').is_file()
