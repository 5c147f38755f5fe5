'use strict';

// One viewer a network: a slider through its outputs and three toggles, for all of its images.
for (const viewer of document.querySelectorAll('.viewer')) {
  const slider = viewer.querySelector('input[type=range]');
  const ticks = [...viewer.querySelectorAll('.ticks button')];
  const toggles = Object.fromEntries(
    [...viewer.querySelectorAll('.toggles input')].map((input) => [input.name, input]));
  const on = (name) => Boolean(toggles[name] && toggles[name].checked);

  const show = () => {
    const output = ticks[slider.value].dataset.output;
    let labelled = false;
    slider.setAttribute('aria-valuetext', output);
    ticks.forEach((tick, index) =>
      tick.setAttribute('aria-pressed', String(index === Number(slider.value))));
    for (const card of viewer.querySelectorAll('.card')) {
      const stage = card.querySelector('.stage');
      const layer = (kind) =>
        [...stage.querySelectorAll(`.${kind}`)].find((image) => image.dataset.output === output);
      const mask = on('mask') ? layer('mask') : undefined;
      const errors = on('errors') ? layer('errors') : undefined;
      // Masks and errors are shown on the grey photograph, not on the labels.
      const grey = Boolean(mask || errors);
      const labels = grey ? undefined : layer('labels');
      const shown = [labels, mask, errors];
      labelled ||= Boolean(labels);
      for (const image of stage.querySelectorAll('.layer')) {
        image.hidden = !shown.includes(image);
      }
      stage.classList.toggle('see-through', on('see-through'));
      stage.classList.toggle('grey', grey);
      const notes = [JSON.parse(card.dataset.notes)[output]];
      if (on('mask') && !mask) notes.push('no mask here');
      if (on('errors') && !errors) notes.push('no errors to show here');
      card.querySelector('.note').textContent = notes.filter(Boolean).join('; ');
    }
    // What it would change is not shown then.
    toggles['see-through'].disabled = !labelled;
  };

  slider.addEventListener('input', show);
  ticks.forEach((tick, index) => tick.addEventListener('click', () => {
    slider.value = index;
    show();
  }));
  Object.values(toggles).forEach((input) => input.addEventListener('change', show));
  show();
}
