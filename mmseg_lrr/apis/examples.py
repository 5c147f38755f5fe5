# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""Images through a network in every way that the pictures show."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path

import mmcv
import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config, ConfigDict
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import init_default_scope
from mmseg.apis import init_model
from mmseg.registry import DATASETS, MODELS, TRANSFORMS
from torch import Tensor

from mmseg_lrr.datasets.listed_files import check_lists_within
from mmseg_lrr.datasets.unread_dataset import unread_dataset
from mmseg_lrr.models.layers import crop
from mmseg_lrr.models.segmentors.restore import image_area
from mmseg_lrr.ops import checks
from mmseg_lrr.visualization import Example

from .checkpoint_check import check_checkpoint
from .testing import configure_test

#: Names of the outputs beside the levels'.
SINGLE_SCALE, MULTI_SCALE, MULTI_SCALE_CRF = 'single scale', 'ms', 'ms+crf'

_SUFFIXES = {'.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp', '.ppm'}


def find_images(paths: Sequence[str | Path]) -> list[Path]:
    """List images: files as they are, folders by all images in them and below, by name.

    Raises:
        FileNotFoundError: A path is not there, or a folder holds no image.
    """
    found = []
    for path in map(Path, paths):
        if path.is_dir():
            images = sorted(file for file in path.rglob('*') if file.suffix.lower() in _SUFFIXES)
            if not images:
                raise FileNotFoundError(f'the folder {path} holds no image '
                                        f'({", ".join(sorted(_SUFFIXES))})')
            found += images
        elif path.is_file():
            found.append(path)
        else:
            raise FileNotFoundError(f'there is no image or folder {path}')
    return found


def picture_config(cfg: Config) -> Config:
    """A copy of a config that tests one network in a single pass, every level stored.

    Undoes what the toolbox's ``tools/test.py --tta`` writes into the config it keeps, and has an
    ``LRRHead`` in the stock segmentor give its levels.
    """
    cfg = copy.deepcopy(cfg)
    if 'module' in cfg.model:
        cfg.model = cfg.model.module
    if cfg.model.decode_head.get('type') == 'LRRHead' and cfg.model.type == 'EncoderDecoder':
        cfg.model.type = 'LRREncoderDecoder'
    if cfg.model.type == 'LRREncoderDecoder' and cfg.model.decode_head.type == 'LRRHead':
        cfg.model.test_cfg = ConfigDict(**{**(cfg.model.get('test_cfg') or {}),
                                           'level_outputs': True})
    dataset = cfg.get('test_dataloader', {}).get('dataset', {})
    if any(step['type'] == 'TestTimeAug' for step in dataset.get('pipeline') or []):
        dataset.pipeline = copy.deepcopy(cfg.test_pipeline)
    return cfg


class ExampleMaker:
    """Makes :class:`~mmseg_lrr.visualization.Example` of images.

    Ground truth is read on its own, at the image's size, so the pipelines need not load any.

    Args:
        cfg: Config of any segmentor; it is not changed. Without ``test_dataloader`` the images
            have to be given, and the checkpoint has to name its classes.
        checkpoint: File.
        device: Where the network runs.
        multi_scale: Whether to add the multi-scale output, where the config has ``tta_model`` and
            ``tta_pipeline``. The toolbox's ``SegTTAModel`` is replaced by ``LRRTTAModel`` with the
            mean, to which a CRF can be added.
        crf: Config of the CRF after it; None for none.
        masks: ``None`` for no boundary masks; an empty list for their maximum over classes; else
            the names of the classes whose masks to keep.

    Attributes:
        classes: Names of the classes.
        palette: Their RGB colours.

    Raises:
        ValueError: The network has no class of a name given, or the checkpoint is one of another
            network.
    """

    def __init__(self, cfg: Config, checkpoint: str | Path, *, device: str = 'cpu',
                 multi_scale: bool = True, crf: Mapping | None = None,
                 masks: Sequence[str] | None = None) -> None:
        self._cfg = picture_config(cfg)
        single = configure_test(self._cfg)
        self._segmentor = init_model(copy.deepcopy(single), str(checkpoint), device)
        check_checkpoint(self._segmentor, checkpoint)
        init_default_scope(single.get('default_scope', 'mmseg'))
        self._dataset_cfg = single.get('test_dataloader', {}).get('dataset')
        pipeline = (single.test_pipeline if self._dataset_cfg is None
                    else self._dataset_cfg.pipeline)
        self._load_labels = TRANSFORMS.build(_annotation_step(pipeline))
        self._pipeline = Compose(_without_annotations(pipeline))
        self.classes, self.palette = self._read_classes()
        self._masked = None if masks is None else [
            self.classes.index(checks.one_of('class', name, self.classes)) for name in masks]
        self._multi_scale = None
        if multi_scale and 'tta_model' in self._cfg and 'tta_pipeline' in self._cfg:
            self._init_multi_scale(crf, device)

    def _init_multi_scale(self, crf: Mapping | None, device: str) -> None:
        cfg = copy.deepcopy(self._cfg)
        if cfg.tta_model.type == 'SegTTAModel':
            cfg.tta_model = ConfigDict(type='LRRTTAModel', fusion='mean')
        if cfg.get('test_dataloader') is None:
            cfg.test_dataloader = ConfigDict(dataset=dict())
        cfg = configure_test(cfg, tta=True, crf=None if crf is None else dict(crf))
        self._multi_scale = MODELS.build({**cfg.model, 'module': self._segmentor}).to(device).eval()
        # The output before the CRF is shown too.
        self._multi_scale.crf_deferred = True
        self._multi_scale_pipeline = Compose(_without_annotations(cfg.tta_pipeline))

    def _read_classes(self) -> tuple[list[str], list[tuple[int, ...]]]:
        """The config's data set knows its classes; without one, the checkpoint does."""
        num_classes = self._segmentor.decode_head.num_classes
        meta = getattr(self._segmentor, 'dataset_meta', None) or {}
        if self._dataset_cfg is not None:
            own = unread_dataset(self._dataset_cfg).metainfo
            # A checkpoint of other classes is drawn with its own names.
            if len(own.get('classes') or ()) == num_classes or not meta:
                meta = own
        classes, palette = list(meta.get('classes') or ()), meta.get('palette') or ()
        if len(classes) != num_classes or len(palette) < num_classes:
            raise ValueError(
                f'the network has {num_classes} classes, but {len(classes)} names and '
                f'{len(palette)} colours are known for them; set metainfo=dict(classes=..., '
                'palette=...) in test_dataloader.dataset of the config')
        return classes, [tuple(int(value) for value in colour) for colour in palette]

    # ------------------------------------------------------------------ images

    def test_set(self, count: int | None = None, limit: int | None = None) -> list[dict]:
        """Images of the config's test set, with their labels.

        Args:
            count: How many, evenly spaced; None for all.
            limit: Look at the first ones only, this many.

        Returns:
            What :meth:`make` takes.

        Raises:
            ValueError: The config has no test set, or one that is empty or lists a file outside of
                its folders.
        """
        if self._dataset_cfg is None:
            raise ValueError('the config has no test_dataloader: name the images')
        dataset = DATASETS.build(copy.deepcopy(self._dataset_cfg))
        check_lists_within(dataset)
        total = min(len(dataset), limit or len(dataset))
        indices = range(total)
        if count is not None:
            count = min(checks.integer('count', count, 1), total)
            indices = np.linspace(0, total - 1, count).round().astype(int).tolist()
        return [dataset.get_data_info(index) for index in indices]

    def files(self, images: Sequence[str | Path], labels: str | Path | None = None) -> list[dict]:
        """Images from files and folders.

        Args:
            images: Files and folders.
            labels: Folder of their label maps, in the format of the config's data set: of an image
                the file that the data set would name, or else ``<name>.png``, in the folder or
                below it. None for images without ground truth.

        Returns:
            What :meth:`make` takes.

        Raises:
            FileNotFoundError: An image or its label map is not there.
        """
        dataset = None if self._dataset_cfg is None else unread_dataset(self._dataset_cfg)
        infos = []
        for image in find_images(images):
            info = dict(img_path=str(image), seg_fields=[],
                        label_map=getattr(dataset, 'label_map', None),
                        reduce_zero_label=getattr(dataset, 'reduce_zero_label', False))
            if labels is not None:
                names = [f'{image.stem}.png']
                if getattr(dataset, 'img_suffix', None):
                    stem = image.name.removesuffix(dataset.img_suffix)
                    names.insert(0, stem + dataset.seg_map_suffix)
                info['seg_map_path'] = str(_find_label_map(Path(labels), names))
            infos.append(info)
        return infos

    # ------------------------------------------------------------------ predictions

    @torch.no_grad()
    def make(self, info: Mapping) -> Example:
        """Run the network on an image.

        Args:
            info: One of what :meth:`test_set` or :meth:`files` gives.

        Raises:
            FileNotFoundError: The image is not there.
            ValueError: It cannot be read, or the labels are not of its size.
        """
        image = _read_image(info['img_path'])
        labels = None
        if info.get('seg_map_path') is not None:
            labels = self._load_labels(copy.deepcopy(dict(info)))['gt_seg_map']
            if labels.shape != image.shape[:2]:
                raise ValueError(f'{info["seg_map_path"]} is {labels.shape} pixels, but its image '
                                 f'{info["img_path"]} is {image.shape[:2]}')
        data = pseudo_collate([self._pipeline(copy.deepcopy(dict(info)))])
        (sample, ) = self._segmentor.test_step(data)
        head = self._segmentor.decode_head
        predictions = {
            level: _label_map(sample.get(f'pred_sem_seg_{level}'))
            for level in getattr(head, 'levels', ()) if f'pred_sem_seg_{level}' in sample
        } or {SINGLE_SCALE: _label_map(sample.pred_sem_seg)}
        if self._multi_scale is not None:
            (fused, ) = self._multi_scale.test_step(
                pseudo_collate([self._multi_scale_pipeline(copy.deepcopy(dict(info)))]))
            predictions[MULTI_SCALE] = _label_map(fused.pred_sem_seg)
            if self._multi_scale.crf is not None:
                fused.set_metainfo(dict(ori_img=image[..., ::-1]))
                self._multi_scale.apply_crf([fused])
                predictions[MULTI_SCALE_CRF] = _label_map(fused.pred_sem_seg)
        return Example(
            name=Path(info['img_path']).stem, image=image, labels=labels, predictions=predictions,
            masks={} if self._masked is None else self._masks(info),
            ignore_index=getattr(head, 'ignore_index', 255))

    def _masks(self, info: Mapping) -> dict[str, np.ndarray]:
        """The boundary masks of one whole pass, as far as the network goes (``last_level``)."""
        head = self._segmentor.decode_head
        if not getattr(head, 'masks', None):
            return {}
        batch = self._segmentor.data_preprocessor(
            pseudo_collate([self._pipeline(copy.deepcopy(dict(info)))]), False)
        inputs, meta = batch['inputs'], batch['data_samples'][0].metainfo
        scores = head.forward_levels(self._segmentor.extract_feat(inputs),
                                     **head.test_options(self._segmentor.test_cfg))
        return {
            level: self._restore_mask(mask, head.level_strides[level], inputs.shape[2:], meta)
            for level, mask in head.level_masks(scores).items()
        }

    def _restore_mask(self, mask: Tensor, stride: int, size: Sequence[int],
                      meta: Mapping) -> np.ndarray:
        """(1, C, h, w) at a level's resolution to (M, H, W) at the image's, without smoothing."""
        mask = mask[:, self._masked] if self._masked else mask.amax(dim=1, keepdim=True)
        mask = mask.repeat_interleave(stride, dim=2).repeat_interleave(stride, dim=3)
        area = image_area(crop(mask, size), meta)
        return F.interpolate(
            area, tuple(meta['ori_shape'][:2]), mode='nearest-exact')[0].float().cpu().numpy()


def _read_image(path: str) -> np.ndarray:
    """(H, W, 3) uint8, RGB."""
    image = mmcv.imread(path)
    if image is None:
        raise ValueError(f'{path} is no image that can be read: it is damaged or of another kind')
    return np.ascontiguousarray(image[..., ::-1])


def _label_map(field) -> np.ndarray:  # noqa: ANN001 (PixelData)
    return field.data[0].cpu().numpy()


def _is_annotation_step(step: Mapping) -> bool:
    return step['type'] in ('LoadAnnotations', 'LoadAnnotationsIfAny')


def _annotation_step(pipeline: Sequence[Mapping]) -> dict:
    """How a pipeline loads annotations, or the toolbox's way."""
    for step in pipeline:
        if _is_annotation_step(step):
            return dict(step)
    return dict(type='LoadAnnotations')


def _without_annotations(pipeline: Sequence[Mapping]) -> list[Mapping]:
    """A pipeline for images without labels, inside ``TestTimeAug`` too."""
    kept = []
    for step in pipeline:
        if step['type'] == 'TestTimeAug':
            branches = [_without_annotations(branch) for branch in step['transforms']]
            step = {**step, 'transforms': [branch for branch in branches if branch]}
        if not _is_annotation_step(step):
            kept.append(step)
    return kept


def _find_label_map(folder: Path, names: Sequence[str]) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
        found = sorted(folder.rglob(name))
        if found:
            return found[0]
    raise FileNotFoundError(f'there is no label map {" or ".join(dict.fromkeys(names))} in '
                            f'{folder}')
