"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const amount = (value) => {
    if (value == null) return "–";
    for (const [limit, prefix] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]])
      if (value >= limit) return (value / limit).toFixed(value >= 100 * limit ? 0 : 1) + " " + prefix;
    return (value >= 10 || value === 0 ? value.toFixed(0) : value >= 0.1 ? value.toFixed(1) : value.toPrecision(2)) + " ";
  };
  const utc = (seconds) => uPlot.tzDate(new Date(seconds * 1e3), "Etc/UTC");
  const forms = ["{HH}:{mm}", "{HH}:{mm}:{ss}", "{HH}:{mm}:{ss}.{fff}", "{YYYY}-{MM}-{DD}"];
  const [minutes, seconds, thousandths, day] = forms.map((form) => uPlot.fmtDate(form));
  const ticks = (u, values, axis, space, step) => values.map((value, place) => {
    const text = (step < 1 ? thousandths : step < 60 ? seconds : minutes)(utc(value));
    return place === 0 || value % 86400 === 0 ? text + "\n" + day(utc(value)) : text;
  });
  const axis = (own) => Object.assign({
    stroke: () => colour("--fg"), font: "12px system-ui, sans-serif",
    grid: {stroke: () => colour("--line"), width: 1}, ticks: {stroke: () => colour("--line"), width: 1},
  }, own);

  // Visible series are stacked; those hidden by the legend are left out.
  const stacked = (raw, isHidden) => {
    const out = [raw[0]], sums = new Array(raw[0].length).fill(0), bands = [];
    let below = 0;
    for (let i = 1; i < raw.length; i++) {
      if (isHidden(i)) { out.push(raw[i]); continue; }
      out.push(raw[i].map((value, k) => (sums[k] += value)));
      if (below) bands.push({series: [i, below]});
      below = i;
    }
    return {data: out, bands};
  };

  const chart = (element, title, unit, key) => {
    const raw = [data.t, ...data.series.map((one) => one[key])];
    const first = stacked(raw, () => false);
    const options = {
      width: element.clientWidth, height: 260, title, tzDate: utc,
      scales: {x: {time: true}, y: {range: (u, low, high) => [0, (high || 1) * 1.05]}},
      bands: first.bands,
      cursor: {drag: {x: true, y: false}, sync: {key: "time", setSeries: false, scales: ["x", null]}},
      axes: [axis({values: ticks, space: 90}), axis({size: 92, values: (u, values) => values.map((value) => amount(value) + unit)})],
      series: [
        {label: "Time (UTC)", value: "{YYYY}-{MM}-{DD} {HH}:{mm}:{ss}.{fff}"},
        ...data.series.map((one, place) => ({
          label: one.name, width: 1.5, points: {show: false}, stroke: colour("--c" + (place % 9)), fill: colour("--c" + (place % 9)) + "66",
          value: (u, value, series, index) => (index == null ? "–" : amount(raw[series][index]) + unit),
        })),
      ],
      hooks: {
        ready: [(u) => reachable(u, element, title)],
        setSeries: [(u, changed, what) => {
          if (changed == null || what.show == null) return;
          const again = stacked(raw, (i) => !u.series[i].show);
          u.delBand(null);
          again.bands.forEach((band) => u.addBand(band));
          u.setData(again.data, false);
          u.redraw();
        }],
      },
    };
    return new uPlot(options, first.data, element);
  };

  // Make the legend usable by keyboard, and label the chart for screen readers.
  const reachable = (u, element, title) => {
    element.setAttribute("role", "group");
    element.setAttribute("aria-label", title);
    u.ctx.canvas.setAttribute("role", "img");
    u.ctx.canvas.setAttribute("aria-label", title + ". The table below has the figures.");
    element.querySelectorAll(".u-series").forEach((row, place) => {
      if (!place) return;
      const head = row.firstChild, tell = () => head.setAttribute("aria-pressed", String(u.series[place].show));
      head.tabIndex = 0;
      head.setAttribute("role", "button");
      tell();
      head.addEventListener("click", () => setTimeout(tell));
      head.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") { event.preventDefault(); head.click(); }
      });
    });
  };

  let charts = [];
  const draw = () => {
    charts.forEach((one) => one.destroy());
    charts = [
      chart(document.getElementById("pps"), "Packets per second", "pps", "pps"),
      chart(document.getElementById("bps"), "Bits per second", "bit/s", "bps"),
    ];
  };
  if (!data.t.length) return;
  draw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  addEventListener("resize", () => charts.forEach((one) => one.setSize({width: one.root.parentNode.clientWidth, height: 260})));
})();
