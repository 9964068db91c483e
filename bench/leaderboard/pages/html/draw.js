/* Charts, pictures and comparisons, on the board and in reports. Every number is in the page already; this only draws it. */
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// An element with attributes and children; text is text, whoever wrote it.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// ---- charts ----
function put(figure, chart, label) {
  all("svg, .plot", figure).forEach((old) => old.remove());
  if (!chart) return null;
  const svg = chart.tagName.toLowerCase() === "svg" ? chart : chart.querySelector("svg");
  svg.setAttribute("role", svg.querySelector("a") ? "group" : "img");
  svg.setAttribute("aria-label", label);
  for (const mark of all("g[aria-label]", svg)) { // names of marks, which a group may not have
    mark.dataset.mark = mark.getAttribute("aria-label");
    mark.removeAttribute("aria-label");
  }
  chart.classList.add("plot");
  figure.prepend(chart);
  return svg;
}

function drawAttacks(figure, row) {
  const accent = colour("--accent"), ink = colour("--ink");
  const left = Math.min(160, 24 + 7 * Math.max(...row.attacks.map((attack) => attack.name.length)));
  put(figure, Plot.plot({
    width: Math.max(300, figure.clientWidth - 32), height: 34 + 26 * row.attacks.length, marginLeft: left, marginRight: 44, marginBottom: 28,
    style: { color: colour("--soft"), fontSize: "12px" },
    x: { domain: [0, 100], label: null, grid: true, ticks: 5 }, y: { label: null, domain: row.attacks.map((attack) => attack.name), padding: 0.35 },
    marks: [
      Plot.barX(row.attacks, { x: "value", y: "name", fill: accent, fillOpacity: (attack) => (attack.counts ? 0.8 : 0.3), rx: 2 }),
      Plot.ruleY(row.attacks, { y: "name", x1: "low", x2: "high", stroke: ink, strokeWidth: 1.5 }),
      Plot.text(row.attacks, { x: "high", y: "name", text: (attack) => attack.value.toFixed(1), dx: 6, textAnchor: "start", fill: ink }),
    ],
  }), `Accuracy left by each attack on ${row.title}; the same numbers are in the table below.`);
}

// Curves of one model or of two, the second dashed and in another colour.
function drawCurves(figure, rows, key, x, y) {
  const sheet = colour("--sheet"), ink = colour("--ink");
  const lines = rows.map((row, place) => ({ row, points: row[key], stroke: colour(place ? "--warm" : "--accent"), dash: place ? "6 4" : null }))
    .filter((line) => line.points.length > 1);
  if (!lines.length) return put(figure, null);
  const curve = x.step ? "step-after" : "linear";
  put(figure, Plot.plot({
    width: Math.max(300, figure.clientWidth - 32), height: 240, marginTop: 28, marginLeft: 44, marginRight: 60, marginBottom: 40,
    style: { color: colour("--soft"), fontSize: "12px" },
    x: { grid: true, ...x }, y: { domain: [0, 100], grid: true, ticks: 5, ...y },
    marks: lines.flatMap(({ row, points, stroke, dash }, place) => [
      Plot.areaY(points, { x: "x", y1: "low", y2: "high", curve, fill: stroke, fillOpacity: 0.14 }),
      Plot.lineY(points, { x: "x", y: "value", curve, stroke, strokeWidth: 2, strokeDasharray: dash }),
      Plot.dot(points, { x: "x", y: "value", r: 3.5, fill: stroke, stroke: sheet }),
      lines.length === 1
        ? Plot.text(points, { x: "x", y: "value", text: "name", dy: -10, fill: ink, stroke: sheet, strokeWidth: 3 })
        : Plot.text(points.slice(-1), { x: "x", y: "value", text: () => row.title, dy: points.at(-1).value >= lines[1 - place].points.at(-1).value ? -12 : 14, textAnchor: "end", fill: ink, stroke: sheet, strokeWidth: 3 }),
    ]),
  }), `${y.label}: ${lines.map(({ row, points }) => `${row.title} ${points.map((point) => `${point.name} ${point.value.toFixed(1)}`).join(", ")}`).join("; ")}`);
}

const drawPasses = (figure, rows) => drawCurves(figure, rows, "passes", { label: "passes an example", type: "log", step: true }, { label: "accuracy left (%)" });
const drawEpsilons = (figure, rows) => drawCurves(figure, rows, "epsilons", { label: "epsilon" }, { label: "robust accuracy (%)" });

function drawCharts(root) {
  for (const figure of all(".chart[data-row]", root)) {
    const rows = figure.dataset.row.split("~").map((id) => data.rows[id]);
    if (figure.dataset.chart === "attacks") drawAttacks(figure, rows[0]);
    if (figure.dataset.chart === "passes") drawPasses(figure, rows);
    if (figure.dataset.chart === "epsilon") drawEpsilons(figure, rows);
  }
}

// ---- pictures: they stand once in the data, however many rows show them, and are decoded when they are looked at ----
function pictureOf(pair) {
  const image = (name, alt) => make("img", { src: data.pictures[name], alt, width: 96, height: 96 });
  const clean = image(pair.clean, `Test image ${pair.index}, a ${pair.label}`);
  const moved = image(pair.adversarial, `The same image as the attack left it, taken for ${pair.predicted}`);
  const canvas = make("canvas", { role: "img", "aria-label": "What the attack changed, magnified", width: 96, height: 96 });
  Promise.all([clean.decode(), moved.decode()]).then(() => drawDifference(canvas, clean, moved)).catch(() => canvas.remove());
  return make("li", {}, make("figure", {}, clean, moved, canvas,
    make("figcaption", {}, `#${pair.index}: ${pair.label} → `, make("b", {}, pair.predicted))));
}

function drawDifference(canvas, clean, moved) {
  const [width, height] = [clean.naturalWidth, clean.naturalHeight];
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const pixels = [clean, moved].map((image) => {
    context.drawImage(image, 0, 0);
    return context.getImageData(0, 0, width, height).data;
  });
  const changes = [...pixels[1]].map((value, place) => value - pixels[0][place]);
  const largest = Math.max(1, ...changes.map(Math.abs));
  const shown = context.createImageData(width, height);
  changes.forEach((change, place) => { shown.data[place] = place % 4 === 3 ? 255 : 127.5 + (127.5 * change) / largest; });
  context.putImageData(shown, 0, 0);
}

function showPictures(root) {
  for (const list of all("ul.gallery[data-row]", root)) list.replaceChildren(...data.rows[list.dataset.row].gallery.map(pictureOf));
}

// ---- two models side by side ----
function bits(row) {
  const bytes = atob(row.verdicts);
  return Array.from({ length: row.count }, (_, place) => Boolean(bytes.charCodeAt(place >> 3) & (0x80 >> (place % 8))));
}

// Examples that both rows have, sorted by who withstands; nothing where a row does not tell.
function differences(a, b) {
  if (!a.verdicts || !b.verdicts) return null;
  const [one, other] = [bits(a), bits(b)], found = { both: [], a: [], b: [], neither: [] };
  for (let index = Math.max(a.first, b.first); index < Math.min(a.first + a.count, b.first + b.count); index += 1) {
    const [left, right] = [one[index - a.first], other[index - b.first]];
    found[left ? (right ? "both" : "a") : right ? "b" : "neither"].push(index);
  }
  return found;
}

// McNemar's exact test: the chance of flips at least this uneven if each went either way alike.
function mcnemar(gained, lost) {
  const total = gained + lost;
  let logs = -total * Math.LN2, tail = 0;
  for (let count = 0; count <= Math.min(gained, lost); count += 1) {
    tail += Math.exp(logs);
    logs += Math.log(total - count) - Math.log(count + 1);
  }
  return Math.min(1, 2 * tail);
}

const number = (value) => (value === undefined ? "–" : value.toFixed(2));
const within = (share) => make("span", {}, `${number(share.value)} `, make("small", { class: "inline" }, `${number(share.low)} to ${number(share.high)}`));

function comparison(first, second) {
  const [a, b] = [data.rows[first], data.rows[second]];
  const names = [...new Set([...a.attacks, ...b.attacks].filter((attack) => attack.counts).map((attack) => attack.name))].filter((name) => name !== "clean");
  const left = (row, name) => row.attacks.find((attack) => attack.name === name)?.value;
  const line = (name, one, other) => make("tr", {}, make("th", { scope: "row", class: "model" }, name), make("td", { class: "number" }, one), make("td", { class: "number" }, other));
  const head = make("thead", {}, make("tr", {}, make("th", { scope: "col", class: "model" }, "in percent"),
    ...[[first, a], [second, b]].map(([id, row]) => make("th", { scope: "col", class: "number" }, byId("panel") ? make("a", { href: `#${id}` }, row.title) : row.title))));
  const body = make("tbody", {}, line("robust", within(a.robust), within(b.robust)), line("clean", within(a.clean), within(b.clean)),
    line("WRA, their mean", number(a.mean), number(b.mean)), ...names.map((name) => line(name, number(left(a, name)), number(left(b, name)))),
    line("size", a.size, b.size), line("epochs", a.epochs, b.epochs), line("extra data", a.extra, b.extra));
  const parts = [make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `${a.title} and ${b.title}` }, make("table", {}, head, body))];
  for (const kind of ["epsilon", "passes"]) {
    const figure = make("figure", { class: "chart", "data-chart": kind, "data-row": `${first}~${second}` },
      make("figcaption", {}, kind === "epsilon" ? "Robust accuracy against epsilon." : "What is left after how many passes an example, attack after attack."));
    if ([a, b].some((row) => row[kind === "epsilon" ? "epsilons" : "passes"].length > 1)) parts.push(figure);
  }
  const untold = (why) => [...parts, make("p", { class: "note" }, `Which examples differ cannot be told here: ${why}.`)];
  const apart = Object.keys(a.question).filter((name) => a.question[name] !== b.question[name]);
  if (apart.length) return untold(`the rows are not of the same ${apart.join(" and ")}`);
  const found = differences(a, b);
  if (!found) return untold("one of the rows has gaps between its examples, or too many of them");
  const p = mcnemar(found.a.length, found.b.length);
  parts.push(make("h3", {}, "Which examples differ"), make("p", { class: "note" },
    `Of ${found.both.length + found.a.length + found.b.length + found.neither.length} examples that both rows have, ${found.both.length} withstand in both models, `
    + `${found.a.length} in ${a.title} alone, ${found.b.length} in ${b.title} alone, ${found.neither.length} in neither. `
    + `Chance alone makes the two this different with a probability of ${p < 1e-4 ? p.toExponential(0) : p.toFixed(4)} (McNemar, exact; all that counts as robust taken for robust).`));
  for (const [winner, loser, indices] of [[a, b, found.a], [b, a, found.b]]) {
    if (!indices.length) continue;
    const shown = loser.gallery.filter((pair) => indices.includes(pair.index));
    parts.push(make("h3", {}, `${winner.title} withstands, ${loser.title} does not`),
      make("p", { class: "note" }, `Images ${indices.slice(0, 40).map((index) => `#${index}`).join(" ")}${indices.length > 40 ? ` and ${indices.length - 40} more` : ""}.`));
    if (shown.length) parts.push(make("ul", { class: "gallery" }, ...shown.map(pictureOf)));
  }
  return parts;
}
