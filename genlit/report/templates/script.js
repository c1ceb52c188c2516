"use strict";
// One moment of the training for the whole page: its slider moves every film, and a line through every chart.
const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
const told = (node) => JSON.parse(node.querySelector("script[type='application/json']").textContent);
const images = (count) => `${count.toLocaleString("en")} images`;
const last = (list, fits) => list.filter(fits).at(-1);

const films = all("figure.film").map((figure) => {
  const picture = figure.querySelector("img");
  const frames = told(figure).map((frame) => ({ ...frame, uri: frame.uri ?? picture.src }));
  return { frames, picture, kind: figure.dataset.kind, when: figure.querySelector(".when") };
});
const charts = all("figure.chart").map((figure) => {
  const plot = figure.querySelector("svg");
  return { curves: told(figure), plot, cursor: plot.querySelector(".cursor"), now: figure.querySelector(".now") };
});
const moments = [...new Set(films.flatMap((film) => film.frames.map((frame) => frame.images)))].sort((a, b) => a - b);
const [slider, button, said] = ["time", "play", "moment"].map((id) => document.getElementById(id));

function show(moment) {
  films.forEach((film) => {
    const frame = last(film.frames, (each) => each.images <= moment) ?? film.frames[0];
    film.picture.src = frame.uri;
    film.picture.alt = `${film.kind} after ${images(frame.images)}`;
    film.when.textContent = `after ${images(frame.images)}`;
  });
  charts.forEach(({ curves, plot, cursor, now }) => {
    const { left, right, end } = plot.dataset;
    const x = Number(left) + ((right - left) * moment) / end;
    cursor.setAttribute("x1", x);
    cursor.setAttribute("x2", x);
    now.replaceChildren(...(curves.length > 4 ? [] : curves.map((curve) => value(curve, moment))));
  });
  said.textContent = images(moment);
  slider.setAttribute("aria-valuetext", images(moment));
}

function value(curve, moment) {
  const point = last(curve.points, ([at, number]) => at <= moment && number !== null);
  const dot = Object.assign(document.createElement("i"), { className: `swatch run-${curve.colour}` });
  const node = document.createElement("span");
  node.append(dot, `${point ? Number(point[1].toPrecision(4)) : "–"}${curve.held_out ? " held out" : ""}`);
  return node;
}

let film = null;
function pause() {
  clearInterval(film);
  film = null;
  button.textContent = "Play";
}
function play() {
  if (Number(slider.value) === moments.length - 1) slider.value = 0;
  button.textContent = "Pause";
  show(moments[slider.value]);
  film = setInterval(() => {
    slider.value = Number(slider.value) + 1;
    show(moments[slider.value]);
    if (Number(slider.value) === moments.length - 1) pause();
  }, Math.max(80, Math.min(500, 6000 / moments.length)));
}

if (moments.length > 1) {
  document.getElementById("player").hidden = false;
  slider.max = slider.value = moments.length - 1;
  slider.addEventListener("input", () => { pause(); show(moments[slider.value]); });
  button.addEventListener("click", () => (film === null ? play() : pause()));
  show(moments.at(-1));
}
const boxes = all(".legend input");
boxes.forEach((box) => box.addEventListener("change", () => {
  boxes.filter((each) => each.value === box.value).forEach((each) => { each.checked = box.checked; });
  all(`[data-run="${box.value}"]`).forEach((node) => node.toggleAttribute("hidden", !box.checked));
}));
