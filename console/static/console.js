// What pages gain where JavaScript runs: the browser's own time, and two live charts drawn from the
// tables beside them. Nothing here is needed: every page is complete without it.
"use strict";
(() => {
  const open = new Set();

  const localTimes = (root) => {
    for (const one of root.querySelectorAll("time[datetime]")) {
      const moment = new Date(one.dateTime);
      if (Number.isNaN(moment.valueOf()) || one.dataset.local) continue;
      one.dataset.local = "yes";
      const text = moment.toLocaleString(undefined, { timeZoneName: "short" });
      one.title = text;
      if (moment.getTimezoneOffset() !== 0 && !one.textContent.includes("(")) {
        const options = { hour: "2-digit", minute: "2-digit", timeZoneName: "short" };
        one.append(` (${moment.toLocaleTimeString(undefined, options)})`);
      }
    }
  };

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // of 24 hours, whatever the language of the browser; seconds where they are not 0
  const clock = (seconds) => {
    const part = seconds % 60 ? { second: "2-digit" } : {};
    const options = { hour: "2-digit", minute: "2-digit", hour12: false, ...part };
    return new Date(seconds * 1000).toLocaleTimeString("en-GB", options);
  };

  const plot = (table) => {
    if (table.tBodies[0].rows.length < 2) return;
    const place = document.createElement("div");
    place.className = "plot";
    place.setAttribute("aria-hidden", "true");
    const names = [...table.tHead.rows[0].cells].slice(1).map((cell) => cell.textContent);
    const rows = [...table.tBodies[0].rows];
    const numbers = (at) => rows.map((row) => {
      const text = row.cells[at].dataset.value;
      return text === "" || text === undefined ? null : Number(text);
    });
    (table.closest("details") || table.closest(".scroll")).before(place);
    const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--edge"), width: 1 } };
    const series = names.map((name, at) => ({
      label: name, stroke: colour(`--l${at % 6}`), width: 2, spanGaps: false,
    }));
    const options = {
      width: place.clientWidth || 600, height: 200,
      scales: { y: { range: (_chart, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
      axes: [{ ...axis, space: 90, values: (_chart, ticks) => ticks.map(clock) }, { ...axis, size: 60 }],
      series: [{ label: "time" }, ...series],
      cursor: { drag: { x: false, y: false } },
    };
    new uPlot(options, [numbers(0), ...names.map((_, at) => numbers(at + 1))], place);
  };

  const enrich = (root) => {
    localTimes(root);
    if (window.uPlot) root.querySelectorAll("table[data-plot]").forEach(plot);
    for (const one of root.querySelectorAll("details[id]")) {
      if (open.has(one.id)) one.open = true;
    }
  };

  document.addEventListener("toggle", (event) => {
    const one = event.target;
    if (one.tagName !== "DETAILS" || !one.id) return;
    if (one.open) open.add(one.id); else open.delete(one.id);
  }, true);
  document.addEventListener("DOMContentLoaded", () => enrich(document));
  document.addEventListener("htmx:afterSettle", (event) => {
    const live = document.getElementById("live");
    enrich(live || event.target);
  });
  // A hidden page requests nothing.
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (document.hidden) event.preventDefault();
  });
})();
