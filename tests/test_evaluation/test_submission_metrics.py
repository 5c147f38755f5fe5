# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Files for the VOC and the Cityscapes servers: layout, values, modes, and what is left alone."""

import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from mmengine.evaluator import BaseMetric, Evaluator
from mmseg.structures import SegDataSample
from PIL import Image

from mmseg_lrr.evaluation import CityscapesSubmission, VOCSubmission
from mmseg_lrr.evaluation.label_png import save_label_png, voc_palette

from .evaluation_samples import VOID, make_sample, to_dicts

VOC_FOLDER = 'results/VOC2012/Segmentation/comp6_test_cls'

# From the public table of Cityscapes' labels.
CITYSCAPES = {
    'road': (0, 7), 'sidewalk': (1, 8), 'building': (2, 11), 'wall': (3, 12), 'fence': (4, 13),
    'pole': (5, 17), 'traffic light': (6, 19), 'traffic sign': (7, 20), 'vegetation': (8, 21),
    'terrain': (9, 22), 'sky': (10, 23), 'person': (11, 24), 'rider': (12, 25), 'car': (13, 26),
    'truck': (14, 27), 'bus': (15, 28), 'train': (16, 31), 'motorcycle': (17, 32),
    'bicycle': (18, 33),
}  # yapf: disable


def run(metric: BaseMetric, samples: list[SegDataSample]) -> dict:
    metric.process({}, to_dicts(samples))
    return metric.evaluate(len(samples))


def voc_samples() -> list[SegDataSample]:
    random = np.random.default_rng(1)
    return [
        # No ground truth: the server has it.
        make_sample(random.integers(0, 21, size), None, img_path=f'JPEGImages/{name}.jpg',
                    ori_shape=size)
        for name, size in (('2008_000006', (12, 9)), ('2008_000008', (1, 7)))
    ]


def cityscapes_samples() -> list[SegDataSample]:
    train_ids = np.arange(19 * 4).reshape(4, 19) % 19
    return [
        make_sample(np.roll(train_ids, number), None,
                    img_path=f'test/berlin/berlin_00000{number}_000019_leftImg8bit.png')
        for number in range(3)
    ]


@pytest.mark.parametrize(('archive', 'mode'), [('tar.gz', 'r:gz'), ('tar', 'r:')])
def test_voc_files_and_archive(tmp_path: Path, archive: str, mode: str) -> None:
    samples = voc_samples()
    assert run(VOCSubmission(output_dir=str(tmp_path / 'out'), archive=archive), samples) == {}
    names = [f'{VOC_FOLDER}/2008_000006.png', f'{VOC_FOLDER}/2008_000008.png']
    with tarfile.open(tmp_path / 'out' / f'VOC2012_comp6_test_cls.{archive}', mode) as tar:
        assert tar.getnames() == names
        for name, sample in zip(names, samples, strict=True):
            for source in (tar.extractfile(name), tmp_path / 'out' / name):
                with Image.open(source) as image:
                    assert (image.format, image.mode) == ('PNG', 'P')
                    np.testing.assert_array_equal(
                        np.asarray(image), sample.pred_sem_seg.data[0].numpy()
                    )
                    assert image.getpalette() == voc_palette().flatten().tolist()
    left = [path for path in (tmp_path / 'out').rglob('*') if path.is_file()]
    assert len(left) == 3


def test_voc_other_competition_without_archive(tmp_path: Path) -> None:
    run(VOCSubmission(output_dir=str(tmp_path), competition='comp5', archive=None), voc_samples())
    files = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob('*') if p.is_file())
    folder = 'results/VOC2012/Segmentation/comp5_test_cls'
    assert files == [f'{folder}/2008_000006.png', f'{folder}/2008_000008.png']


def test_voc_palette_is_that_of_the_real_labels(shared_data) -> None:
    file = min((shared_data('voc') / 'SegmentationClassAug').glob('*.png'))
    real = np.array(Image.open(file).getpalette()).reshape(-1, 3)
    np.testing.assert_array_equal(voc_palette()[:len(real)], real)
    assert len(real) > 20


def test_voc_palette_of_known_classes() -> None:
    known = {0: (0, 0, 0), 1: (128, 0, 0), 8: (64, 0, 0), 15: (192, 128, 128), 20: (0, 64, 128),
             255: (224, 224, 192)}
    for index, colour in known.items():
        assert tuple(voc_palette()[index]) == colour


def test_cityscapes_files_and_archive(tmp_path: Path) -> None:
    samples = cityscapes_samples()
    assert run(CityscapesSubmission(output_dir=str(tmp_path)), samples) == {}
    names = [f'berlin_00000{number}_000019_leftImg8bit.png' for number in range(3)]
    with zipfile.ZipFile(tmp_path / 'cityscapes_results.zip') as archive:
        assert archive.testzip() is None
        assert archive.namelist() == names
    for name, sample in zip(names, samples, strict=True):
        with Image.open(tmp_path / name) as image:
            assert image.mode == 'L'
            written = np.asarray(image)
        train_ids = sample.pred_sem_seg.data[0].numpy()
        for train_id, label_id in CITYSCAPES.values():
            np.testing.assert_array_equal(written == label_id, train_ids == train_id)


def test_cityscapes_gives_the_released_labels_back(shared_data, tmp_path: Path) -> None:
    file, = shared_data('cityscapes').glob('gtFine/val/*/*_labelIds.png')
    label_ids = np.asarray(Image.open(file))
    train_ids = np.zeros(label_ids.shape, dtype=np.int64)
    scored = np.zeros(label_ids.shape, dtype=bool)
    for train_id, label_id in CITYSCAPES.values():
        train_ids[label_ids == label_id] = train_id
        scored |= label_ids == label_id
    sample = make_sample(train_ids, None, img_path='frankfurt_000000_000576_leftImg8bit.png',
                         ori_shape=(1024, 2048))
    run(CityscapesSubmission(output_dir=str(tmp_path), archive=None), [sample])
    written = np.asarray(Image.open(tmp_path / 'frankfurt_000000_000576_leftImg8bit.png'))
    np.testing.assert_array_equal(written[scored], label_ids[scored])


@pytest.mark.parametrize('name', ['VOCSubmission', 'CityscapesSubmission'])
def test_built_as_the_tools_build_it(tmp_path: Path, name: str) -> None:
    config = dict(type=f'mmseg.{name}')
    # What tools/test.py --out adds.
    config['output_dir'] = str(tmp_path / 'out')
    config['keep_results'] = True
    evaluator = Evaluator(config)
    evaluator.dataset_meta = dict(classes=['a'])
    samples = voc_samples()
    for sample in samples:
        sample.pred_sem_seg.data %= 19
    evaluator.process(samples)
    assert evaluator.evaluate(len(samples)) == {}
    assert len(list((tmp_path / 'out').rglob('*.png'))) == 2
    del evaluator
    assert len(list((tmp_path / 'out').rglob('*.png'))) == 2


@pytest.mark.parametrize('submission', [VOCSubmission, CityscapesSubmission])
def test_nothing_in_the_way_is_touched(tmp_path: Path, submission: type) -> None:
    notes = tmp_path / 'notes.txt'
    notes.write_text('mine')
    with pytest.raises(FileExistsError, match='is not empty.*overwrite=True'):
        submission(output_dir=str(tmp_path))
    metric = submission(output_dir=str(tmp_path), overwrite=True)
    samples = voc_samples()[:1]
    samples[0].pred_sem_seg.data[:] = 3
    run(metric, samples)
    # Once more, with another prediction and one image fewer in the archive.
    samples[0].pred_sem_seg.data[:] = 5
    run(submission(output_dir=str(tmp_path), overwrite=True), samples)
    file, = tmp_path.rglob('2008_000006.png')
    expected = 5 if submission is VOCSubmission else 17
    np.testing.assert_array_equal(np.asarray(Image.open(file)), np.full((12, 9), expected))
    assert notes.read_text() == 'mine'


def test_only_this_tests_images_are_archived(tmp_path: Path) -> None:
    run(VOCSubmission(output_dir=str(tmp_path)), voc_samples())
    run(VOCSubmission(output_dir=str(tmp_path), overwrite=True, archive='tar'), voc_samples()[:1])
    with tarfile.open(tmp_path / 'VOC2012_comp6_test_cls.tar') as tar:
        assert tar.getnames() == [f'{VOC_FOLDER}/2008_000006.png']
    assert (tmp_path / VOC_FOLDER / '2008_000008.png').is_file()


@pytest.mark.parametrize(('submission', 'prediction', 'meta', 'message'), [
    (VOCSubmission, np.full((2, 2), 21), {}, r'a\.jpg holds classes 21\.\.21; .* knows 0\.\.20'),
    (CityscapesSubmission, np.full((2, 2), 19), {}, r'knows 0\.\.18'),
    (VOCSubmission, np.full((2, 2), VOID), {}, r'255\.\.255'),
    (VOCSubmission, np.zeros((2, 2), int), dict(ori_shape=(4, 4)), r'full size'),
])
def test_bad_predictions(tmp_path: Path, submission, prediction, meta, message: str) -> None:
    metric = submission(output_dir=str(tmp_path))
    sample = make_sample(prediction, None, img_path='a.jpg', **meta)
    with pytest.raises(ValueError, match=message):
        metric.process({}, to_dicts([sample]))
    assert list(tmp_path.rglob('*.png')) == []


def test_two_images_of_one_name(tmp_path: Path) -> None:
    metric = CityscapesSubmission(output_dir=str(tmp_path))
    samples = [make_sample(np.zeros((2, 2), int), None, img_path=f'{d}/a.png') for d in 'xy']
    with pytest.raises(ValueError, match=r'x/a\.png and y/a\.png would both be written to a\.png'):
        metric.process({}, to_dicts(samples))


@pytest.mark.parametrize(('submission', 'options', 'message'), [
    (VOCSubmission, dict(archive='zip'), "archive must be one of 'tar.gz', 'tar', None, got 'zip'"),
    (CityscapesSubmission, dict(archive='tar'), "archive must be one of 'zip', None, got 'tar'"),
    (VOCSubmission, dict(competition='comp7'), "competition must be one of 'comp5', 'comp6'"),
    (VOCSubmission, dict(overwrite='yes'), "overwrite must be True or False, got 'yes'"),
    (CityscapesSubmission, dict(keep_results=False), 'keep_results must be one of True'),
    (CityscapesSubmission, dict(format_only=True), "unexpected keyword argument 'format_only'"),
])
def test_bad_options(tmp_path: Path, submission, options: dict, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        submission(output_dir=str(tmp_path), **options)


def test_label_png_refuses_what_it_cannot_hold(tmp_path: Path) -> None:
    for labels in (np.full((2, 2), 256), np.full((2, 2), -1), np.zeros((1, 2, 2), int)):
        with pytest.raises(ValueError, match='a label PNG holds integers 0..255'):
            save_label_png(tmp_path / 'a.png', labels)
    assert list(tmp_path.iterdir()) == []
