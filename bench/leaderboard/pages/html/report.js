/* A report: its charts, pictures and comparisons. */
"use strict";
(() => {
  for (const place of all(".comparison")) place.append(...comparison(...place.dataset.rows.split("~")));
  showPictures(document);
  drawCharts(document);
  let waiting = 0;
  const redraw = () => { clearTimeout(waiting); waiting = setTimeout(() => drawCharts(document), 120); };
  window.addEventListener("resize", redraw);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
})();
