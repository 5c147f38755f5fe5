# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The demo from end to end, on a handful of images."""

import json

import cv2
import pytest
from mmengine.config import Config
from mmseg.visualization import SegLocalVisualizer

from mmseg_lrr.apis.demo import run_demo
from mmseg_lrr.compat import load_protected

LEVELS = ['32x', '16x', '8x', '4x']


@pytest.fixture(scope='module')
def demo(tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('demo')
    # As any run of the process before it leaves one, of the name that the configs give it.
    SegLocalVisualizer.get_instance('visualizer', save_dir=str(work_dir / 'earlier'))
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


def test_pictures_have_a_column_a_picture(demo):
    work_dir, _ = demo
    levels, masks = (cv2.imread(str(work_dir / f'{name}.png')) for name in ('levels', 'masks'))
    # image, ground truth, four levels, ms, ms-crf; three images below one another
    assert levels.shape[1] > 8 * 240
    assert levels.shape[0] > 3 * 150
    # image and four levels
    assert 5 * 240 < masks.shape[1] < 6 * 240
    # the masks' colour scale and the drawn labels are not blank
    assert len({tuple(pixel) for pixel in masks[::7, ::7].reshape(-1, 3).tolist()}) > 100


def test_it_ends_with_the_page(demo):
    work_dir, results = demo
    page = (work_dir / 'report' / 'report.html').read_text()
    for figure in (*results['levels'].values(), results['ms'], results['ms_crf']):
        assert f'{figure:.2f}</td>' in page
    # The table, the curves of the boundaries, the bases, the three images.
    assert page.count('<img src="data:image/png') == 2
    assert page.count('class="card"') == 3


def test_other_tools_find_the_config_beside_the_checkpoint(demo):
    work_dir, _ = demo
    cfg = Config.fromfile(work_dir / 'lrr4x_r18_shapes_demo.py')
    assert cfg.model.type == 'LRREncoderDecoder'
    assert cfg.test_dataloader.dataset.data_root == str(work_dir / 'shapes')


def test_checkpoint_carries_the_bases(demo):
    work_dir, _ = demo
    name = (work_dir / 'last_checkpoint').read_text().strip()
    state = load_protected(name)['state_dict']
    assert bool(state['decode_head.bases_loaded'])
    assert (work_dir / 'class_bases.npy').is_file()
