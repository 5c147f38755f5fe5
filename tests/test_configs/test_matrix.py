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
    dataset = cfg.test_dataloader.dataset
    info = dataset.get('metainfo') or DATASETS.get(dataset.type).METAINFO
    assert cfg.model.decode_head.num_classes == len(info['classes'])
    # Labels of training are checked right after they are loaded.
    train = cfg.train_dataloader.dataset
    for inner in train.get('datasets', [train]):
        place = [step.type for step in inner.pipeline].index('LoadAnnotations')
        assert inner.pipeline[place + 1] == dict(
            type='CheckLabels', num_classes=len(info['classes']))


def test_the_authors_recipe_on_voc() -> None:
    cfg = load('lrr32x_vgg16_voc')
    types = [transform.type for transform in cfg.train_dataloader.dataset.pipeline]
    assert types == ['LoadImageFromFile', 'LoadAnnotations', 'CheckLabels', 'ScaleAugmentation',
                     'RandomFlip', 'PackSegInputs']
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


#: Columns of the README's tables -> names of the figures in the metafile.
COLUMNS = {'32x': 'mIoU 32x', '16x': 'mIoU 16x', '8x': 'mIoU 8x', '4x': 'mIoU', 'mIoU': 'mIoU',
           'ms': 'mIoU ms', 'ms-crf': 'mIoU ms + CRF'}

#: Training data by the part of a config's name that says it.
TRAINING_DATA = {
    'voc': {'Pascal VOC 2012', 'SBD'},
    'voc-1scale': {'Pascal VOC 2012', 'SBD'},
    'coco-voc': {'Pascal VOC 2012', 'SBD', 'COCO'},
    'voc12aug': {'Pascal VOC 2012 + Aug'},
    'cityscapes': {'Cityscapes'},
    'cityscapes-coarse': {'Cityscapes', 'Cityscapes (coarse)'},
    'ade20k': {'ADE20K'},
    'camvid': {'CamVid'},
    'shapes': {'Shapes (drawn by tools/demo.py)'},
}


def metafile() -> dict:
    return load_file(CONFIGS / 'metafile.yaml')


def results(model: dict) -> dict[str, dict[str, float]]:
    """Figures of a model of the metafile, by data set."""
    found = model.get('Results', [])
    return {part['Dataset']: part['Metrics']
            for part in (found if isinstance(found, list) else [found])}


def tables(text: str) -> list[list[dict[str, str]]]:
    """Rows of a text's tables, cells by column."""
    found = []
    for block in re.findall(r'(?:^\|.*\n)+', text, re.M):
        header, _, *rows = ([cell.strip(' `') for cell in line.strip('|').split('|')]
                            for line in block.splitlines())
        found.append([dict(zip(header, row, strict=True)) for row in rows])
    return found


def test_metafile_names_every_config_once_and_only_figures_that_are_not_ours() -> None:
    content = metafile()
    assert [model['Name'] for model in content['Models']] == NAMES
    trained = {data for collection in content['Collections']
               for data in collection['Metadata']['Training Data']}
    for model in content['Models']:
        assert set(model['Metadata']['Training Data']) <= trained
        for metrics in results(model).values():
            assert all('(paper' in name or '(public tables)' in name for name in metrics)


def test_metafile_has_the_training_data() -> None:
    for model in metafile()['Models']:
        expected = set(TRAINING_DATA[model['Name'].split('_')[2]])
        if model['Name'] == 'lrr4x_vgg16_cityscapes_released':
            # The authors' weights saw both, whatever the config would train on.
            expected.add('Cityscapes (coarse)')
        assert set(model['Metadata']['Training Data']) == expected, model['Name']


def test_metafile_has_the_posters_figures_as_the_readme_has_them() -> None:
    text = (CONFIGS / 'README.md').read_text()
    section = re.search(r"^## The poster's rows\n(.*?)^## ", text, re.M | re.S)[1]
    first, second = tables(section)
    expected: dict[str, dict[str, float]] = {}
    for table, mark in ((first, '(paper)'), (second, '(paper, second table)')):
        for row in table:
            figures = expected.setdefault(row['config'], {})
            # A network that stands in both tables has other figures in the second.
            of_table = mark if figures else '(paper)'
            figures.update({f'{name} {of_table}': float(row[column])
                            for column, name in COLUMNS.items() if row.get(column)})
    found = {model['Name']: results(model).get('PASCAL VOC 2011 val (736 images)')
             for model in metafile()['Models']}
    assert {name: figures for name, figures in found.items() if figures} == expected
    assert len(expected) == 15


def test_metafile_has_the_test_servers_figures_as_the_readme_has_them() -> None:
    found = {}
    for model in metafile()['Models']:
        for dataset, metrics in results(model).items():
            if dataset.endswith(' test'):
                found[model['Name']] = dataset, metrics
    assert found == {
        'lrr4x_r101_coco-voc': ('PASCAL VOC 2012 test', {'mIoU (paper)': 79.3}),
        'lrr4x_vgg16_cityscapes': ('Cityscapes test', {'mIoU (public tables)': 69.7}),
        'lrr4x_vgg16_cityscapes-coarse': ('Cityscapes test', {'mIoU (paper)': 71.8}),
        'lrr4x_vgg16_cityscapes_released': ('Cityscapes test', {'mIoU (paper)': 71.8}),
    }
    text = (CONFIGS / 'README.md').read_text()
    servers = re.search(r'^The test servers: (.*?)\n\n', text, re.M | re.S)[1]
    for name, (_, metrics) in found.items():
        assert f'`{name}`' in servers
        assert all(str(figure) in servers for figure in metrics.values())


def test_readme_has_the_cost_of_every_config_that_refers_to_it() -> None:
    text = (CONFIGS / 'README.md').read_text()
    (table, ) = tables(text.split('## What it costs')[1])
    refer = [name for name in NAMES
             if 'Cost: see configs/lrr/README.md.' in (CONFIGS / f'{name}.py').read_text()]
    assert len(refer) > 40
    rows = {row['config']: row for row in table}
    assert len(rows) == len(table) and set(refer) - set(rows) == set()
    for name, row in rows.items():
        cfg = load(name)
        assert int(row['batch']) == cfg.train_dataloader.batch_size, name
        thousands = int(row['images, k'])
        if cfg.train_cfg.type == 'IterBasedTrainLoop':
            gpus = 4 if re.search(r'_[248]0k-', name) else 1
            seen = cfg.train_cfg.max_iters * cfg.train_dataloader.batch_size * gpus
            assert thousands == round(seen / 1000), name
        # 20 TFLOP/s; the cells are rounded.
        hours = float(row['GFLOP an image']) * 1e9 * thousands * 1e3 / 20e12 / 3600
        assert float(row['hours at 20 TFLOP/s (est.)']) == pytest.approx(hours, rel=0.01, abs=0.06)


def test_readme_names_every_config_and_states_the_rule() -> None:
    text = (CONFIGS / 'README.md').read_text()
    named = set(re.findall(r'`((?:lrr|fcn)\d+[xs][\w-]*_[\w-]+)(?:\.py)?`', text))
    assert set(NAMES) - named == set()
    assert {name for name in named if RULE.fullmatch(name)} - set(NAMES) == set()
    assert 'method' in text and '{backbone}' in text
