"use strict";
(() => {
  const root = document.documentElement;
  const page = JSON.parse(document.getElementById("page-data").textContent);
  const KINDS = { u2: Uint16Array, u4: Uint32Array, f4: Float32Array, f8: Float64Array };
  const DASHES = { train: "5px,2.5px", test: "solid", "": "solid" };
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
  const firstPosition = steps[0] === 0 && steps.length > 1 ? steps[1] : steps[0]; // no tick in the gap before it
  const state = { colouring: 0, hidden: new Set(), hiddenEvents: new Set(), range: null, panels: new Map() };

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

  const SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹";
  const raised = (power) => String(power).replace("-", "⁻").replace(/\d/g, (digit) => SUPERSCRIPTS[digit]);
  const isPower = (value) => Math.abs(Math.log10(value) - Math.round(Math.log10(value))) < 1e-9;

  // Plain numbers where all of them are short, powers of ten where all of them are powers, else 2e-7.
  function valueLabels(values) {
    if (values.every((v) => v >= 0.999e-2 && v < 1e4)) return values.map((v) => parseFloat(v.toPrecision(4)).toLocaleString("en"));
    if (values.every(isPower)) return values.map((v) => `10${raised(Math.round(Math.log10(v)))}`);
    return values.map((v) => parseFloat(v.toPrecision(3)).toExponential());
  }

  function evenTicks(low, high, count) {
    const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
    const unit = [1, 2, 5, 10].find((u) => u * power >= rough) * power;
    const ticks = [];
    for (let k = Math.ceil(low / unit); k * unit <= high; k++) ticks.push(k * unit);
    return ticks;
  }

  // Whole decades (few enough to read), 1-2-5 in between where few decades are seen, even ticks in less than one.
  function logTicks([low, high], wide = false) {
    const decades = high - low;
    if (decades < 0.8) return evenTicks(10 ** low, 10 ** high, 5);
    const every = Math.ceil(decades / 7), ticks = [];
    for (let power = Math.floor(low); power <= high; power++)
      if (power % every === 0) for (const unit of decades < (wide ? 4.5 : 2.4) ? [1, 2, 5] : [1]) ticks.push(unit * 10 ** power);
    return ticks.filter((t) => t >= 10 ** low && t <= 10 ** high);
  }

  // Step 0, which a logarithmic axis has no place for, stands at its own tick.
  function stepTicks(range, wide) {
    const ticks = logTicks(range, wide).filter((t) => t >= firstPosition && Number.isInteger(t));
    const labels = ticks.map(stepLabel), zero = steps[0] === 0 && 10 ** range[0] <= page.zero;
    return zero ? { tickvals: [page.zero, ...ticks], ticktext: ["0", ...labels] } : { tickvals: ticks, ticktext: labels };
  }

  function rangeOf(at) {
    const [low, high] = [Math.min(...at), Math.max(...at)].map(Math.log10), pad = Math.max(0.025 * (high - low), 0.05);
    return [low - pad, high + pad];
  }

  const fullRange = rangeOf([positions[0], positions[positions.length - 1]]);

  // Plotly writes into the range that it is given: it gets a copy.
  function stepAxis(range, wide = false) {
    return { type: "log", range: [...range], ...stepTicks(range, wide), tickmode: "array", title: { text: "step", standoff: 6 }, ...lines() };
  }

  function lines() {
    return {
      gridcolor: css("--grid"), linecolor: css("--soft"), tickcolor: css("--soft"), zeroline: false, showline: true,
      ticks: "outside", ticklen: 4, automargin: true,
    };
  }

  function valueAxis({ log, range }, zoomed) {
    if (!log) return { range: [...(zoomed || range)], nticks: 6, ...lines() };
    const ends = zoomed ? [...zoomed] : range.map(Math.log10), tickvals = logTicks(ends);
    return { type: "log", range: ends, tickmode: "array", tickvals, ticktext: valueLabels(tickvals), ...lines() };
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
  function curveTrace(curve, dash) {
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
      line: { color: colourOf(curve.group), width: crowd < MANY ? 1.6 : 0.9, dash },
      marker: { color: colourOf(curve.group), size: 6, symbol: curve.split === "train" ? "circle-open" : "circle" },
      hovertemplate: `%{text}<br>${curve.split} %{y:.4g} at step %{customdata:,}<extra></extra>`,
    };
  }

  function medianTrace(median, dash) {
    const at = typed(median.at);
    return {
      type: "scatter", mode: "lines", x: Float64Array.from(at, (i) => positions[i]), y: typed(median.values),
      line: { color: colourOf(median.group), width: 2.4, dash }, hoverinfo: "skip",
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
        symbol: symbolOf(page.events[mark.event]), size: many ? 6 : 9, color: colourOf(mark.group), opacity: many ? 0.8 : 1,
        line: { color: css("--ink"), width: many ? 0.5 : 1.2 },
      },
      hovertemplate: `%{text}<br>${page.events[mark.event]} at step %{customdata:,}<extra></extra>`,
    };
  }

  // A panel with one split says which beside its name and draws it solid; with two, train is dashed.
  function curvesFigure(data, panel) {
    const alone = new Set(data.curves.map(({ split }) => split)).size < 2;
    const dashOf = (split) => (alone ? "solid" : split in DASHES ? DASHES[split] : "dot");
    const shown = (trace, part) => ({ ...trace, visible: isShown(part.group) });
    const traces = [
      ...data.curves.map((curve) => shown(curveTrace(curve, dashOf(curve.split)), curve)),
      ...data.medians.map((median) => shown(medianTrace(median, dashOf(median.split)), median)),
      ...data.marks.filter(({ event }) => !state.hiddenEvents.has(event)).map((mark) => shown(markTrace(mark), mark)),
    ];
    return { traces, layout: layout({ xaxis: stepAxis(state.range || fullRange), yaxis: valueAxis(data, panel.values) }) };
  }

  // Members of an arm are spread around its line, in their order, so that none hides another.
  function eventTrace(row, height, end) {
    const pick = [...row.ends.keys()].filter((i) => row.ends[i] === end);
    const share = (i) => (row.members.length > 1 ? i / (row.members.length - 1) - 0.5 : 0);
    const color = colourOf(row.group), what = { happened: "at", censored: "not by", diverged: "not before it diverged at" };
    const line = { color: css("--ink"), width: 0.7 };
    return {
      type: "scatter", mode: "markers", x: pick.map((i) => position(row.steps[i])),
      y: pick.map((i) => height + 0.66 * share(i)), customdata: pick.map((i) => row.steps[i]),
      text: pick.map((i) => page.members[row.members[i]]), visible: isShown(row.group) && pick.length > 0,
      marker: {
        happened: { symbol: symbolOf(page.events[row.event]), size: 8, color, opacity: 0.9, line },
        censored: { symbol: "triangle-right-open", size: 8, color, line: { width: 1.4 } },
        diverged: { symbol: "x-thin", size: 7, line: { color, width: 1.8 } },
      }[end],
      hovertemplate: `%{text}<br>${page.events[row.event]}: ${what[end]} step %{customdata:,}<extra></extra>`,
    };
  }

  function eventsFigure(data, panel) {
    const count = data.groups.length, heights = data.groups.map((_, i) => count - 1 - i);
    const traces = data.rows.flatMap((row) => ["happened", "censored", "diverged"].map((end) => eventTrace(row, heights[row.group], end)));
    const yaxis = {
      ...lines(), range: [-0.6, count - 0.4], tickmode: "array", tickvals: heights, ticktext: data.groups, ticks: "",
      fixedrange: true,
    };
    const seen = data.rows.flatMap((row) => row.steps).map(position);
    const range = panel.range || rangeOf([...seen, Math.max(...seen) / 10]); // a decade at least
    return { traces, layout: layout({ xaxis: stepAxis(range, true), yaxis }) };
  }

  // ---- drawing --------------------------------------------------------------------------------------------------

  const CONFIG = { displayModeBar: false, responsive: true, doubleClick: false };
  const armsFigure = armFigures({ css, colourOf, entryOf, isShown, layout, lines, stepTicks, logTicks, valueLabels });
  const figures = { curves: curvesFigure, events: eventsFigure, arms: armsFigure };

  function draw(panel) {
    const { plot, kind } = panel;
    if (!panel.data) panel.data = JSON.parse(panel.source.textContent);
    if (kind === "events") plot.style.height = `${eventsHeight(panel.data)}px`;
    const { traces, layout } = figures[kind](panel.data, panel);
    Plotly.react(plot, traces, layout, CONFIG);
    if (!panel.drawn) {
      plot.on("plotly_relayout", (change) => follow(panel, change));
      plot.on("plotly_doubleclick", () => showAll(panel));
    }
    panel.drawn = true;
    panel.stale = false;
  }

  function eventsHeight({ groups }) {
    const row = Math.min(24 + 4 * Math.max(...page.sizes), 84);
    return Math.min(70 + row * groups.length, Math.max(580, 70 + 26 * groups.length));
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

  // What the reader zooms to: steps are shared by all curves, values and the figure of events are each their own.
  function follow(panel, change) {
    const zoomed = (axis) => `${axis}.range[0]` in change && [change[`${axis}.range[0]`], change[`${axis}.range[1]`]];
    const steps_ = zoomed("xaxis"), values = zoomed("yaxis");
    if (values) panel.values = values;
    if (steps_ && panel.kind === "curves") state.range = steps_;
    else if (steps_) panel.range = steps_;
    if (steps_ || values) redraw(panel);
  }

  function showAll(panel) {
    panel.values = panel.range = null;
    if (panel.kind === "curves") state.range = null;
    redraw(panel);
  }

  const redraw = (panel) => (panel.kind === "curves" ? redrawAll() : draw(panel));

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
      const [width, height] = panel.kind === "events" ? [690, Math.min(panel.plot.offsetHeight, 380)] : [330, 215];
      Object.assign(panel.plot.style, { width: `${width}px`, height: `${height}px` });
      Plotly.relayout(panel.plot, { width, height, "font.size": 10, "margin.b": 34 });
    });
  });
  window.addEventListener("afterprint", () => {
    fit((panel) => Object.assign(panel.plot.style, { width: "", height: "" }));
    setTheme(root.dataset.before || "light");
    for (const panel of state.panels.values()) if (panel.drawn) Plotly.Plots.resize(panel.plot);
  });

  // ---- what the reader can do -----------------------------------------------------------------------------------

  function toggle(button, hidden, key) {
    const shown = hidden.delete(key) || !hidden.add(key);
    button.setAttribute("aria-pressed", String(shown));
    redrawAll();
  }

  function colourBy(number) {
    state.colouring = number;
    state.hidden.clear();
    for (const part of document.querySelectorAll("[data-colouring]")) part.hidden = Number(part.dataset.colouring) !== number;
    for (const button of document.querySelectorAll("button[data-entry]")) button.setAttribute("aria-pressed", "true");
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
  for (const button of document.querySelectorAll("button[data-entry]"))
    button.addEventListener("click", () => toggle(button, state.hidden, Number(button.dataset.entry)));
  for (const button of document.querySelectorAll("button[data-event]"))
    button.addEventListener("click", () => toggle(button, state.hiddenEvents, Number(button.dataset.event)));
  for (const choice of document.querySelectorAll("figure select"))
    choice.addEventListener("change", () => {
      const panel = state.panels.get(choice.closest("figure").querySelector(".plot"));
      panel.choice = choice.selectedIndex;
      draw(panel);
    });
  for (const header of document.querySelectorAll(".sortable th")) header.querySelector("button").addEventListener("click", () => sortBy(header));
})();
