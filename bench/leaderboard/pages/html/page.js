/* Sorting, filtering, panels and charts of the board. Every number is in the page already; this only arranges and draws it. */
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  document.documentElement.classList.add("js");

  // ---- which question, which rows ----
  const question = byId("question"), filter = byId("filter"), ranked = byId("ranked"), published = byId("published");

  function arrange() {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const section of all("section.question")) section.classList.toggle("shown", section.id === question.value);
    const rows = all(`#${CSS.escape(question.value)} table.rows tbody tr`);
    for (const row of rows) {
      const fits = words.every((word) => row.dataset.text.includes(word));
      row.hidden = !fits || (ranked.checked && row.dataset.ranked !== "yes");
    }
    const shown = rows.filter((row) => !row.hidden);
    byId("status").textContent = shown.length === rows.length
      ? `${rows.length} row${rows.length === 1 ? "" : "s"}`
      : `${shown.length} of ${rows.length} rows`;
    for (const note of all(".only-published")) note.hidden = !published.checked;
    drawScatter(new Set(shown.map((row) => row.dataset.id)));
  }

  // ---- sorting ----
  function sortBy(header) {
    const table = header.closest("table"), column = [...header.parentNode.children].indexOf(header);
    const text = header.classList.contains("model");
    const firstUp = text || column === 0 || !header.classList.contains("number") && !header.classList.contains("robust");
    const was = header.getAttribute("aria-sort");
    const up = was ? was !== "ascending" : firstUp;
    for (const other of header.parentNode.children) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", up ? "ascending" : "descending");
    const value = (row) => {
      const stored = row.children[column].dataset.value;
      return text ? stored : Number(stored);
    };
    const rows = [...table.tBodies[0].rows].map((row, place) => ({ row, place, value: value(row) }));
    const compare = (a, b) => (text ? a.value.localeCompare(b.value) : a.value - b.value);
    rows.sort((a, b) => (up ? compare(a, b) : compare(b, a)) || a.place - b.place);
    table.tBodies[0].append(...rows.map((each) => each.row));
  }

  // ---- charts ----
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const narrow = () => window.innerWidth < 720;

  function put(figure, chart, label) {
    all("svg, .plot", figure).forEach((old) => old.remove());
    if (!chart) return;
    const svg = chart.tagName.toLowerCase() === "svg" ? chart : chart.querySelector("svg");
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", label);
    chart.classList.add("plot");
    figure.prepend(chart);
    uncrowd(svg);
  }

  // Labels that would cover one that stands there already are left out; the point's tip still names it.
  function uncrowd(svg) {
    const kept = [];
    for (const label of all("g[aria-label=text] text", svg)) {
      const box = label.getBoundingClientRect();
      const hit = kept.some((other) => box.left < other.right && other.left < box.right && box.top < other.bottom && other.top < box.bottom);
      if (hit) label.style.display = "none"; else kept.push(box);
    }
  }

  const label = (row) => (row.title.length > 26 ? `${row.title.slice(0, 25)}…` : row.title);

  function drawScatter(visible) {
    const figure = document.querySelector(`.chart[data-chart=scatter][data-group="${CSS.escape(question.value)}"]`);
    if (!figure) return;
    const group = data.groups[question.value];
    const rows = group.rows.filter((row) => visible.has(row.id));
    const others = published.checked ? group.published : [];
    if (!rows.length && !others.length) return put(figure, null);
    const width = Math.max(320, figure.clientWidth - (narrow() ? 16 : 32));
    const limits = (low, high) => [Math.max(0, Math.floor(low / 5) * 5), Math.min(100, Math.ceil(high / 5) * 5)];
    const span = (keys) => [...rows.flatMap((row) => keys.map((key) => row[key]))];
    const xs = [...span(["clean_low", "clean_high"]), ...others.map((row) => row.clean)];
    const ys = [...span(["low", "high"]), ...others.map((row) => row.robust)];
    const [left, right] = limits(Math.min(...xs), Math.max(...xs));
    // Whether the label ends inside the chart if it starts at the mark, at some 7 pixels a letter.
    const fits = (row) => 54 + ((row.clean - left) / (right - left)) * (width - 84) + 7 * label(row).length < width;
    const accent = colour("--accent"), soft = colour("--soft"), sheet = colour("--sheet"), line = colour("--line");
    const chart = Plot.plot({
      width, height: Math.min(narrow() ? 330 : 430, width * 0.8), marginLeft: 44, marginRight: narrow() ? 16 : 30, marginBottom: 40,
      style: { color: soft, fontSize: "12px" },
      x: { label: "clean accuracy (%)", domain: [left, right], grid: true, ticks: narrow() ? 5 : 9, inset: 6 },
      y: { label: "robust accuracy (%)", domain: limits(Math.min(...ys), Math.max(...ys)), grid: true, ticks: 6, inset: 6 },
      marks: [
        Plot.dot(others, { x: "clean", y: "robust", symbol: "times", stroke: soft, strokeOpacity: 0.7, r: 4,
          channels: { name: { value: "name", label: "as published" } }, tip: { format: { name: true, x: (v) => v.toFixed(2), y: (v) => v.toFixed(2), symbol: false }, fill: sheet, stroke: line } }),
        Plot.ruleX(rows, { x: "clean", y1: "low", y2: "high", stroke: accent, strokeOpacity: 0.5, strokeWidth: 1.5 }),
        Plot.ruleY(rows, { y: "robust", x1: "clean_low", x2: "clean_high", stroke: accent, strokeOpacity: 0.5, strokeWidth: 1.5 }),
        Plot.dot(rows, { x: "clean", y: "robust", r: 5.5, stroke: accent, strokeWidth: 1.75, fill: (row) => (row.ranked ? accent : sheet),
          href: (row) => `#${row.id}`, ariaLabel: (row) => `${row.title}: ${row.clean.toFixed(2)} % clean, ${row.robust.toFixed(2)} % robust` }),
        Plot.text(rows, { x: "clean", y: "robust", text: label, dx: 10, dy: -9, textAnchor: "start", fill: colour("--ink"), stroke: sheet, strokeWidth: 3,
          filter: fits }),
        Plot.text(rows, { x: "clean", y: "robust", text: label, dx: -10, dy: -9, textAnchor: "end", fill: colour("--ink"), stroke: sheet, strokeWidth: 3,
          filter: (row) => !fits(row) }),
        Plot.tip(rows, Plot.pointer({ x: "clean", y: "robust", fill: sheet, stroke: line, format: { x: false, y: false },
          title: (row) => `${row.title}\n${row.clean.toFixed(2)} % clean\n${row.robust.toFixed(2)} % robust (${row.low.toFixed(1)} to ${row.high.toFixed(1)})\n${row.place}` })),
      ],
    });
    put(figure, chart, `Clean against robust accuracy of ${rows.length} models; the same numbers are in the table below.`);
  }

  function drawAttacks(figure, row) {
    const accent = colour("--accent"), ink = colour("--ink");
    const left = Math.min(160, 24 + 7 * Math.max(...row.attacks.map((attack) => attack.name.length)));
    put(figure, Plot.plot({
      width: Math.max(300, figure.clientWidth - 32), height: 34 + 26 * row.attacks.length, marginLeft: left, marginRight: 44, marginBottom: 28,
      style: { color: colour("--soft"), fontSize: "12px" },
      x: { domain: [0, 100], label: null, grid: true, ticks: 5 }, y: { label: null, domain: row.attacks.map((attack) => attack.name), padding: 0.35 },
      marks: [
        Plot.barX(row.attacks, { x: "left", y: "name", fill: accent, fillOpacity: (attack) => (attack.counts ? 0.8 : 0.3), rx: 2 }),
        Plot.ruleY(row.attacks, { y: "name", x1: "low", x2: "high", stroke: ink, strokeWidth: 1.5 }),
        Plot.text(row.attacks, { x: "high", y: "name", text: (attack) => attack.left.toFixed(1), dx: 6, textAnchor: "start", fill: ink }),
      ],
    }), `Accuracy left by each attack on ${row.title}; the same numbers are in the table below.`);
  }

  function drawCurve(figure, row, points, x, y) {
    const accent = colour("--accent"), sheet = colour("--sheet");
    put(figure, Plot.plot({
      width: Math.max(300, figure.clientWidth - 32), height: 240, marginTop: 28, marginLeft: 44, marginRight: 60, marginBottom: 40,
      style: { color: colour("--soft"), fontSize: "12px" },
      x: { grid: true, ...x }, y: { domain: [0, 100], grid: true, ticks: 5, ...y },
      marks: [
        Plot.areaY(points, { x: "x", y1: "low", y2: "high", curve: x.step ? "step-after" : "linear", fill: accent, fillOpacity: 0.14 }),
        Plot.lineY(points, { x: "x", y: "value", curve: x.step ? "step-after" : "linear", stroke: accent, strokeWidth: 2 }),
        Plot.dot(points, { x: "x", y: "value", r: 3.5, fill: accent, stroke: sheet }),
        Plot.text(points, { x: "x", y: "value", text: "name", dy: -10, fill: colour("--ink"), stroke: sheet, strokeWidth: 3 }),
      ],
    }), `${y.label} of ${row.title}: ${points.map((point) => `${point.name} ${point.value.toFixed(1)}`).join(", ")}`);
  }

  // Pictures stand once in the data, however many rows show them, and are decoded when a panel opens.
  async function showPictures(panel) {
    for (const figure of all(".gallery figure", panel)) {
      const [clean, moved] = all("img", figure);
      if (clean.src) continue;
      for (const image of [clean, moved]) image.src = data.pictures[image.dataset.picture];
      await Promise.all([clean.decode(), moved.decode()]);
      drawDifference(figure.querySelector("canvas"), clean, moved);
    }
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

  function drawPanel(panel) {
    showPictures(panel);
    for (const figure of all(".chart", panel)) {
      const row = data.rows[figure.dataset.row];
      if (figure.dataset.chart === "attacks") drawAttacks(figure, row);
      if (figure.dataset.chart === "passes") drawCurve(figure, row, row.passes, { label: "passes an example", type: "log", step: true }, { label: "accuracy left (%)" });
      if (figure.dataset.chart === "epsilon") drawCurve(figure, row, row.epsilons, { label: "epsilon" }, { label: "robust accuracy (%)" });
    }
  }

  // ---- panels: the address names the open one, so that it can be linked to ----
  let opener = null;

  function follow() {
    const id = decodeURIComponent(location.hash.slice(1));
    const target = id ? byId(id) : null;
    for (const open of all("dialog[open]")) if (open !== target) open.close();
    if (target && target.matches("dialog.panel")) {
      const row = data.rows[id];
      if (question.value !== row.group) { question.value = row.group; arrange(); }
      if (!target.open) target.showModal();
      target.scrollTop = 0;
      drawPanel(target);
      byId(`t-${id}`).focus();
    } else if (target && target.matches("section.question")) {
      question.value = id;
      arrange();
    }
  }

  // Following an address takes the focus away, so what was followed is noted before.
  document.addEventListener("click", (event) => { opener = event.target.closest("a") || opener; });
  for (const panel of all("dialog.panel")) {
    panel.addEventListener("close", () => {
      if (location.hash === `#${panel.id}`) history.replaceState(null, "", location.pathname + location.search);
      if (opener && opener.isConnected) opener.focus();
    });
    panel.addEventListener("click", (event) => { if (event.target === panel) panel.close(); });
  }
  for (const header of all("table.rows thead th")) header.querySelector("button").addEventListener("click", () => sortBy(header));
  for (const control of [question, filter, ranked, published]) control.addEventListener("input", arrange);
  document.querySelector("form.controls").addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("hashchange", follow);
  let waiting = 0;
  const redraw = () => { clearTimeout(waiting); waiting = setTimeout(() => { arrange(); all("dialog[open]").forEach(drawPanel); }, 120); };
  window.addEventListener("resize", redraw);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  arrange();
  follow();
})();
