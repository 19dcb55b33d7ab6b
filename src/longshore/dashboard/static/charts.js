/* Charts over time, drawn by uPlot from what stands in data-chart:
   {times: [s...], series: [{label, values, tone}], unit, kind: "line" | "area" | "bars"}. */
"use strict";
(() => {
  const drawn = new WeakMap();
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const TONES = ["accent", "good", "warn", "bad", "off", "busy"];
  const shape = (value) => (value === null || value === undefined ? "-" : Math.abs(value) >= 1000 ? value.toLocaleString("en") : String(Math.round(value * 1000) / 1000));

  // A value between two gaps has no line to be seen by.
  const alone = (plot, index) => {
    const values = plot.data[index];
    return values.flatMap((value, at) => (value !== null && (values[at - 1] ?? null) === null && (values[at + 1] ?? null) === null ? [at] : []));
  };

  // As everywhere on the pages: UTC, with 24 hours, the day before the hour.
  const hour = (second, step) => {
    const text = new Date(second * 1000).toISOString();
    if (step >= 86400) return text.slice(5, 10);
    return step < 60 ? text.slice(11, 19) : text.slice(11, 16);
  };

  const options = (element, wish) => ({
    width: Math.max(element.clientWidth, 200),
    height: 160,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
    cursor: { drag: { x: false, y: false } },
    legend: { live: true },
    scales: { y: { range: (_plot, _low, high) => [0, high > 0 ? high * 1.1 : 1] } },
    axes: [
      { stroke: colour("muted"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line") }, values: (_plot, ticks, _axis, _space, step) => ticks.map((second) => hour(second, step)) },
      { stroke: colour("muted"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line") }, size: 60, values: (_plot, ticks) => ticks.map(shape) },
    ],
    series: [
      { label: "time (UTC)", value: (_plot, second) => (second === null || second === undefined ? "-" : new Date(second * 1000).toISOString().slice(0, 19).replace("T", " ")) },
      ...wish.series.map((one, index) => {
        const stroke = colour(one.tone || TONES[index % TONES.length]);
        return {
          label: one.label,
          stroke,
          width: 1.5,
          points: { show: wish.kind !== "bars", filter: alone, size: 5 },
          fill: wish.kind === "line" ? undefined : `${stroke}33`,
          paths: wish.kind === "bars" ? uPlot.paths.bars({ size: [0.8, 40] }) : undefined,
          value: (_plot, value) => shape(value),
        };
      }),
    ],
  });
  const draw = (element) => {
    const wish = JSON.parse(element.dataset.chart);
    const old = drawn.get(element);
    const data = [wish.times, ...wish.series.map((one) => one.values)];
    if (old && old.series.length === data.length) { old.setData(data); return; }
    if (old) old.destroy();
    drawn.set(element, new uPlot(options(element, wish), data, element));
  };
  const drawAll = (root) => root.querySelectorAll("[data-chart]").forEach((element) => { if (!drawn.has(element)) draw(element); });
  document.body.addEventListener("longshore:chart", (event) => draw(event.target));
  document.body.addEventListener("htmx:load", (event) => drawAll(event.detail.elt));
  const again = () => document.querySelectorAll("[data-chart]").forEach((element) => {
    const old = drawn.get(element);
    if (old) { old.destroy(); drawn.delete(element); }
    draw(element);
  });
  document.body.addEventListener("longshore:theme", again);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  let resized = null;
  window.addEventListener("resize", () => {
    clearTimeout(resized);
    resized = setTimeout(() => document.querySelectorAll("[data-chart]").forEach((element) => {
      const plot = drawn.get(element);
      if (plot) plot.setSize({ width: Math.max(element.clientWidth, 200), height: 160 });
    }), 150);
  });
  drawAll(document);
})();
