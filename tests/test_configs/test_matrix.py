# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""What all configs have in common: names, text, testing, and the lists that name them."""

import ast
import re

import pytest
from mmengine.fileio import load as load_file
from mmseg.registry import DATASETS, MODELS
from test_configs.small_world import CONFIGS, NAMES, last_head, load

RULE = re.compile(
    r'(lrr(32|16|8|4)x(-masked|-unmasked)?|fcn(32|16|8)s|'
    r'lrr-refine_(deeplabv3plus|segformer|upernet))_'
    r'(vgg16|r18|r50|r101|r101-d8|convnext-t|swin-t|mit-b2)_'
    r'(?P<data>voc|voc-1scale|coco-voc|voc12aug|cityscapes|cityscapes-coarse|ade20k|camvid|shapes)'
    r'(_((20|40|80)k-\d+x\d+|released|stage1|stage2|demo))?')
#: Images of an epoch, by the part of a config's name that says the data (VOC + COCO: about).
IMAGES = {'voc': 11295, 'voc-1scale': 11295, 'coco-voc': 108300, 'cityscapes': 2975,
          'cityscapes-coarse': 22973}
README = (CONFIGS / 'README.md').read_text()


def docstring(name: str) -> str:
    return ast.get_docstring(ast.parse((CONFIGS / f'{name}.py').read_text()))


def rows(text: str) -> list[dict[str, str]]:
    """Rows of a text's tables, cells by column."""
    found = []
    for block in re.findall(r'(?:^\|.*\n)+', text, re.M):
        header, _, *lines = ([cell.strip(' `') for cell in line.strip('|').split('|')]
                             for line in block.splitlines())
        found += [dict(zip(header, line, strict=True)) for line in lines]
    return found


def test_names_follow_the_rule_and_the_readme_has_them() -> None:
    for name in NAMES:
        head, method = last_head(load(name).model), RULE.fullmatch(name)[1]
        if 'refine' in method:
            assert head.type == 'LRRRefineHead', name
            continue
        depth = {'32': 1, '16': 2, '8': 3, '4': 4}[re.search(r'\d+', method)[0]]
        assert len(head.in_channels) == len(head.in_index) == depth, name
        assert head.type == ('FCNSkipHead' if name.startswith('fcn') else 'LRRHead')
        if head.type == 'LRRHead':
            masked = not method.endswith('-unmasked') and depth > 1
            assert (head.boundary_mask is not None) == masked, name
            assert (head.dilation_erosion is not None) == ('-' not in method), name
    named = re.findall(r'`((?:lrr|fcn)[\w-]+)(?:\.py)?`', README)
    assert {name for name in named if RULE.fullmatch(name)} == set(NAMES)


def test_docstrings_say_what_how_and_at_which_cost() -> None:
    for name in NAMES:
        text = docstring(name)
        assert '\n\nReproduces ' in text and '\nCommand: ``python tools/' in text, name
        assert set(re.findall(r'((?:lrr|fcn)\d+[xs][\w-]*)\.py', text)) <= set(NAMES), name
        if name.endswith('_released'):
            assert 'Cost: no training' in text
            continue
        thousands, length, kilo, gpus, batch, gflop, hours = re.search(
            r'Cost: (\d+)k images \((\d+)(k?) (?:epochs, batch|iterations of)( 4 x)? (\d+)\) '
            r'at (\d+) GFLOP each, \d+ M weights; (?:.* ([0-9.]+) hours? of a GPU at 20 TFLOP/s)?',
            ' '.join(text.split())).groups()
        cfg = load(name)
        length = int(length) * (1000 if kilo else 1)
        assert int(batch) == cfg.train_dataloader.batch_size, name
        assert length == cfg.train_cfg.get('max_epochs', cfg.train_cfg.get('max_iters')), name
        assert bool(gpus) == bool(re.search(r'_[248]0k-|r101', name)), name
        epoch = 'max_epochs' in cfg.train_cfg and IMAGES[RULE.fullmatch(name)['data']]
        images = length * (epoch or int(batch) * (4 if gpus else 1))
        assert int(thousands) == round(images / 1000), name
        if hours:
            exact = int(gflop) * 1e9 * images / 20e12 / 3600
            assert float(hours) == pytest.approx(exact, rel=0.01, abs=0.06), name


def test_testing_and_classes() -> None:
    for name in NAMES:
        cfg = load(name)
        scales = {'cityscapes': [0.75, 1, 1.25], 'cityscapes-coarse': [0.75, 1, 1.25],
                  'shapes': [1, 1.25]}.get(RULE.fullmatch(name)['data'], [0.6, 0.8, 1])
        for pipeline, expected in ((str(cfg.test_dataloader.dataset.pipeline), [1]),
                                   (str(cfg.tta_pipeline), scales)):
            found = re.findall("ResizeToCanvas', 'scale': ([0-9.]+)", pipeline)
            assert list(map(float, found)) == expected, name
            assert "'padding_size'" in pipeline and "'ori_img'" in pipeline
        assert cfg.val_dataloader.dataset == cfg.test_dataloader.dataset
        assert cfg.test_evaluator.type == 'LRRIoUMetric'
        refines = 'refine' in name
        assert cfg.model.type == ('LRRCascadeEncoderDecoder' if refines else 'LRREncoderDecoder')
        assert cfg.tta_model.type == 'LRRTTAModel'
        # Around the image the network sees zeros, whatever the mean.
        assert cfg.model.data_preprocessor.type == 'LRRDataPreProcessor'
        assert MODELS.get(cfg.crf.type)(preset=cfg.crf.preset)
        # These round odd sizes down, or pad in a way that the ONNX exporter cannot follow.
        if re.search('convnext|swin|mit', name):
            assert cfg.model.data_preprocessor.test_cfg.size_divisor == 32
        # The number of classes: the head's, the data set's, and that of the labels' check.
        dataset, train = cfg.test_dataloader.dataset, cfg.train_dataloader.dataset
        info = dataset.get('metainfo') or DATASETS.get(dataset.type).METAINFO
        classes = len(info['classes'])
        assert last_head(cfg.model).num_classes == classes, name
        if last_head(cfg.model).type == 'LRRHead':  # what void counts as for DE
            void = 'class0' if info['classes'][0] == 'background' else 'ignore'
            assert cfg.model.decode_head.loss_dilation_erosion.void == void, name
        for inner in train.get('datasets', [train]):
            place = [step.type for step in inner.pipeline].index('LoadAnnotations')
            assert inner.pipeline[place + 1] == dict(type='CheckLabels', num_classes=classes)


def test_a_copy_of_the_folder_works_anywhere() -> None:
    """With mmseg's own tools: bases are inside, and the configs import the package."""
    for path in CONFIGS.rglob('*.py'):
        assert '::' not in path.read_text()
        for base in re.findall(r"'(\.[^']*\.py)'", path.read_text()):
            assert (path.parent / base).resolve().is_relative_to(CONFIGS), path
    for name in NAMES:
        imports = load(name).custom_imports
        assert imports.imports[0] == 'mmseg_lrr' and not imports.allow_failed_imports


def test_the_papers_figures_are_the_same_everywhere() -> None:
    """In the metafile, the README and the docstrings; no other figure is in the metafile."""
    models = load_file(CONFIGS / 'metafile.yaml')['Models']
    assert [model['Name'] for model in models] == NAMES
    expected = {'lrr4x_r101_coco-voc': {'79.3'}, 'lrr4x_vgg16_cityscapes': {'69.7'},
                'lrr4x_vgg16_cityscapes-coarse': {'71.8'},
                'lrr4x_vgg16_cityscapes_released': {'71.8'}}
    servers = re.search(r'^The test servers: (.*?)\n\n', README, re.M | re.S)[1]
    for name, figures in expected.items():
        assert f'`{name}`' in servers and figures <= set(re.findall(r'\d\d\.\d', servers))
    for row in rows(re.search(r"^## The poster's rows\n(.*?)^## ", README, re.M | re.S)[1]):
        figures = {cell for cell in row.values() if re.fullmatch(r'\d\d\.\d', cell)}
        expected[row['config']] = expected.get(row['config'], set()) | figures
        assert all(figure in docstring(row['config']) for figure in figures)
    found = {}
    for model in models:
        results = model.get('Results', [])
        for part in results if isinstance(results, list) else [results]:
            assert all('(paper' in key or '(public tables)' in key for key in part['Metrics'])
            found.setdefault(model['Name'], set()).update(map(str, part['Metrics'].values()))
    assert found == expected and len(expected) == 15 + 3
