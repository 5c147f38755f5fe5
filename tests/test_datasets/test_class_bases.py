# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
import hashlib
from types import SimpleNamespace

import numpy as np
import pytest

from mmseg_lrr.datasets.class_bases import (
    class_bases_fingerprint,
    compute_class_bases,
    dataset_class_names,
    load_class_bases,
    save_class_bases,
)
from mmseg_lrr.ops.bases import basis_functions, dct_basis_functions, sample_patches


@pytest.fixture
def logged(monkeypatch):
    records = []
    monkeypatch.setattr('mmseg_lrr.datasets.class_bases.print_log',
                        lambda message, **kwargs: records.append(message))
    return records


def halves():
    """Classes 0 and 1 share a slanted edge, 2 is a speck, 3 has no pixels."""
    rows, columns = np.mgrid[:80, :90]
    label_map = (rows + 0.3 * columns > 50).astype(np.uint8)
    label_map[5, 5] = 2
    return label_map


def test_computes_or_keeps_the_dct_functions(logged):
    maps = [halves(), np.ones((20, 80), np.uint8)]
    names = ['left', 'right', 'speck', 'none']
    bases = compute_class_bases(maps, names, 6, num_patches=400, seed=3)
    assert bases.shape == (4, 6, 32, 32) and bases.dtype == np.float32
    sample = sample_patches(maps, [1], num_patches=400, seed=3)
    np.testing.assert_array_equal(bases[1], basis_functions(sample.patches[0].unpack(), 6))
    np.testing.assert_array_equal(bases[2:], dct_basis_functions(2, 6))
    text = '\n'.join(logged)
    assert 'class 2 ("speck") has no 32x32 patch with 2% of it' in text
    assert 'class 3 ("none") has no pixels in the training label maps' in text
    assert '1 of 2 label maps have a side shorter than 32 pixels' in text
    assert 'class 0' not in text and 'class 1' not in text


def test_patches_too_alike_keep_the_dct_functions(logged):
    bases = compute_class_bases([np.zeros((40, 40), np.uint8)], ['all'], 4, num_patches=100)
    np.testing.assert_array_equal(bases, dct_basis_functions(1, 4))
    assert any('class 0 ("all") has 100 patches too alike' in text for text in logged)


def test_masks_of_0_and_255_are_refused():
    maps = [np.uint8(255) * (halves() > 0), np.zeros((40, 40), np.uint8)]
    with pytest.raises(ValueError, match='only 0 and 255 occur .* save them anew as 0 and 1'):
        compute_class_bases(maps, ['background', 'leaf'], 4, num_patches=100)
    compute_class_bases([one // 255 for one in maps], ['background', 'leaf'], 4, num_patches=100)


def test_class_names():
    dataset = SimpleNamespace(metainfo=dict(classes=('sky', 'road')))
    assert dataset_class_names(dataset, 3) == ['sky', 'road', '2']
    assert dataset_class_names(dataset, 1) == ['sky']
    assert dataset_class_names(SimpleNamespace(metainfo={}), 2) == ['0', '1']


def test_fingerprint_tells_settings_apart():
    def fingerprint(files=('a', 'b'), mappings=(), names=('x',), bases=10, patches=9, seed=0):
        maps = SimpleNamespace(files=list(files), mappings=list(mappings))
        return class_bases_fingerprint(maps, list(names), bases, num_patches=patches, seed=seed)

    variants = [{}, dict(files=('b', 'a')), dict(mappings=[dict(label_map={0: 1})]),
                dict(names=('y',)), dict(bases=9), dict(patches=8), dict(seed=1)]
    assert len({fingerprint(**variant) for variant in variants}) == len(variants)
    assert fingerprint() == fingerprint()


def test_file_round_trip(tmp_path):
    bases = np.random.default_rng(0).standard_normal((3, 10, 32, 32)).astype(np.float32)
    path = tmp_path / 'new' / 'bases.npy'
    digest = save_class_bases(path, bases)
    np.testing.assert_array_equal(load_class_bases(path, 3, 10), bases)
    np.testing.assert_array_equal(load_class_bases(path, 3, 4), bases[:, :4])
    assert hashlib.sha256(path.read_bytes()).hexdigest() == digest


@pytest.mark.parametrize('shape', [(4, 10, 32, 32), (3, 9, 32, 32), (3, 10, 8, 8), (3, 10240)])
def test_refuses_a_file_of_another_shape(tmp_path, shape):
    np.save(tmp_path / 'bases.npy', np.zeros(shape, np.float32))
    with pytest.raises(ValueError, match=r'bases\.npy have .* expected \(3, 10 or more, 32, 32\)'):
        load_class_bases(tmp_path / 'bases.npy', 3, 10)
