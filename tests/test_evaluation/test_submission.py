# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Files for the VOC and the Cityscapes servers: layout, values, modes, and what is left alone."""

import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from mmengine.evaluator import Evaluator
from mmseg.structures import SegDataSample
from PIL import Image

from mmseg_lrr.evaluation import CityscapesSubmission, VOCSubmission
from mmseg_lrr.evaluation.label_png import save_label_png, voc_palette

from .evaluation_samples import evaluate, make_sample

VOC_FOLDER = 'results/VOC2012/Segmentation/comp6_test_cls'

# trainId -> labelId, from the public table of Cityscapes' labels.
CITYSCAPES = {
    0: 7, 1: 8, 2: 11, 3: 12, 4: 13, 5: 17, 6: 19, 7: 20, 8: 21, 9: 22, 10: 23, 11: 24, 12: 25,
    13: 26, 14: 27, 15: 28, 16: 31, 17: 32, 18: 33}


def voc_samples() -> list[SegDataSample]:
    random = np.random.default_rng(1)
    # No ground truth: the server has it.
    return [make_sample(random.integers(0, 21, size), None, img_path=f'JPEGImages/{name}.jpg')
            for name, size in (('2008_000006', (12, 9)), ('2008_000008', (1, 7)))]


@pytest.mark.parametrize(('archive', 'mode'), [('tar.gz', 'r:gz'), ('tar', 'r:')])
def test_voc_files_and_archive(tmp_path: Path, archive: str, mode: str) -> None:
    samples = voc_samples()
    metric = VOCSubmission(output_dir=str(tmp_path / 'out'), archive=archive)
    assert evaluate(metric, samples, ['a']) == {}
    names = [f'{VOC_FOLDER}/2008_000006.png', f'{VOC_FOLDER}/2008_000008.png']
    with tarfile.open(tmp_path / 'out' / f'VOC2012_comp6_test_cls.{archive}', mode) as tar:
        assert tar.getnames() == names
        for name, sample in zip(names, samples, strict=True):
            for source in (tar.extractfile(name), tmp_path / 'out' / name):
                with Image.open(source) as image:
                    assert (image.format, image.mode) == ('PNG', 'P')
                    np.testing.assert_array_equal(
                        np.asarray(image), sample.pred_sem_seg.data[0].numpy())
                    assert image.getpalette() == voc_palette().flatten().tolist()
    assert len([path for path in (tmp_path / 'out').rglob('*') if path.is_file()]) == 3


def test_voc_other_competition_as_the_tools_build_it(tmp_path: Path) -> None:
    evaluator = Evaluator(dict(
        type='mmseg.VOCSubmission', competition='comp5', archive=None,
        # What tools/test.py --out adds.
        output_dir=str(tmp_path), keep_results=True))
    evaluator.process(voc_samples())
    assert evaluator.evaluate(2) == {}
    del evaluator
    files = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob('*') if p.is_file())
    folder = 'results/VOC2012/Segmentation/comp5_test_cls'
    assert files == [f'{folder}/2008_000006.png', f'{folder}/2008_000008.png']


def test_voc_palette(shared_data) -> None:
    known = {0: (0, 0, 0), 1: (128, 0, 0), 8: (64, 0, 0), 15: (192, 128, 128), 20: (0, 64, 128),
             255: (224, 224, 192)}
    for index, colour in known.items():
        assert tuple(voc_palette()[index]) == colour
    file = min((shared_data('voc') / 'SegmentationClassAug').glob('*.png'))
    real = np.array(Image.open(file).getpalette()).reshape(-1, 3)
    np.testing.assert_array_equal(voc_palette()[:len(real)], real)


def test_cityscapes_files_and_archive(tmp_path: Path) -> None:
    train_ids = np.arange(19 * 4).reshape(4, 19) % 19
    names = [f'berlin_00000{number}_000019_leftImg8bit.png' for number in range(3)]
    samples = [make_sample(np.roll(train_ids, number), None, img_path=f'test/berlin/{name}')
               for number, name in enumerate(names)]
    assert evaluate(CityscapesSubmission(output_dir=str(tmp_path)), samples, ['a']) == {}
    with zipfile.ZipFile(tmp_path / 'cityscapes_results.zip') as archive:
        assert archive.testzip() is None
        assert archive.namelist() == names
    for name, sample in zip(names, samples, strict=True):
        with Image.open(tmp_path / name) as image:
            assert image.mode == 'L'
            expected = np.vectorize(CITYSCAPES.get)(sample.pred_sem_seg.data[0].numpy())
            np.testing.assert_array_equal(np.asarray(image), expected)


@pytest.mark.parametrize('submission', [VOCSubmission, CityscapesSubmission])
def test_nothing_in_the_way_is_touched(tmp_path: Path, submission: type) -> None:
    notes = tmp_path / 'notes.txt'
    notes.write_text('mine')
    with pytest.raises(FileExistsError, match='is not empty.*overwrite=True'):
        submission(output_dir=str(tmp_path))
    (sample, _) = voc_samples()
    for value in (3, 5):
        sample.pred_sem_seg.data[:] = value
        evaluate(submission(output_dir=str(tmp_path), overwrite=True), [sample], ['a'])
    file, = tmp_path.rglob('2008_000006.png')
    assert (np.asarray(Image.open(file)) == (5 if submission is VOCSubmission else 17)).all()
    assert notes.read_text() == 'mine'


def test_only_this_tests_images_are_archived(tmp_path: Path) -> None:
    evaluate(VOCSubmission(output_dir=str(tmp_path)), voc_samples(), ['a'])
    metric = VOCSubmission(output_dir=str(tmp_path), overwrite=True, archive='tar')
    evaluate(metric, voc_samples()[:1], ['a'])
    with tarfile.open(tmp_path / 'VOC2012_comp6_test_cls.tar') as tar:
        assert tar.getnames() == [f'{VOC_FOLDER}/2008_000006.png']
    assert (tmp_path / VOC_FOLDER / '2008_000008.png').is_file()


@pytest.mark.parametrize(('submission', 'options', 'message'), [
    (VOCSubmission, dict(archive='zip'), "archive must be one of 'tar.gz', 'tar', None, got 'zip'"),
    (VOCSubmission, dict(competition='comp7'), "competition must be one of 'comp5', 'comp6'"),
    (CityscapesSubmission, dict(archive='tar'), "archive must be one of 'zip', None, got 'tar'"),
])
def test_bad_options(tmp_path: Path, submission: type, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        submission(output_dir=str(tmp_path), **options)


def test_labels_that_do_not_fit_into_a_png(tmp_path: Path) -> None:
    for value in (256, -1):
        with pytest.raises(ValueError, match=f'holds labels 0 to 255, got {value}'):
            save_label_png(tmp_path / 'a.png', np.full((2, 2), value))
