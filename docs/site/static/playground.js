// Sliders that choose one of the pictures in grid.png; grid.js says what each of them is.
(() => {
  const box = document.querySelector(".playground"), names = Object.keys(playground.axes);
  const tile = box.querySelector(".tile"), told = box.querySelector(".told");
  const sliders = names.map((name) => {
    const values = playground.axes[name], label = document.createElement("label");
    const slider = document.createElement("input"), shown = document.createElement("output");
    Object.assign(slider, { type: "range", id: name, min: 0, max: values.length - 1 });
    slider.value = Math.floor(values.length / 2);
    label.htmlFor = name;
    label.textContent = playground.names[name];
    box.insertBefore(label, tile);
    box.insertBefore(slider, tile);
    box.insertBefore(shown, tile);
    return { name, values, slider, shown };
  });
  const show = () => {
    let index = 0;
    for (const { values, slider, shown } of sliders) {
      const at = Number(slider.value);
      shown.value = values[at];
      slider.setAttribute("aria-valuetext", values[at]);
      index = index * values.length + at;
    }
    tile.style.backgroundPositionY = `${(100 * index) / (playground.numbers.length - 1)}%`;
    const n = playground.numbers[index];
    told.textContent = `Test accuracy of a network ${n.accuracy}, energy ${n.energy}, kinetic temperature over tau`
      + ` ${n.kinetic}${n.frozen ? `; ${n.frozen} of 32 networks overflowed` : ""}.`;
  };
  box.addEventListener("input", show);
  show();
})();
