# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The page holds everything itself, shows the right numbers and pixels, and works in a browser."""

import base64
import io
import re
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mmseg_lrr.reporting.page import PageModel, report_page
from mmseg_lrr.visualization.panels import Example

from ..drawing import CLASSES, HEIGHT, OUTPUTS, PALETTE, WIDTH, example, painted

COLUMNS = ['mIoU', 'boundary mF, 3 px', 's/image']


def model(name: str = 'a<b', **changes: object) -> PageModel:
    rows = {output: [f'{50 + number}.00', f'{30 - number}.50', '0.5']
            for number, output in enumerate(OUTPUTS)}
    return PageModel(**{**dict(name=name, rows=rows, plots={}, examples=[example(0), example(1)],
                               classes=CLASSES, palette=PALETTE), **changes})


def page(*models: PageModel) -> str:
    return report_page('LRR: results', COLUMNS, OUTPUTS, models, ['a note with <b> in it'])


def layers(text: str, kind: str, output: str) -> list[Image.Image]:
    """The pictures of a kind, one for each image."""
    found = re.findall(rf'class="layer {kind}" data-output="{output}" src="([^"]*)"', text)
    return [Image.open(io.BytesIO(base64.b64decode(uri.split(',')[1]))) for uri in found]


def test_table_has_every_number_and_marks_the_best() -> None:
    rows = {'32x': ['-', '9.50', '1'], 'ms': ['7.00', '1', '2']}
    text = page(model(), model('second', rows=rows))
    table = re.search('<table>(.*)</table>', text, re.S)[1]
    assert re.findall('<th.*?>(.*?)</th>', table) == [
        '', 'a&lt;b', 'second', 'output', *COLUMNS, *COLUMNS, *OUTPUTS]
    cells = re.findall('<td.*?>(.*?)</td>', table)
    assert cells[:6] == ['50.00', '30.50', '0.5', '-', '9.50', '1']
    assert cells[6:12] == ['51.00', '29.50', '0.5', '-', '-', '-']
    assert len(cells) == 5 * 6
    # Of each network, but the time.
    assert re.findall('<td class="best">(.*?)</td>', table) == ['30.50', '9.50', '7.00', '54.00']
    assert '<li>a note with &lt;b&gt; in it</li>' in text


def test_opens_on_an_overlay_of_the_finest_level() -> None:
    text = page(model())
    stops = re.findall('<button.*?>(.*?)</button>', text)
    start = int(re.search('type="range" .*? value="(.*?)"', text)[1])
    assert stops[start] == [output for output in OUTPUTS if output.endswith('x')][-1]
    assert 'name="see-through" checked' in text


def test_layers_are_the_examples() -> None:
    text = page(model())
    for number in range(2):
        item = example(number)
        for output in OUTPUTS:
            shown = layers(text, 'labels', output)[number].convert('RGB')
            np.testing.assert_array_equal(shown, painted(item.predictions[output]))
            errors = np.array(layers(text, 'errors', output)[number].convert('RGBA'))
            wrong = (item.labels != 255) & (item.predictions[output] != item.labels)
            np.testing.assert_array_equal(errors[..., 3], np.where(wrong, 255, 0))
            assert (errors[wrong][:, :3] == (222, 20, 20)).all()
        truth = layers(text, 'labels', 'truth')[number].convert('RGB')
        np.testing.assert_array_equal(truth, painted(item.labels))
        for level in ('16x', '8x'):
            values = np.array(layers(text, 'mask', level)[number])
            np.testing.assert_allclose(values / 255, item.masks[level][0], atol=.51 / 255)
    photos = re.findall('class="photo" src="data:image/jpeg;base64,([^"]*)"', text)
    photo = np.array(Image.open(io.BytesIO(base64.b64decode(photos[1]))), float)
    assert photo.shape == (HEIGHT, WIDTH, 3) and np.abs(photo - example(1).image).mean() < 10


def test_large_images_are_reduced_alike() -> None:
    small = example().predictions['32x']
    labels, image = (item.repeat(48, axis=0).repeat(48, axis=1) for item in (small, painted(small)))
    item = Example('x', image, labels, {'32x': labels})
    text = page(model(examples=[item]))
    shown = np.array(layers(text, 'labels', '32x')[0].convert('RGB'))
    assert shown.shape == (540, 720, 3)
    photo = cv2.resize(image, (720, 540), interpolation=cv2.INTER_AREA)
    assert (shown != photo).any(axis=2).mean() < .01
    assert not np.array(layers(text, 'errors', '32x')[0]).any()


def test_what_is_not_there_is_not_offered(tmp_path: Path) -> None:
    bare = page(model(examples=[example(labels=False, masks=0)]))
    assert re.findall('type="checkbox" name="(.*?)"', bare) == ['see-through']
    assert re.findall('<button.*?>(.*?)</button>', bare) == ['image', *OUTPUTS]
    assert '<section' not in page(model(examples=[]))
    Image.new('RGB', (3, 2)).save(tmp_path / 'plot.png')
    (uri, ) = re.findall('<img src="data:image/png;base64,(.*?)" alt="curves"',
                         page(model(plots={'curves': tmp_path / 'plot.png'})))
    assert base64.b64decode(uri) == (tmp_path / 'plot.png').read_bytes()


