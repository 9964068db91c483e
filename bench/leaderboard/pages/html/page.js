/* Sorting, filtering and panels of the board. */
"use strict";
(() => {
  const narrow = () => window.innerWidth < 720;
  const MOST_ROWS = 200; // that a table shows before it is asked for all, as in the page's first rows
  const LABELLED = 150; // of more points, only those are labelled that have room beside them

  // ---- which question, which rows ----
  const question = byId("question"), filter = byId("filter"), ranked = byId("ranked"), published = byId("published");
  const wordsAsked = () => filter.value.toLowerCase().split(/\s+/).filter(Boolean);

  function arrange() {
    const words = wordsAsked();
    for (const section of all("section.question")) section.classList.toggle("shown", section.id === question.value);
    const rows = all(`#${CSS.escape(question.value)} table.rows tbody tr`);
    for (const row of rows) {
      const fits = words.every((word) => row.dataset.text.includes(word));
      row.hidden = !fits || (ranked.checked && row.dataset.ranked !== "yes");
    }
    const shown = rows.filter((row) => !row.hidden), section = byId(question.value);
    const most = section.dataset.all ? Infinity : MOST_ROWS;
    rows.forEach((row) => row.classList.remove("later"));
    shown.slice(most).forEach((row) => row.classList.add("later"));
    for (const more of all(".more", section)) more.hidden = shown.length <= most;
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
    if (rows.length > MOST_ROWS) arrange();
  }

  // ---- the chart above a table ----
  // Labels stand at the nearest free place around their point, with a line to it where that is not beside it.
  function labelPoints(chart, svg, points, size) {
    const x = chart.scale("x").apply, y = chart.scale("y").apply;
    const marks = points.map((point) => ({ point, x: x(point.clean), y: y(point.robust) }));
    const taken = marks.map((mark) => ({ left: mark.x - 5, right: mark.x + 5, top: mark.y - 5, bottom: mark.y + 5 }));
    const hit = (box) => box.left < 46 || box.right > size.width - 2 || box.top < 2 || box.bottom > size.height - 36
      || taken.some((other) => box.left < other.right && other.left < box.right && box.top < other.bottom && other.top < box.bottom);
    const layer = d3.select(svg).append("g").attr("aria-hidden", "true");
    const radii = points.length > LABELLED ? [11] : [11, 26, 44, 66, 92, 124, 160, 200, 250];
    for (const mark of marks.sort((a, b) => Number(b.point.ours) - Number(a.point.ours))) {
      const title = mark.point.title.length > 26 ? `${mark.point.title.slice(0, 25)}…` : mark.point.title;
      const width = 6.8 * title.length, height = 13;
      let place = null;
      for (const radius of mark.point.ours ? radii : [11]) {
        for (let turn = 0; turn < 16 && !place; turn += 1) {
          const angle = -Math.PI / 4 + (turn % 2 ? -1 : 1) * Math.ceil(turn / 2) * (Math.PI / 8);
          const [dx, dy] = [radius * Math.cos(angle), radius * Math.sin(angle)];
          const right = dx >= 0, at = { x: mark.x + dx, y: mark.y + dy };
          const box = { left: right ? at.x : at.x - width, right: right ? at.x + width : at.x, top: at.y - height / 2, bottom: at.y + height / 2 };
          if (!hit(box)) place = { at, right, box, radius };
        }
        if (place) break;
      }
      if (!place) continue;
      taken.push(place.box);
      if (place.radius > 11) layer.append("line").attr("x1", mark.x).attr("y1", mark.y).attr("x2", place.at.x).attr("y2", place.at.y).attr("stroke", colour("--soft")).attr("stroke-width", 0.75).attr("opacity", 0.7);
      layer.append("text").attr("class", "label").attr("x", place.at.x + (place.right ? 2 : -2)).attr("y", place.at.y).attr("dy", "0.32em")
        .attr("text-anchor", place.right ? "start" : "end").attr("fill", mark.point.ours ? colour("--ink") : colour("--soft"))
        .attr("stroke", colour("--sheet")).attr("stroke-width", 3).attr("paint-order", "stroke").attr("font-size", mark.point.ours ? 12 : 11).text(title);
    }
  }

  function drawScatter(visible) {
    const figure = document.querySelector(`.chart[data-chart=scatter][data-group="${CSS.escape(question.value)}"]`);
    if (!figure) return;
    const group = data.groups[question.value], words = wordsAsked();
    const rows = group.rows.filter((row) => visible.has(row.id));
    const others = published.checked ? group.published.filter((row) => words.every((word) => row.text.includes(word))) : [];
    if (!rows.length && !others.length) return put(figure, null);
    const width = Math.max(320, figure.clientWidth - (narrow() ? 16 : 32)), height = Math.min(narrow() ? 330 : 430, width * 0.8);
    const limits = (low, high) => [Math.max(0, Math.floor(low / 5) * 5), Math.min(100, Math.ceil(high / 5) * 5)];
    const span = (keys) => [...rows.flatMap((row) => keys.map((key) => row[key]))];
    const xs = [...span(["clean_low", "clean_high"]), ...others.map((row) => row.clean)];
    const ys = [...span(["low", "high"]), ...others.map((row) => row.robust)];
    const accent = colour("--accent"), soft = colour("--soft"), sheet = colour("--sheet"), line = colour("--line");
    const crowded = rows.length > LABELLED;
    const chart = Plot.plot({
      width, height, marginLeft: 44, marginRight: narrow() ? 16 : 30, marginBottom: 40,
      style: { color: soft, fontSize: "12px" },
      x: { label: "clean accuracy (%)", domain: limits(d3.min(xs), d3.max(xs)), grid: true, ticks: narrow() ? 5 : 9, inset: 6 },
      y: { label: "robust accuracy (%)", domain: limits(d3.min(ys), d3.max(ys)), grid: true, ticks: 6, inset: 6 },
      marks: [
        Plot.dot(others, { x: "clean", y: "robust", symbol: "times", stroke: soft, strokeOpacity: 0.7, r: 4,
          channels: { name: { value: "name", label: "as published" } }, tip: { format: { name: true, x: (v) => v.toFixed(2), y: (v) => v.toFixed(2), symbol: false }, fill: sheet, stroke: line } }),
        crowded ? null : Plot.ruleX(rows, { x: "clean", y1: "low", y2: "high", stroke: accent, strokeOpacity: 0.5, strokeWidth: 1.5 }),
        crowded ? null : Plot.ruleY(rows, { y: "robust", x1: "clean_low", x2: "clean_high", stroke: accent, strokeOpacity: 0.5, strokeWidth: 1.5 }),
        Plot.dot(rows, { x: "clean", y: "robust", r: crowded ? 3 : 5.5, stroke: accent, strokeWidth: crowded ? 1 : 1.75, fill: (row) => (row.ranked ? accent : sheet),
          href: (row) => `#${row.id}`, ariaLabel: (row) => `${row.title}: ${row.clean.toFixed(2)} % clean, ${row.robust.toFixed(2)} % robust` }),
        Plot.tip(rows, Plot.pointer({ x: "clean", y: "robust", fill: sheet, stroke: line, format: { x: false, y: false },
          title: (row) => `${row.title}\n${row.clean.toFixed(2)} % clean\n${row.robust.toFixed(2)} % robust (${row.low.toFixed(1)} to ${row.high.toFixed(1)})\n${row.place}` })),
      ],
    });
    const svg = put(figure, chart, `Clean against robust accuracy of ${rows.length} models; the same numbers are in the table below.`);
    const points = [...rows.map((row) => ({ ...row, ours: true })), ...others.map((row) => ({ ...row, title: row.name, ours: false }))];
    labelPoints(chart, svg, points, { width, height });
  }

  // ---- the panel: the address names the model in it, or the two, so that it can be linked to ----
  const panel = byId("panel"), sheet = panel.querySelector(".sheet");
  let opener = null;

  function comparedWith(id) {
    const select = sheet.querySelector("select.compare");
    if (!select) return;
    const others = data.groups[data.rows[id].group].rows.filter((row) => row.id !== id);
    select.append(...others.map((row) => make("option", { value: row.id }, row.title)));
    select.closest("label").hidden = !others.length;
    select.addEventListener("input", () => { if (select.value) location.hash = `#${id}~${select.value}`; });
  }

  function show(ids) {
    const [id, other] = ids, row = data.rows[id];
    if (question.value !== row.group) { question.value = row.group; arrange(); }
    if (other) {
      const title = `${row.title} and ${data.rows[other].title}`;
      sheet.replaceChildren(make("h2", { id: "panel-title", tabindex: -1 }, title),
        make("p", { class: "where" }, document.querySelector(`option[value="${CSS.escape(row.group)}"]`).textContent), ...comparison(id, other));
    } else {
      sheet.innerHTML = byId(`p-${id}`).textContent; // made by bench, with everything from rows escaped
      comparedWith(id);
      showPictures(sheet);
    }
    if (!panel.open) panel.showModal();
    panel.scrollTop = 0;
    drawCharts(panel);
    byId("panel-title").focus();
  }

  function follow() {
    const name = decodeURIComponent(location.hash.slice(1)), ids = name.split("~");
    if (name && ids.length <= 2 && ids.every((id) => Object.hasOwn(data.rows, id))) return show(ids);
    panel.close();
    const target = name ? byId(name) : null;
    if (target && target.matches("section.question")) {
      question.value = name;
      arrange();
    }
  }

  // Following an address takes the focus away, so what was followed is noted before.
  document.addEventListener("click", (event) => { if (!panel.contains(event.target)) opener = event.target.closest("a") || opener; });
  panel.addEventListener("close", () => {
    if (location.hash) history.replaceState(null, "", location.pathname + location.search);
    if (opener && opener.isConnected) opener.focus();
  });
  panel.addEventListener("click", (event) => { if (event.target === panel) panel.close(); });
  for (const header of all("table.rows thead th")) header.querySelector("button").addEventListener("click", () => sortBy(header));
  for (const button of all(".more button")) button.addEventListener("click", () => { button.closest("section").dataset.all = "yes"; arrange(); });
  for (const control of [question, filter, ranked, published]) control.addEventListener("input", arrange);
  document.querySelector("form.controls").addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("hashchange", follow);
  let waiting = 0;
  const redraw = () => { clearTimeout(waiting); waiting = setTimeout(() => { arrange(); if (panel.open) drawCharts(panel); }, 120); };
  window.addEventListener("resize", redraw);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  arrange();
  follow();
})();
