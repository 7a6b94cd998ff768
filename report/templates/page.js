// Draws every chart in the reader's theme and keeps the time axes of the timeline together.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("chart-data").textContent);
  const sizes = { u2: Uint16Array, u4: Uint32Array, f4: Float32Array };

  function unpacked({ kind, step, data: text }) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const numbers = new sizes[kind](bytes.buffer);
    const missing = kind === "f4" ? NaN : 256 ** numbers.BYTES_PER_ELEMENT - 1;
    return Array.from(numbers, (number) => (number === missing || Number.isNaN(number) ? null : number * step));
  }

  const arrays = data.arrays.map(unpacked);
  const whole = (value) => (value && typeof value.array === "number" ? arrays[value.array] : value);

  for (const { traces } of data.charts) {
    for (const trace of traces) {
      trace.x = whole(trace.x);
      trace.y = whole(trace.y);
      if (trace.error_x) trace.error_x.array = whole(trace.error_x.array);
    }
  }

  const themes = {
    // Okabe and Ito's colours, lightened on dark ground; all pairs stay apart for every kind of colour blindness.
    light: { ink: "#1c2024", quiet: "#5c636b", grid: "#e3e6e9", p50: "#0072b2", p95: "#00865f", p99: "#c24e00",
      fourth: "#a3508a", muted: "#7b838b", phase: "rgba(92,99,107,0.07)", real: "rgba(230,159,0,0.30)",
      realEdge: "#9a6a00", asked: "rgba(230,159,0,0.12)", sham: "rgba(86,120,180,0.20)", shamAsked: "rgba(86,120,180,0.08)", shamEdge: "#4a6796", lost: "#c24e00" },
    dark: { ink: "#e8eaed", quiet: "#a3abb3", grid: "#343a41", p50: "#6cc0f5", p95: "#2ecf9f", p99: "#ff9248",
      fourth: "#e79bcb", muted: "#8d959d", phase: "rgba(200,206,212,0.06)", real: "rgba(240,180,40,0.28)",
      realEdge: "#f0c050", asked: "rgba(240,180,40,0.12)", sham: "rgba(120,160,230,0.24)", shamAsked: "rgba(120,160,230,0.10)", shamEdge: "#a9c1ee", lost: "#ff9248" },
  };
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const print = window.matchMedia("print");
  const theme = () => (dark.matches && !print.matches ? themes.dark : themes.light);
  const coloured = (value, colours) => (typeof value === "string" && Object.hasOwn(colours, value) ? colours[value] : value);

  function themedTrace(trace, colours) {
    const copy = { ...trace };
    for (const part of ["line", "marker"]) {
      if (copy[part]) copy[part] = { ...copy[part], color: coloured(copy[part].color, colours) };
    }
    if (copy.line && copy.x.length > 1000) copy.line.width = 1;
    for (const part of ["error_x", "error_y"]) {
      if (copy[part]) copy[part] = { ...copy[part], color: coloured(copy[part].color, colours) };
    }
    return copy;
  }

  const band = (from, to, fill, extra) => ({
    type: "rect", xref: "x", yref: "paper", x0: from, x1: to, y0: 0, y1: 1, layer: "below",
    line: { width: 0 }, fillcolor: fill, ...extra,
  });

  function shapes(chart, colours) {
    if (!chart.timeline) {
      return (chart.layout.shapes || []).map((shape) => ({
        ...shape, fillcolor: coloured(shape.fillcolor, colours),
        line: { ...shape.line, color: coloured(shape.line && shape.line.color, colours) },
      }));
    }
    const all = [];
    data.shading.phases.forEach((phase, place) => {
      if (place % 2 === 1) all.push(band(phase.from, phase.to, colours.phase));
    });
    for (const move of data.shading.moves) {
      const real = move.kind === "real";
      const asked = real ? colours.asked : colours.shamAsked;
      if (move.requested < move.from) all.push(band(move.requested, move.from, asked));
      all.push(band(move.from, move.to, real ? colours.real : colours.sham, {
        line: { width: 1, color: real ? colours.realEdge : colours.shamEdge, dash: real ? "solid" : "dot" },
      }));
    }
    for (const at of data.shading.lost) {
      all.push({ type: "line", xref: "x", yref: "paper", x0: at, x1: at, y0: 0, y1: 1, line: { width: 1.5, color: colours.lost, dash: "dash" } });
    }
    for (const at of chart.key === "response" ? data.shading.changes : []) {
      all.push({ type: "line", xref: "x", yref: "paper", x0: at, x1: at, y0: 0, y1: 1, line: { width: 1.5, color: colours.ink, dash: "dot" } });
    }
    return all;
  }

  function annotations(chart, colours) {
    if (!chart.timeline) {
      return (chart.layout.annotations || []).map((note) => ({ ...note, font: { color: colours.quiet, size: 12 } }));
    }
    const room = window.innerWidth < 560 ? 10 : 40;
    const short = (name) => (name.length > room ? `${name.slice(0, room - 1)}…` : name);
    return data.shading.phases.map((phase) => ({
      xref: "x", yref: "paper", x: phase.from, y: 1, xanchor: "left", yanchor: "bottom", text: short(phase.name),
      showarrow: false, font: { size: 11, color: colours.quiet },
    }));
  }

  function layout(chart, colours) {
    const narrow = window.innerWidth < 560;
    const axis = (given) => ({
      gridcolor: colours.grid, zerolinecolor: colours.grid, linecolor: colours.grid, automargin: Boolean(given && given.type === "category"), ...given,
      title: { text: (given && given.title) || "", standoff: 6 },
    });
    return {
      ...chart.layout,
      height: chart.layout.height || (narrow ? 290 : 280),
      margin: { l: 56, r: 12, t: 22, b: narrow ? 92 : 64 },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: "system-ui, sans-serif", size: 12, color: colours.ink },
      hovermode: chart.layout.hovermode || "x unified",
      hoverlabel: { bgcolor: colours === themes.dark ? "#22262b" : "#ffffff", font: { color: colours.ink } },
      legend: { orientation: "h", x: 0, y: 0, yref: "container", yanchor: "bottom", traceorder: "reversed" },
      dragmode: narrow ? false : "zoom",
      xaxis: axis({ title: chart.timeline ? "seconds from the start" : "", hoverformat: ".6~g",
        ...(chart.timeline ? { range: data.shading.range } : {}), ...chart.layout.xaxis }),
      yaxis: axis({ hoverformat: ".4~g", ...chart.layout.yaxis }),
      shapes: shapes(chart, colours),
      annotations: annotations(chart, colours),
    };
  }

  const drawn = [];
  let following = false;

  function follow(source, change) {
    if (following) return;
    const whole = change["xaxis.autorange"];
    const from = change["xaxis.range[0]"] ?? (change["xaxis.range"] || [])[0];
    const to = change["xaxis.range[1]"] ?? (change["xaxis.range"] || [])[1];
    if (!whole && from === undefined) return;
    following = true;
    const update = { "xaxis.range": whole ? [...data.shading.range] : [from, to] };
    const others = drawn.filter((entry) => entry.chart.timeline && (whole || entry.element !== source));
    Promise.all(others.map((entry) => Plotly.relayout(entry.element, update))).finally(() => { following = false; });
  }

  const config = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };

  async function draw() {
    const colours = theme();
    for (const chart of data.charts) {
      const element = document.getElementById(`chart-${chart.key}`);
      if (!element) continue;
      await Plotly.newPlot(element, chart.traces.map((trace) => themedTrace(trace, colours)), layout(chart, colours), config);
      if (chart.timeline) element.on("plotly_relayout", (change) => follow(element, change));
      drawn.push({ chart, element });
    }
    document.documentElement.dataset.drawn = String(drawn.length);
  }

  function redraw() {
    const colours = theme();
    for (const { chart, element } of drawn) {
      const range = chart.timeline ? element.layout.xaxis.range : null;
      const next = layout(chart, colours);
      if (range) next.xaxis = { ...next.xaxis, range };
      Plotly.react(element, chart.traces.map((trace) => themedTrace(trace, colours)), next, config);
    }
  }

  dark.addEventListener("change", redraw);
  print.addEventListener("change", redraw);
  draw();
})();
