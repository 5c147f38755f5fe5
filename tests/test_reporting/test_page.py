# Copyright (c) the mmseg-lrr authors. Licensed under Apache-2.0.
"""The page holds everything itself, shows the right pixels, and works in a browser."""

import base64
import io
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmseg_lrr.visualization.report_page import PageModel, report_page
from mmseg_lrr.visualization.training_log import TrainingLog

from .browser import evaluate
from .drawing import CLASSES, HEIGHT, PALETTE, WIDTH, example, painted

OUTPUTS = ['32x', '16x', '8x', 'ms', 'ms+crf']
COLUMNS = ['mIoU', 'trimap mIoU, 3 px', 's/image']


def model(name: str = 'a<b', **changes) -> PageModel:
    rows = {output: [f'{50 + number}.00', f'{30 - number}.50', '0.5']
            for number, output in enumerate(OUTPUTS)}
    curves = {output: {1: 20. + number, 3: 30. + number} for number, output in enumerate(OUTPUTS)}
    log = TrainingLog({'loss': {10: 2., 20: 1.}}, {'32x': {20: 40.}})
    return PageModel(**{**dict(
        name=name, rows=rows, curves=curves, log=log, examples=[example(0), example(1)],
        classes=CLASSES, palette=PALETTE), **changes})


def page(*models: PageModel) -> str:
    return report_page('LRR: results', COLUMNS, OUTPUTS, models, ['a note with <b> in it'])


@pytest.fixture(scope='module')
def usual() -> str:
    return page(model())


class Outline(HTMLParser):
    """Tags with their attributes and text, and whether all that was opened is closed."""

    VOID = {'meta', 'img', 'input'}

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict]] = []
        self.text: list[tuple[str, str]] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.text.append((self.open[-1], data.strip()))

    def all(self, tag: str, **wanted: str) -> list[dict]:
        return [attributes for name, attributes in self.found if name == tag
                and all(attributes.get(key) == value for key, value in wanted.items())]


def picture(source: str) -> Image.Image:
    kind, data = source.split(',', 1)
    assert kind in ('data:image/png;base64', 'data:image/jpeg;base64')
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_everything_is_inside(usual: str) -> None:
    outline = Outline(usual)
    sources = [attributes.get('src') for tag, attributes in outline.found
               if tag in ('img', 'script', 'iframe', 'link')]
    assert all(source is None or source.startswith('data:image/') for source in sources)
    assert not outline.all('link') and not outline.all('a')
    styles = ' '.join(text for tag, text in outline.text if tag == 'style')
    assert styles and 'url(' not in styles and '@import' not in styles
    script = ' '.join(text for tag, text in outline.text if tag == 'script')
    assert script and 'fetch' not in script and '://' not in script
    assert outline.all('meta', name='viewport')


def test_table_has_every_figure_and_marks_the_best() -> None:
    rows = {'32x': ['-', '9.50', '1'], 'ms': ['7.00', '1', '2']}
    text = page(model(), model('second', rows=rows))
    outline = Outline(text)
    headings = [text for tag, text in outline.text if tag == 'th']
    assert headings == ['a<b', 'second', 'output', *COLUMNS, *COLUMNS, *OUTPUTS]
    cells = [text for tag, text in outline.text if tag == 'td']
    assert cells[:6] == ['50.00', '30.50', '0.5', '-', '9.50', '1']
    assert len(cells) == 5 * 6
    # Of the columns of each network that are mIoU.
    for best in ('54.00', '30.50', '7.00', '9.50'):
        assert f'<td class=best>{best}</td>' in text
    assert text.count('class=best') == 4
    assert ('li', 'a note with <b> in it') in outline.text


@pytest.mark.parametrize('number', [0, 1])
def test_pictures_of_the_viewer_are_the_examples(usual: str, number: int) -> None:
    outline = Outline(usual)
    item = example(number)
    per_card = len(outline.all('img', **{'data-output': 'ms'})) // 2

    def layer(kind: str, output: str) -> Image.Image:
        found = outline.all('img', **{'class': f'layer {kind}', 'data-output': output})
        assert len(found) == 2 and per_card == 2
        assert 'hidden' in found[number]
        return picture(found[number]['src'])

    for output in OUTPUTS:
        np.testing.assert_array_equal(
            np.array(layer('labels', output).convert('RGB')), painted(item.predictions[output]))
        errors = np.array(layer('errors', output).convert('RGBA'))
        wrong = (item.labels != 255) & (item.predictions[output] != item.labels)
        np.testing.assert_array_equal(errors[..., 3], np.where(wrong, 255, 0))
        assert (errors[wrong][:, :3] == (222, 20, 20)).all()
    np.testing.assert_array_equal(
        np.array(layer('labels', 'truth').convert('RGB')), painted(item.labels))
    for level in ('16x', '8x'):
        values = np.array(layer('mask', level))
        np.testing.assert_allclose(values / 255, item.masks[level][0], atol=.51 / 255)
    photo = np.array(picture(outline.all('img', alt=item.name)[0]['src'])).astype(float)
    assert photo.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(photo - item.image).mean() < 10


def test_large_images_are_reduced_alike() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, (90, 120)).repeat(16, axis=0).repeat(16, axis=1)
    large = example()
    colours = np.array(PALETTE, np.uint8)
    large = type(large)(
        name='large', image=colours[labels], labels=labels, predictions={'32x': labels},
        masks={'32x': (labels / 2)[None]})
    outline = Outline(page(model(examples=[large])))
    for image in outline.all('img', **{'data-output': '32x'}):
        assert picture(image['src']).size == (720, 540)
    (shown, ) = outline.all('img', **{'class': 'layer labels', 'data-output': '32x'})
    expected = colours[labels[::16, ::16].repeat(6, axis=0).repeat(6, axis=1)]
    np.testing.assert_array_equal(np.array(picture(shown['src']).convert('RGB')), expected)


def test_without_images_labels_or_log_their_parts_are_left_out() -> None:
    outline = Outline(page(model(examples=[], log=None, curves={})))
    assert not outline.all('img') and not outline.all('section')
    bare = Outline(page(model(examples=[example(labels=False, masks=0)])))
    assert [attributes['name'] for attributes in bare.all('input', type='checkbox')] == [
        'see-through']
    assert [attributes['data-output'] for attributes in bare.all('button')] == ['image', *OUTPUTS]


def test_same_report_gives_same_page(usual: str) -> None:
    assert page(model()) == usual


# ---------------------------------------------------------------------- in a browser

SEE = '''
const viewer = document.querySelectorAll('.viewer')[0];
const slider = viewer.querySelector('input[type=range]');
const cards = [...viewer.querySelectorAll('.card')];
const seen = () => ({
  output: slider.getAttribute('aria-valuetext'),
  pressed: [...viewer.querySelectorAll('button[aria-pressed=true]')].map((b) => b.textContent),
  layers: cards.map((card) => [...card.querySelectorAll('.layer')]
    .filter((image) => image.getClientRects().length)
    .map((image) => image.className.replace('layer ', '') + ' ' + image.dataset.output)),
  through: !viewer.querySelector('[name=see-through]').disabled,
  notes: cards.map((card) => card.querySelector('.note').textContent),
  grey: cards.map((card) =>
    getComputedStyle(card.querySelector('.photo')).filter.includes('grayscale')),
});
const slide = (value) => {
  slider.value = value;
  slider.dispatchEvent(new Event('input', {bubbles: true}));
};
const toggle = (name) => viewer.querySelector(`[name=${name}]`).click();
const button = (name) => [...viewer.querySelectorAll('button')]
  .find((item) => item.textContent === name).click();
'''


def test_slider_and_toggles_show_what_they_say(usual: str, tmp_path: Path) -> None:
    script = SEE + '''
const states = {};
states.first = seen();
slide(2); states.slid = seen();
toggle('mask'); states.mask = seen();
toggle('errors'); states.both = seen();
toggle('mask'); states.errors = seen();
button('truth'); states.truth = seen();
toggle('errors'); button('ms+crf'); states.last = seen();
toggle('mask'); states.no_mask = seen();
toggle('mask'); slide(0); states.image = seen();
return states;
'''
    states = evaluate(usual, script, tmp_path, 1200)
    assert states.pop('failures') == []
    shown = {name: (state['output'], state['layers'][0]) for name, state in states.items()}
    assert shown == {
        'first': ('32x', ['labels 32x']),
        'slid': ('16x', ['labels 16x']),
        'mask': ('16x', ['mask 16x']),
        'both': ('16x', ['mask 16x', 'errors 16x']),
        'errors': ('16x', ['errors 16x']),
        'truth': ('truth', ['labels truth']),
        'last': ('ms+crf', ['labels ms+crf']),
        'no_mask': ('ms+crf', ['labels ms+crf']),
        'image': ('image', []),
    }
    for name, state in states.items():
        # All images go together, and the tick says which output it is.
        assert state['layers'][0] == state['layers'][1]
        assert state['pressed'] == [state['output']]
        assert state['grey'] == [name in ('mask', 'both', 'errors')] * 2
        assert state['through'] == any(layer.startswith('labels') for layer in state['layers'][0])
    for number in range(2):
        item = example(number)
        wrong = ((item.labels != 255) & (item.predictions['16x'] != item.labels)).sum()
        share = f'{wrong / (item.labels != 255).sum():.1%} of the pixels wrong'
        assert states['slid']['notes'][number] == share
        assert states['no_mask']['notes'][number].endswith('; no mask here')
        assert states['truth']['notes'][number] == 'no errors to show here'


@pytest.mark.parametrize('width', [375, 1280])
def test_nothing_is_wider_than_the_screen(tmp_path: Path, width: int) -> None:
    script = SEE + '''
const box = (element) => element.getBoundingClientRect();
const ticks = [...viewer.querySelectorAll('button')].map(box);
return {
  width: document.documentElement.clientWidth,
  needed: document.documentElement.scrollWidth,
  table: box(document.querySelector('.wide')).right,
  plots: [...document.querySelectorAll('.plots img')].map((image) => box(image).right),
  loaded: [...document.images].every((image) => image.complete && image.naturalWidth > 0),
  cards: cards.map((card) => [box(card).left, box(card).right, box(card).top]),
  slider: [box(slider).left, box(slider).right],
  ticks: ticks.map((tick) => [tick.left, tick.right, tick.height]),
  cut: [...viewer.querySelectorAll('button')].filter((b) => b.scrollWidth > b.clientWidth).length,
};
'''
    several = page(model(), model('a_network_with_quite_a_long_name'))
    found = evaluate(several, script, tmp_path, width)
    assert found.pop('failures') == []
    assert found['loaded']
    assert width - 20 <= found['width'] <= width
    assert found['needed'] <= found['width']
    right = [found['table'], *found['plots'], *(card[1] for card in found['cards'])]
    assert max(right) <= found['width']
    # Side by side where there is room, else one below the other.
    (_, _, first), (_, _, second) = found['cards']
    assert (first == second) == (width > 1000)
    # Large enough for a finger, and no name is cut off.
    assert min(tick[2] for tick in found['ticks']) >= 24
    assert found['cut'] == 0
    # The slider's ends are above the middles of the first and last name.
    for end, tick, inwards in zip(found['slider'], (found['ticks'][0], found['ticks'][-1]),
                                  (8, -8), strict=True):
        assert abs(end + inwards - (tick[0] + tick[1]) / 2) < 6
