# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Images, labels and lists as they come from disks: odd, broken, missing, contradictory."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS, MODELS, TRANSFORMS
from mmseg.structures import SegDataSample
from mmseg_lrr.datasets.listed_files import check_configured_lists
from PIL import Image
from torch import nn

from mmseg_lrr.apis import toolbox
from mmseg_lrr.datasets import LabelMaps, compute_class_bases
from mmseg_lrr.evaluation.metrics import LRRIoUMetric, TrimapIoUMetric

from ..small_segmentors import (
    build,
    lrr_config,
    predict,
    random_image,
    single_pipeline,
    tta_pipeline,
)
from ..test_engine.small_test import dataset_config, make_images, make_runner

CRF = dict(type='DenseCRF', iterations=1)
PHOTO = random_image(48, 64)


@pytest.fixture(autouse=True)
def _quick_runners(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the config's text on one line, and do not ask the system for its compilers."""
    monkeypatch.setattr('mmengine.config.config.FormatCode', lambda text, **_: (text, True),
                        raising=False)  # The fork has none.
    monkeypatch.setattr('mmengine.runner.runner.collect_env', dict)


@pytest.fixture(scope='module')
def models() -> dict[str, nn.Module]:
    return {
        'single': build(lrr_config(test_cfg=dict(level_outputs=True, crf=CRF))),
        'ms-crf': build(dict(type='LRRTTAModel', module=lrr_config(), crf=CRF))}


PIPELINES = {'single': single_pipeline, 'ms-crf': tta_pipeline}


def encoded(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def png16(pixels: np.ndarray) -> bytes:
    return cv2.imencode('.png', pixels.astype(np.uint16) * 257)[1].tobytes()


GREY = PHOTO[..., 0]
RGB = Image.fromarray(PHOTO)
#: Files that are images, though not three channels of eight bits: bytes and (height, width).
ODD_IMAGES = {
    'grey.png': (encoded(Image.fromarray(GREY), 'PNG'), (48, 64)),
    'grey.jpg': (encoded(Image.fromarray(GREY), 'JPEG'), (48, 64)),
    'grey with alpha.png': (encoded(Image.fromarray(GREY).convert('LA'), 'PNG'), (48, 64)),
    'rgba.png': (encoded(RGB.convert('RGBA'), 'PNG'), (48, 64)),
    '16 bits.png': (png16(PHOTO), (48, 64)),
    '16 bits grey.png': (png16(GREY), (48, 64)),
    'cmyk.jpg': (encoded(RGB.convert('CMYK'), 'JPEG'), (48, 64)),
    'palette.png': (encoded(RGB.convert('P'), 'PNG'), (48, 64)),
    'one bit.png': (encoded(RGB.convert('1'), 'PNG'), (48, 64)),
    'one pixel.png': (encoded(RGB.crop((0, 0, 1, 1)), 'PNG'), (1, 1)),
    '1x10000.png': (encoded(Image.fromarray(random_image(1, 10000)), 'PNG'), (1, 10000)),
    '10000x1.png': (encoded(Image.fromarray(random_image(10000, 1)), 'PNG'), (10000, 1)),
}
JPEG, PNG = encoded(RGB, 'JPEG'), encoded(RGB, 'PNG')
#: Files that are none.
BROKEN_IMAGES = {
    'half a JPEG.jpg': JPEG[:len(JPEG) // 2],
    'header of a JPEG.jpg': JPEG[:30],
    'half a PNG.png': PNG[:len(PNG) // 2],
    'header of a PNG.png': PNG[:30],
    'empty.jpg': b'',
    'text.jpg': b'no picture',
}


@pytest.mark.parametrize('way', PIPELINES)
@pytest.mark.parametrize('name', ODD_IMAGES)
def test_odd_images_are_tested(models: dict, tmp_path: Path, name: str, way: str) -> None:
    content, size = ODD_IMAGES[name]
    (tmp_path / name).write_bytes(content)
    sample = predict(models[way], PIPELINES[way](file=True), dict(img_path=str(tmp_path / name)))
    assert sample.pred_sem_seg.data.shape == (1, *size)
    assert torch.isfinite(sample.seg_logits.data).all()


@pytest.mark.parametrize('name', ['grey.png', 'palette.png', 'rgba.png', '16 bits.png'])
def test_odd_images_are_seen_as_their_colours(models: dict, tmp_path: Path, name: str) -> None:
    """The same colours as an ordinary file give the same result."""
    (tmp_path / name).write_bytes(ODD_IMAGES[name][0])
    with Image.open(io.BytesIO(ODD_IMAGES[name][0])) as image:
        plain = image.convert('RGB')
    if name == '16 bits.png':
        # Saved from an array in OpenCV's order; Pillow would cut such values, not scale them.
        plain = Image.fromarray(PHOTO[..., ::-1])
    plain.save(tmp_path / 'plain.png')
    one, other = (
        predict(models['single'], single_pipeline(file=True), dict(img_path=str(tmp_path / file)))
        for file in (name, 'plain.png'))
    assert torch.equal(one.seg_logits.data, other.seg_logits.data)


@pytest.mark.parametrize('name', [*BROKEN_IMAGES, 'missing.png'])
def test_broken_images_are_errors(models: dict, tmp_path: Path, name: str) -> None:
    if name in BROKEN_IMAGES:
        (tmp_path / name).write_bytes(BROKEN_IMAGES[name])
    with pytest.raises((AssertionError, FileNotFoundError, cv2.error)) as raised:
        predict(models['single'], single_pipeline(file=True), dict(img_path=str(tmp_path / name)))
    # OpenCV's error for a file without a byte names none; the test loop does, see below.
    assert name in str(raised.value) or name == 'empty.jpg'


ARRAYS = {
    'rgba': (np.dstack([PHOTO, GREY]), ValueError, r'\(48, 64, 4\)'),
    'two channels': (PHOTO[..., :2], ValueError, r'\(48, 64, 2\)'),
    'a batch': (PHOTO[None], ValueError, r'\(1, 48, 64, 3\)'),
    'a row': (PHOTO[0, :, 0], ValueError, r'\(64,\)'),
    'no pixels': (PHOTO[:0], ValueError, r'\(0, 64, 3\)'),
    '16 bits': (PHOTO.astype(np.uint16), TypeError, 'uint16'),
    '64 bits': (PHOTO.astype(np.int64), TypeError, 'int64'),
    'booleans': (PHOTO > 100, TypeError, 'bool'),
    'complex': (PHOTO.astype(complex), TypeError, 'complex128'),
}


@pytest.mark.parametrize('transform', ['ResizeToCanvas', 'ScaleAugmentation', 'RatioAugmentation'])
@pytest.mark.parametrize('case', ARRAYS)
def test_arrays_that_are_no_images_are_refused(case: str, transform: str) -> None:
    array, error, message = ARRAYS[case]
    init_default_scope('mmseg')
    resize = TRANSFORMS.build(dict(type=transform))
    with pytest.raises(error, match=f'a/b.jpg must be .* got .*{message}'):
        resize(dict(img=array, img_path='a/b.jpg'))


@pytest.mark.parametrize('transform', ['ResizeToCanvas', 'ScaleAugmentation', 'RatioAugmentation'])
@pytest.mark.parametrize('shape', [(48, 64), (48, 64, 1)])
def test_grey_arrays_are_grey_images(shape: tuple[int, ...], transform: str) -> None:
    resize = TRANSFORMS.build(dict(type=transform))
    colour = np.repeat(GREY[..., None], 3, axis=2)
    results = []
    for array in (GREY.reshape(shape), colour):
        np.random.seed(3)
        results.append(resize(dict(img=array))['img'])
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize('way', PIPELINES)
def test_image_of_no_numbers_is_named(models: dict, way: str) -> None:
    model = build(lrr_config()) if way == 'single' else build(
        dict(type='LRRTTAModel', module=lrr_config()))
    image = PHOTO.astype(np.float32)
    image[3, 4] = math.nan
    with pytest.raises(FloatingPointError, match='prediction of an image in memory is not finite'):
        predict(model, PIPELINES[way](), image)


# ------------------------------------------------------------------------------- labels


def write(folder: Path, labels: np.ndarray | bytes) -> dict:
    """An image and its labels on disk, as a data set lists them."""
    image, path = folder / 'image.png', folder / 'labels.png'
    Image.fromarray(PHOTO).save(image)
    if isinstance(labels, bytes):
        path.write_bytes(labels)
    else:
        cv2.imwrite(str(path), labels)
    return dict(img_path=str(image), seg_map_path=str(path), seg_fields=[], label_map=None,
                reduce_zero_label=False)


def load(info: dict, **options: object) -> dict:
    init_default_scope('mmseg')
    return Compose([
        dict(type='LoadImageFromFile'), dict(type='LoadAnnotationsIfAny', **options)])(info)


LABELS = np.random.default_rng(0).integers(0, 3, (48, 64), np.uint8)
LABEL_PNG = encoded(Image.fromarray(LABELS), 'PNG')
BAD_LABELS = {
    'smaller': (LABELS[:24, :32], r'\(24, 32\).*image\.png of \(48, 64\)'),
    'turned': (LABELS.T, r'\(64, 48\).*image\.png of \(48, 64\)'),
    'colours': (np.dstack([LABELS] * 3), r'\(48, 64, 3\).*image\.png of \(48, 64\)'),
    'one pixel': (LABELS[:1, :1], r'image\.png of \(48, 64\)'),
    'half a PNG': (LABEL_PNG[:len(LABEL_PNG) // 2], 'cannot be read'),
    'header of a PNG': (LABEL_PNG[:30], 'cannot be read'),
    'empty': (b'', 'cannot be read'),
    'text': (b'no picture', 'cannot be read'),
    '16 bits': (np.where(LABELS == 1, np.uint16(256), LABELS), 'hold 256; labels are integers'),
    '32 bits': (encoded(Image.fromarray(np.full((48, 64), 70000, np.int32)), 'TIFF'), 'hold 70000'),
    'negative': (encoded(Image.fromarray(np.full((48, 64), -1, np.int32)), 'TIFF'), 'hold -1'),
    'fractions': (encoded(Image.fromarray(np.full((48, 64), 1.5, np.float32)), 'TIFF'), 'hold 1.5'),
    'NaN': (encoded(Image.fromarray(np.full((48, 64), math.nan, np.float32)), 'TIFF'), 'hold nan'),
}


@pytest.mark.parametrize('backend', ['pillow', 'cv2'])
@pytest.mark.parametrize('case', BAD_LABELS)
def test_bad_labels_name_their_file(tmp_path: Path, case: str, backend: str) -> None:
    labels, message = BAD_LABELS[case]
    with pytest.raises(ValueError, match=rf'labels .*/labels\.png .*{message}'):
        load(write(tmp_path, labels), imdecode_backend=backend)


@pytest.mark.parametrize('kind', [np.uint16, np.int32, np.float32])
def test_labels_of_many_bits_that_eight_hold_are_loaded(tmp_path: Path, kind: type) -> None:
    info = write(tmp_path, encoded(Image.fromarray(LABELS.astype(kind)), 'TIFF'))
    loaded = load(info)['gt_seg_map']
    assert loaded.dtype == np.uint8
    np.testing.assert_array_equal(loaded, LABELS)


@pytest.mark.parametrize('reduced', [False, True])
@pytest.mark.parametrize('label_map', [None, {0: 255, 1: 0, 2: 1}])
def test_labels_are_mapped_as_by_the_toolbox(
        tmp_path: Path, reduced: bool, label_map: dict | None) -> None:
    labels = LABELS.copy()
    labels[:3], labels[3:6] = 255, 254
    info = dict(write(tmp_path, labels), reduce_zero_label=reduced, label_map=label_map)
    expected = TRANSFORMS.build(dict(type='LoadAnnotations'))({**info, 'seg_fields': []})
    loaded = load(info)
    np.testing.assert_array_equal(loaded['gt_seg_map'], expected['gt_seg_map'])
    assert loaded['seg_fields'] == ['gt_seg_map'] and loaded['gt_seg_map'].dtype == np.uint8


def test_a_loader_that_contradicts_its_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r'reduce_zero_label is True, .*/labels\.png says False'):
        load(write(tmp_path, LABELS), reduce_zero_label=True)


def test_missing_labels_name_their_file(tmp_path: Path) -> None:
    info = write(tmp_path, LABELS)
    Path(info['seg_map_path']).unlink()
    with pytest.raises(FileNotFoundError, match=r'labels\.png'):
        load(info)


@pytest.mark.parametrize('size', [(1, 1), (1, 50), (50, 1)])
def test_labels_of_one_pixels_width(tmp_path: Path, size: tuple[int, int]) -> None:
    """The toolbox drops axes of length 1."""
    labels = np.random.default_rng(0).integers(0, 3, size, np.uint8)
    info = write(tmp_path, labels)
    cv2.imwrite(info['img_path'], random_image(*size))
    np.testing.assert_array_equal(load(info)['gt_seg_map'], labels)


@pytest.mark.parametrize('name', ['ScaleAugmentation', 'RatioAugmentation'])
def test_training_scales_refuse_labels_of_another_size(name: str) -> None:
    """Scaled to the same square, they would fit and be wrong."""
    transform = TRANSFORMS.build(dict(type=name))
    data = dict(img=PHOTO, gt_seg_map=LABELS[:24, :32], seg_fields=['gt_seg_map'],
                seg_map_path='labels/a.png', img_path='images/a.png')
    with pytest.raises(ValueError, match=r'labels/a\.png .*\(24, 32\).*a\.png of \(48, 64\)'):
        transform(data)


def sample(labels: np.ndarray) -> SegDataSample:
    data = torch.from_numpy(np.ascontiguousarray(labels)).long()
    return SegDataSample(gt_sem_seg=PixelData(data=data if data.ndim == 3 else data[None]),
                         metainfo=dict(seg_map_path='labels/a.png'))


def test_batch_scales_refuse_labels_of_another_size() -> None:
    preprocessor = MODELS.build(ConfigDict(
        type='LRRDataPreProcessor', size_divisor=32, raw_pad_value=128,
        scale_augmentation=dict(type='ScaleAugmentation')))
    image = torch.from_numpy(PHOTO).permute(2, 0, 1)
    with pytest.raises(ValueError, match=r'labels/a\.png .*\(24, 32\)'):
        preprocessor(dict(inputs=[image], data_samples=[sample(LABELS[:24, :32])]), training=True)


@pytest.mark.parametrize('labels', [LABELS[:24, :32], LABELS.T,
                                    np.repeat(LABELS[None], 3, axis=0)])
def test_labels_of_another_shape_are_refused_in_training(labels: np.ndarray) -> None:
    model = build(lrr_config())
    with pytest.raises(ValueError, match=r'labels/a\.png .* input of \(48, 64\)'):
        model.loss(torch.zeros(1, 3, 48, 64), [sample(labels)])


@pytest.mark.parametrize('value', [3, 77, 254])
def test_values_that_are_no_class_name_their_file(value: int) -> None:
    labels = LABELS.copy()
    labels[5, 6] = value
    model = build(lrr_config())
    with pytest.raises(ValueError, match=rf'0 \.\. 2 or 255, got \[{value}\] in labels/a\.png'):
        model.loss(torch.zeros(1, 3, 48, 64), [sample(labels)])
    for metric in (LRRIoUMetric(), TrimapIoUMetric()):
        metric.dataset_meta = dict(classes=('a', 'b', 'c'))
        tested = sample(labels)
        tested.pred_sem_seg = PixelData(data=torch.zeros(1, 48, 64, dtype=torch.int64))
        with pytest.raises(ValueError, match=rf'labels/a\.png holds the class {value}'):
            metric.process(None, [tested.to_dict()])


KINDS_OF_LABELS = {
    'all ignored': np.full((48, 64), 255, np.uint8),
    'one class': np.zeros((48, 64), np.uint8),
    'the first class absent': np.where(LABELS == 0, 1, LABELS),
    'one labelled pixel': np.pad(np.array([[2]], np.uint8), ((0, 47), (0, 63)),
                                 constant_values=255),
}


@pytest.mark.parametrize('case', KINDS_OF_LABELS)
def test_absent_classes_and_ignored_images_train(case: str) -> None:
    model = build(lrr_config(head=dict(
        dilation_erosion=dict(type='DilationErosionBranch')))).train()
    losses = model.loss(torch.rand(1, 3, 48, 64), [sample(KINDS_OF_LABELS[case])])
    values = [value for name, value in losses.items() if 'loss' in name]
    assert len(values) == 6
    assert all(math.isfinite(value.item()) for value in values)
    sum(values).backward()
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    if case == 'all ignored':
        assert all(value.item() == 0 for value in values)
        assert not any(gradient.any() for gradient in gradients)


@pytest.mark.parametrize('case', KINDS_OF_LABELS)
def test_absent_classes_and_ignored_images_are_scored(case: str) -> None:
    labels = KINDS_OF_LABELS[case]
    metric = LRRIoUMetric(trimap=dict(widths=[3]))
    metric.dataset_meta = dict(classes=('a', 'b', 'c'))
    tested = sample(labels)
    tested.pred_sem_seg = PixelData(data=torch.from_numpy(np.where(labels == 255, 0, labels))[None])
    metric.process(None, [tested.to_dict()])
    scores = metric.compute_metrics(metric.results)
    if case == 'all ignored':
        assert math.isnan(scores['mIoU'])
    else:
        assert scores['mIoU'] == 100


def test_bases_of_ignored_and_small_label_maps() -> None:
    """Classes without patches keep the functions of a head without data."""
    maps = [np.full((40, 40), 255, np.uint8), np.zeros((1, 1), np.uint8),
            np.zeros((1, 10000), np.uint8)]
    bases = compute_class_bases(maps, ['a', 'b', 'c'], 4, num_patches=10)
    assert bases.shape == (3, 4, 32, 32) and np.isfinite(bases).all()
    np.testing.assert_array_equal(bases[0], bases[2])


# ------------------------------------------------------------------------------- lists


def listed(folder: Path, kind: str, text: str, **options: object) -> object:
    (folder / 'list.txt').write_text(text)
    return DATASETS.build(dict(
        type=kind, data_root=str(folder), ann_file='list.txt', pipeline=[], **options))


@pytest.mark.parametrize('kind', ['CamVidDataset', 'ShapesDataset'])
@pytest.mark.parametrize('text', ['', '\n\n', '  \n'])
def test_empty_lists_are_refused(tmp_path: Path, kind: str, text: str) -> None:
    with pytest.raises(ValueError, match=r'the list ann_file=.*list\.txt lists no images'):
        listed(tmp_path, kind, text)


@pytest.mark.parametrize('command, option', [
    ('train', 'train_dataloader.dataset'), ('train', 'val_dataloader.dataset.dataset'),
    ('test', 'test_dataloader.dataset.datasets.1')])
@pytest.mark.parametrize('text', ['', '\n'])
def test_empty_lists_of_the_toolboxs_data_sets_are_refused(
    tmp_path: Path, command: str, option: str, text: str
) -> None:
    """By themselves these end with "need at least one array to concatenate", or look for .jpg."""
    (tmp_path / 'list.txt').write_text('a\n')
    (tmp_path / 'empty.txt').write_text(text)
    one = dict(type='PascalVOCDataset', data_root=str(tmp_path), ann_file='list.txt')
    repeated, joined = (dict(type='RepeatDataset', dataset=one, times=2),
                        dict(type='ConcatDataset', datasets=[one, one]))
    for dataset in (one, repeated, joined):
        check_configured_lists(dataset)
    config = tmp_path / 'config.py'
    config.write_text(f'train_dataloader = dict(dataset={one})\nval_dataloader = dict(dataset='
                      f'{repeated})\ntest_dataloader = dict(dataset={joined})\n')
    with pytest.raises(ValueError, match=r'the list ann_file=.*empty\.txt lists no images'):
        getattr(toolbox, command)([str(config), '--cfg-options', f'{option}.ann_file=empty.txt'])


@pytest.mark.parametrize('indices, names', [(2, 'ab'), (-1, 'c'), ([2, 0, -2], 'cab')])
def test_some_images_of_a_list(tmp_path: Path, indices: int | list[int], names: str) -> None:
    dataset = listed(tmp_path, 'ShapesDataset', 'a\nb\nc\n', indices=indices)
    found = [Path(dataset.get_data_info(index)['img_path']).stem for index in range(len(dataset))]
    assert sorted(found) == sorted(names)


@pytest.mark.parametrize('index', [3, -4])
def test_numbers_beyond_the_list_are_refused(tmp_path: Path, index: int) -> None:
    with pytest.raises(ValueError, match=rf'indices .* an integer >= -3 and <= 2, got {index}'):
        listed(tmp_path, 'ShapesDataset', 'a\nb\nc\n', indices=[0, index])


def test_list_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / 'list.txt').write_bytes(b'\xff\xfe\x00')
    with pytest.raises(ValueError, match=r'the list ann_file=.*list\.txt is not text'):
        DATASETS.build(dict(type='CamVidDataset', data_root=str(tmp_path), ann_file='list.txt'))


def test_empty_lines_are_skipped(tmp_path: Path) -> None:
    dataset = listed(tmp_path, 'CamVidDataset', 'a\n\nb\n\n')
    assert [Path(dataset.get_data_info(i)['img_path']).name for i in range(len(dataset))] == [
        'a.jpg', 'b.jpg']


def test_empty_folder_is_no_training_set(tmp_path: Path) -> None:
    dataset = BaseSegDataset(data_root=str(tmp_path), data_prefix=dict(img_path='.'),
                             pipeline=[], lazy_init=True, serialize_data=False)
    with pytest.raises(ValueError, match='lists no files'):
        LabelMaps(dataset)


# ------------------------------------------------------------------------------- a long test


def test_a_test_outlives_everything_that_is_broken(tmp_path: Path) -> None:
    """Broken images and labels among good ones: listed at the end, in no metric."""
    images = make_images(tmp_path / 'data', 3)
    broken = {}
    for name, content in BROKEN_IMAGES.items():
        stem = f'{name.split(".")[0]}'
        (images / 'images' / f'{stem}.png').write_bytes(content)
        cv2.imwrite(str(images / 'labels' / f'{stem}.png'), LABELS)
        broken[f'{stem}.png'] = 'loading'
    bad_labels: dict[str, Callable[[], np.ndarray | bytes]] = {
        name: labels for name, (labels, _) in BAD_LABELS.items()}
    bad_labels['no class'] = np.full((48, 64), 77, np.uint8)
    for name, labels in bad_labels.items():
        stem = f'labels {name}'
        Image.fromarray(PHOTO).save(images / 'images' / f'{stem}.png')
        path = images / 'labels' / f'{stem}.png'
        if isinstance(labels, bytes):
            path.write_bytes(labels)
        else:
            cv2.imwrite(str(path), labels)
        broken[f'{stem}.png'] = 'metric' if name == 'no class' else 'loading'
    Image.fromarray(PHOTO).save(images / 'images' / 'without labels.png')
    broken['without labels.png'] = 'loading'

    model = build(lrr_config(test_cfg=dict(crf=CRF)))
    runner, recorder = make_runner(model, images, tmp_path / 'work',
                                   loop=dict(collect_failures=True))
    metrics = runner.test()
    assert metrics.pop('failed_images') == len(broken)
    records = json.loads((tmp_path / 'work' / 'failures.json').read_text())
    assert {Path(record['path']).name: record['stage'] for record in records} == broken
    assert [names for _, names in recorder.after] == [['0.png'], ['1.png'], ['2.png']]

    good = make_images(tmp_path / 'good', 3)
    alone, _ = make_runner(model, good, tmp_path / 'alone')
    assert alone.test() == metrics


def test_a_test_of_an_empty_folder_says_so(tmp_path: Path) -> None:
    (tmp_path / 'images').mkdir()
    with pytest.raises(ValueError, match='lists no images|need at least one array'):
        Runner.build_dataloader(dict(
            batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
            dataset=dataset_config(tmp_path)))
