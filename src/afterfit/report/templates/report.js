"use strict";
(() => {
  const root = document.documentElement;
  const page = JSON.parse(document.getElementById("page-data").textContent);
  const KINDS = { u2: Uint16Array, u4: Uint32Array, f4: Float32Array, f8: Float64Array };
  const DASHES = { train: "dash", test: "solid", "": "solid" };
  const SYMBOLS = { memorised: "triangle-up", generalised: "circle" };
  const OTHER_SYMBOLS = ["diamond", "square", "cross", "star"];
  const MANY = 4; // members of a group from which its median stands in front of them

  function typed({ dtype, bdata }) {
    const text = atob(bdata);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    return new KINDS[dtype](bytes.buffer);
  }

  const steps = typed(page.steps);
  const position = (step) => (step > 0 ? step : page.zero);
  const positions = Float64Array.from(steps, position);
  const state = { colouring: 0, hidden: new Set(), range: null, panels: new Map() };

  // ---- colours and themes ---------------------------------------------------------------------------------------

  const theme = () => root.dataset.theme;
  const css = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const entryOf = (group) => page.colourings[state.colouring].ofGroup[group];
  const colourOf = (group) => page.colourings[state.colouring].colours[entryOf(group)][theme()];
  const isShown = (group) => !state.hidden.has(entryOf(group));

  function paintSwatches() {
    for (const swatch of document.querySelectorAll(".swatch[data-group]"))
      swatch.style.background = colourOf(Number(swatch.dataset.group));
    for (const swatch of document.querySelectorAll(".swatch[data-colour]")) {
      const [colouring, entry] = swatch.dataset.colour.split(":").map(Number);
      swatch.style.background = page.colourings[colouring].colours[entry][theme()];
    }
  }

  function setTheme(name) {
    root.dataset.theme = name;
    document.getElementById("theme").textContent = name === "dark" ? "Light" : "Dark";
    paintSwatches();
    redrawAll();
  }

  // ---- axes -----------------------------------------------------------------------------------------------------

  const SUFFIXES = [[1e9, "G"], [1e6, "M"], [1e3, "k"]];
  function stepLabel(step) {
    const [size, suffix] = SUFFIXES.find(([size]) => step >= size) || [1, ""];
    return `${parseFloat((step / size).toPrecision(4))}${suffix}`;
  }

  function niceSteps(low, high, count) {
    const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
    const unit = Math.max(1, [1, 2, 5, 10].find((u) => u * power >= rough) * power);
    const ticks = [];
    for (let t = Math.ceil(low / unit) * unit; t <= high; t += unit) ticks.push(t);
    return ticks;
  }

  // Decades where there is room for nothing more, 1-2-5 in between, even steps where less than a decade is seen;
  // step 0, which a logarithmic axis has no place for, at its own tick.
  function stepTicks([low, high]) {
    const [first, last] = [10 ** low, 10 ** high], decades = high - low;
    const lowest = Math.max(first, page.zero * 1.5);
    let ticks = [];
    if (decades < 1 && first > page.zero) ticks = niceSteps(first, last, 5);
    else
      for (let power = Math.floor(low); power <= Math.ceil(high); power++)
        for (const unit of decades < 2.4 ? [1, 2, 5] : [1]) ticks.push(unit * 10 ** power);
    ticks = ticks.filter((t) => t >= Math.max(1, lowest) * 0.999 && t <= last * 1.001);
    const labels = ticks.map(stepLabel);
    if (steps[0] === 0 && first <= page.zero) return { tickvals: [page.zero, ...ticks], ticktext: ["0", ...labels] };
    return { tickvals: ticks, ticktext: labels };
  }

  function fullRange() {
    const low = Math.log10(position(steps[0])), high = Math.log10(positions[positions.length - 1]);
    const pad = Math.max(0.025 * (high - low), 0.05);
    return [low - pad, high + pad];
  }

  function stepAxis() {
    const range = state.range || fullRange();
    return {
      type: "log", range, ...stepTicks(range), tickmode: "array", title: { text: "step", standoff: 6 }, ...lines(),
    };
  }

  function lines() {
    return {
      gridcolor: css("--grid"), linecolor: css("--soft"), tickcolor: css("--soft"), zeroline: false, showline: true,
      ticks: "outside", ticklen: 4, automargin: true,
    };
  }

  function valueAxis({ log, range }) {
    if (!log) return { range, nticks: 6, ...lines() };
    const ends = range.map(Math.log10);
    const dtick = ends[1] - ends[0] > 1.5 ? Math.ceil((ends[1] - ends[0]) / 6) : "D2";
    return { type: "log", range: ends, dtick, exponentformat: "power", showexponent: "all", minexponent: 3, ...lines() };
  }

  function layout(extra) {
    const ink = css("--ink"), family = getComputedStyle(document.body).fontFamily;
    return {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: ink, family, size: 12 },
      margin: { l: 46, r: 10, t: 8, b: 40 }, hovermode: "closest", hoverdistance: 16, dragmode: "zoom", showlegend: false,
      hoverlabel: { bgcolor: css("--card"), bordercolor: css("--rule"), font: { color: ink, family, size: 12 } },
      ...extra,
    };
  }

  // ---- traces ---------------------------------------------------------------------------------------------------

  // The curves of a group in one trace, kept apart by gaps. What is shown when pointing at them is the same string for
  // every point of a member.
  function curveTrace(curve) {
    const at = typed(curve.at), values = typed(curve.values), count = at.length + curve.lengths.length;
    const x = new Float64Array(count), y = new Float32Array(count).fill(NaN), text = new Array(count), real = new Float64Array(count);
    let from = 0, to = 0;
    curve.lengths.forEach((length, k) => {
      const label = page.members[curve.members[k]];
      for (let i = 0; i < length; i++, from++, to++) {
        x[to] = positions[at[from]]; real[to] = steps[at[from]]; y[to] = values[from]; text[to] = label;
      }
      x[to] = x[to - 1]; real[to] = real[to - 1]; text[to++] = label;
    });
    const crowd = page.sizes[curve.group];
    return {
      type: "scatter", mode: count <= 2 * curve.lengths.length ? "markers" : "lines", x, y, text, customdata: real,
      connectgaps: false, opacity: crowd < MANY ? 1 : Math.max(0.12, Math.min(0.4, 4 / crowd)),
      line: { color: colourOf(curve.group), width: crowd < MANY ? 1.6 : 0.9, dash: dashOf(curve.split) },
      marker: { color: colourOf(curve.group), size: 6, symbol: curve.split === "train" ? "circle-open" : "circle" },
      hovertemplate: `%{text}<br>${curve.split} %{y:.4g} at step %{customdata:,}<extra></extra>`,
    };
  }

  const dashOf = (split) => (split in DASHES ? DASHES[split] : "dot");

  function medianTrace(median) {
    const at = typed(median.at);
    return {
      type: "scatter", mode: "lines", x: Float64Array.from(at, (i) => positions[i]), y: typed(median.values),
      line: { color: colourOf(median.group), width: 2.4, dash: dashOf(median.split) }, hoverinfo: "skip",
    };
  }

  const eventNames = [];
  function symbolOf(event) {
    if (event in SYMBOLS) return SYMBOLS[event];
    if (!eventNames.includes(event)) eventNames.push(event);
    return OTHER_SYMBOLS[eventNames.indexOf(event) % OTHER_SYMBOLS.length];
  }

  function markTrace(mark) {
    const many = page.sizes[mark.group] >= MANY;
    return {
      type: "scatter", mode: "markers", x: mark.steps.map(position), y: mark.values, customdata: mark.steps,
      text: mark.members.map((member) => page.members[member]),
      marker: {
        symbol: symbolOf(mark.event), size: many ? 6 : 9, color: colourOf(mark.group), opacity: many ? 0.75 : 1,
        line: { color: css("--paper"), width: 1 },
      },
      hovertemplate: `%{text}<br>${mark.event} at step %{customdata:,}<extra></extra>`,
    };
  }

  function curvesFigure(data) {
    const seen = (make) => (part) => ({ ...make(part), visible: isShown(part.group) });
    const traces = [...data.curves.map(seen(curveTrace)), ...data.medians.map(seen(medianTrace)), ...data.marks.map(seen(markTrace))];
    return { traces, layout: layout({ xaxis: stepAxis(), yaxis: valueAxis(data) }) };
  }

  // Members of an arm are spread a little around its line, in their order, so that none hides another.
  function eventTrace(row, lines_, censored) {
    const pick = row.censored.map((flag, i) => [flag, i]).filter(([flag]) => flag === censored).map(([, i]) => i);
    const share = (i) => (row.members.length > 1 ? i / (row.members.length - 1) - 0.5 : 0);
    const colour = colourOf(row.group);
    return {
      type: "scatter", mode: "markers", x: pick.map((i) => position(row.steps[i])),
      y: pick.map((i) => lines_ - 1 - row.group + 0.4 * share(i)), customdata: pick.map((i) => row.steps[i]),
      text: pick.map((i) => page.members[row.members[i]]), visible: isShown(row.group) && pick.length > 0,
      marker: censored
        ? { symbol: "triangle-right-open", size: 8, color: colour, opacity: 0.8 }
        : { symbol: symbolOf(row.event), size: 9, color: colour, opacity: 0.85, line: { color: css("--paper"), width: 0.8 } },
      hovertemplate: `%{text}<br>${censored ? `not ${row.event} by` : `${row.event} at`} step %{customdata:,}<extra></extra>`,
    };
  }

  function eventsFigure(data) {
    const count = data.groups.length;
    const traces = data.rows.flatMap((row) => [eventTrace(row, count, false), eventTrace(row, count, true)]);
    const yaxis = {
      ...lines(), range: [-0.6, count - 0.4], tickmode: "array", tickvals: data.groups.map((_, i) => count - 1 - i),
      ticktext: data.groups, ticks: "", fixedrange: true,
    };
    return { traces, layout: layout({ xaxis: stepAxis(), yaxis }) };
  }

  // ---- drawing --------------------------------------------------------------------------------------------------

  const CONFIG = { displayModeBar: false, responsive: true };
  const figures = { curves: curvesFigure, events: eventsFigure };

  function draw(panel) {
    const { plot, kind } = panel;
    if (!panel.data) panel.data = JSON.parse(panel.source.textContent);
    if (kind === "events") plot.style.height = `${Math.min(90 + 44 * panel.data.groups.length, 560)}px`;
    const { traces, layout } = figures[kind](panel.data);
    Plotly.react(plot, traces, layout, CONFIG);
    if (!panel.drawn) plot.on("plotly_relayout", (change) => linkSteps(panel, change));
    panel.drawn = true;
    panel.stale = false;
  }

  const inView = (panel) => {
    const { top, bottom } = panel.plot.getBoundingClientRect();
    return bottom > -300 && top < window.innerHeight + 300;
  };

  function redrawAll() {
    for (const panel of state.panels.values()) {
      panel.stale = true;
      if (panel.drawn && inView(panel)) draw(panel);
    }
  }

  function linkSteps(panel, change) {
    const low = change["xaxis.range[0]"], high = change["xaxis.range[1]"];
    if (change["xaxis.autorange"]) state.range = null;
    else if (low !== undefined) state.range = [low, high];
    else return;
    redrawAll();
  }

  function drawForPaper() {
    root.dataset.before = theme();
    setTheme("light");
    for (const panel of state.panels.values()) draw(panel);
  }

  function fit(width) {
    for (const panel of state.panels.values()) if (panel.drawn) width(panel);
  }

  // Plotly's drawings have the width of the screen; on paper each gets the width of its place there (A4 less margins).
  window.addEventListener("beforeprint", () => {
    drawForPaper();
    fit((panel) => {
      const [width, height] = panel.kind === "events" ? [690, panel.plot.offsetHeight] : [330, 215];
      panel.plot.style.width = `${width}px`;
      Plotly.relayout(panel.plot, { width, height, "font.size": 10, "margin.b": 34 });
    });
  });
  window.addEventListener("afterprint", () => {
    fit((panel) => { panel.plot.style.width = ""; });
    setTheme(root.dataset.before || "light");
    for (const panel of state.panels.values()) if (panel.drawn) Plotly.Plots.resize(panel.plot);
  });

  // ---- what the reader can do -----------------------------------------------------------------------------------

  function toggleEntry(button) {
    const entry = Number(button.dataset.entry), shown = state.hidden.delete(entry) || !state.hidden.add(entry);
    button.setAttribute("aria-pressed", String(shown));
    redrawAll();
  }

  function colourBy(number) {
    state.colouring = number;
    state.hidden.clear();
    for (const part of document.querySelectorAll("[data-colouring]")) part.hidden = Number(part.dataset.colouring) !== number;
    for (const button of document.querySelectorAll("button.entry")) button.setAttribute("aria-pressed", "true");
    paintSwatches();
    redrawAll();
  }

  const keyOf = (cell) => cell.dataset.sort ?? cell.textContent.trim();
  function compare(a, b) {
    if (a === "" || b === "") return (a === "") - (b === ""); // nothing goes last, whichever way
    const [x, y] = [Number(a), Number(b)];
    return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x - y;
  }

  function sortBy(header) {
    const table = header.closest("table"), body = table.tBodies[0], column = header.cellIndex;
    const sign = header.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    for (const other of header.parentNode.children) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
    const rows = [...body.rows].map((row) => [keyOf(row.cells[column]), row]);
    rows.sort(([a], [b]) => (a === "" || b === "" ? compare(a, b) : sign * compare(a, b)));
    body.append(...rows.map(([, row]) => row));
  }

  // ---- start ----------------------------------------------------------------------------------------------------

  for (const figure of document.querySelectorAll("figure.panel")) {
    const source = figure.querySelector("script.data"), plot = figure.querySelector(".plot");
    if (source) state.panels.set(plot, { plot, source, kind: figure.dataset.kind, drawn: false, stale: true });
  }
  const watcher = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries) {
        const panel = state.panels.get(target);
        if (isIntersecting && panel.stale) draw(panel);
      }
    },
    { rootMargin: "300px" },
  );

  const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");
  setTheme(prefersDark.matches ? "dark" : "light");
  prefersDark.addEventListener("change", (event) => setTheme(event.matches ? "dark" : "light"));
  for (const plot of state.panels.keys()) watcher.observe(plot);

  document.getElementById("theme").addEventListener("click", () => setTheme(theme() === "dark" ? "light" : "dark"));
  document.getElementById("print").addEventListener("click", () => window.print());
  document.getElementById("colour-by")?.addEventListener("change", (event) => colourBy(Number(event.target.value)));
  for (const button of document.querySelectorAll("button.entry")) button.addEventListener("click", () => toggleEntry(button));
  for (const header of document.querySelectorAll(".sortable th")) header.querySelector("button").addEventListener("click", () => sortBy(header));
})();
