# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""What all configs have in common: names, text, testing, and the lists that name them."""

import ast
import re
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.fileio import load as load_file
from mmseg.registry import DATASETS, MODELS
from test_configs.small_world import CONFIGS, NAMES, load

import mmseg_lrr

METHODS = r'(lrr(32|16|8|4)x(-masked|-unmasked)?|fcn(32|16|8)s)'
BACKBONES = r'(vgg16|r18|r50|r101|convnext-t|swin-t|mit-b2)'
DATA = r'(voc|voc-1scale|coco-voc|voc12aug|cityscapes|cityscapes-coarse|ade20k|camvid|shapes)'
RECIPES = r'((20|40|80)k-\d+x\d+|authors-start|batch-scale|released|stage2|demo)'
RULE = re.compile(f'{METHODS}_{BACKBONES}_{DATA}(_{RECIPES})?')


def canvases(pipeline: list) -> list[dict]:
    """The transforms that put images on a canvas, wherever in a pipeline."""
    found = []
    for transform in pipeline:
        if transform['type'] == 'ResizeToCanvas':
            found.append(transform)
        elif transform['type'] == 'TestTimeAug':
            found += [item for step in transform['transforms'] for item in canvases(step)]
    return found


@pytest.mark.parametrize('name', NAMES)
def test_names_follow_the_rule(name: str) -> None:
    assert RULE.fullmatch(name)
    cfg = load(name)
    head = cfg.model.decode_head
    if name.startswith('fcn'):
        assert head.type == 'FCNSkipHead'
        assert len(head.in_channels) == {'32': 1, '16': 2, '8': 3}[name[3:-1].split('s')[0]]
        return
    method = name.split('_')[0]
    assert len(head.in_channels) == {'32x': 1, '16x': 2, '8x': 3, '4x': 4}[
        method.removeprefix('lrr').split('-')[0]]
    masked = not method.endswith('-unmasked') and not method.startswith('lrr32x')
    assert (head.boundary_mask is not None) == masked
    assert (head.dilation_erosion is not None) == ('-' not in method)


@pytest.mark.parametrize('name', NAMES)
def test_text_says_what_it_reproduces_and_how(name: str) -> None:
    text = ast.get_docstring(ast.parse((CONFIGS / f'{name}.py').read_text()))
    assert 'Reproduces:' in text and 'Command' in text
    # Every config that the text names is there.
    for other in re.findall(r'((?:lrr|fcn)\d+[xs][\w-]*)\.py', text):
        assert other in NAMES, other


@pytest.mark.parametrize('name', NAMES)
def test_testing_of_its_row(name: str) -> None:
    cfg = load(name)
    assert isinstance(cfg.test_evaluator, dict) and cfg.test_evaluator.type == 'LRRIoUMetric'
    assert cfg.tta_model.type == 'LRRTTAModel'
    assert MODELS.get(cfg.crf.type)(preset=cfg.crf.preset)
    preprocessor = cfg.model.data_preprocessor
    # The demo's images are too small for the authors' scales.
    scales = 2 if name == 'lrr4x_r18_shapes_demo' else 3
    for pipeline, number in ((cfg.test_dataloader.dataset.pipeline, 1),
                             (cfg.tta_pipeline, scales)):
        steps = canvases(pipeline)
        assert len(steps) == number
        # Around the image the network sees zeros.
        assert all(step['pad_value'] == preprocessor.mean[::-1] for step in steps)
    assert cfg.val_dataloader.dataset == cfg.test_dataloader.dataset
    if cfg.model.backbone.type == 'mmpretrain.ConvNeXt':
        assert preprocessor.test_cfg.size_divisor == 32


@pytest.mark.parametrize('name', NAMES)
def test_number_of_classes_is_the_data_sets(name: str) -> None:
    cfg = load(name)
    dataset = DATASETS.get(cfg.test_dataloader.dataset.type)
    assert cfg.model.decode_head.num_classes == len(dataset.METAINFO['classes'])


def test_the_authors_recipe_on_voc() -> None:
    cfg = load('lrr32x_vgg16_voc')
    types = [transform.type for transform in cfg.train_dataloader.dataset.pipeline]
    assert types == ['LoadImageFromFile', 'LoadAnnotations', 'ScaleAugmentation', 'RandomFlip',
                     'PackSegInputs']
    assert cfg.train_dataloader.dataset.ann_file.endswith('/lrr_train.txt')
    assert cfg.val_dataloader.dataset.ann_file.endswith('/seg11valid.txt')
    preprocessor = cfg.model.data_preprocessor
    assert (preprocessor.size, preprocessor.raw_pad_value, preprocessor.seg_pad_val) == (
        (384, 384), 128, 255)
    assert [step['scale'] for step in canvases(cfg.tta_pipeline)] == [0.6, 0.8, 1.0]


@pytest.mark.parametrize('path', sorted(CONFIGS.rglob('*.py')), ids=lambda path: path.stem)
def test_bases_are_inside_the_folder(path: Path) -> None:
    """So a copy of the folder works anywhere, with the toolbox's own tools."""
    text = path.read_text()
    assert '::' not in text
    bases = []
    for node in ast.parse(re.sub(r'\{\{.*?\}\}', '0', text)).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == '_base_':
            bases = ast.literal_eval(node.value)
    for base in [bases] if isinstance(bases, str) else bases:
        assert (path.parent / base).resolve().is_relative_to(CONFIGS)
        assert (path.parent / base).is_file()


@pytest.mark.parametrize('name', NAMES)
def test_configs_bring_the_package_along(name: str) -> None:
    imports = load(name).custom_imports
    assert imports.imports[0] == 'mmseg_lrr' and not imports.allow_failed_imports
    assert isinstance(mmseg_lrr.get_config(name), Config)


def test_metafile_names_every_config_once_and_only_the_papers_figures() -> None:
    content = load_file(CONFIGS / 'metafile.yaml')
    assert [model['Name'] for model in content['Models']] == NAMES
    trained = {data for collection in content['Collections']
               for data in collection['Metadata']['Training Data']}
    for model in content['Models']:
        assert set(model['Metadata']['Training Data']) <= trained
        for metric in model.get('Results', {}).get('Metrics', {}):
            assert 'paper' in metric


def test_readme_names_every_config_and_states_the_rule() -> None:
    text = (CONFIGS / 'README.md').read_text()
    named = set(re.findall(r'`((?:lrr|fcn)\d+[xs][\w-]*_[\w-]+)(?:\.py)?`', text))
    assert set(NAMES) - named == set()
    assert {name for name in named if RULE.fullmatch(name)} - set(NAMES) == set()
    assert 'method' in text and '{backbone}' in text
