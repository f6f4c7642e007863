"use strict";
// The figures of arms. What to draw comes ready, in marks of a few kinds; here they get their colours and their looks.
const armFigures = ({ css, colourOf, entryOf, isShown, layout, lines, stepTicks, logTicks, valueLabels }) => {
  const DASHES = ["solid", "dash", "dot", "dashdot", "longdash"];

  // Arms of one colour, where another field gives the colours, are told apart by their dashes.
  function dashesOf(marks) {
    const seen = new Map(), dashes = new Map();
    for (const { kind, group } of marks) {
      if (kind !== "curve") continue;
      const count = seen.get(entryOf(group)) || 0;
      seen.set(entryOf(group), count + 1);
      dashes.set(group, DASHES[count % DASHES.length]);
    }
    return dashes;
  }

  function bars(mark, axis) {
    const known = mark[axis], away = (ends, sign) => ends.map((end, i) => sign * (end - known[i]));
    const look = { color: css("--ink"), thickness: 1.6, width: 5 };
    return { [`error_${axis}`]: { type: "data", symmetric: false, array: away(mark.high, 1), arrayminus: away(mark.low, -1), ...look } };
  }

  function looks(mark, color, dash) {
    const ink = css("--ink"), points = { mode: "markers" };
    switch (mark.kind) {
      case "band": return { mode: "lines", fill: "toself", fillcolor: color, opacity: 0.14, line: { width: 0 }, hoverinfo: "skip" };
      case "curve": return { mode: "lines", line: { color, width: 2.2, dash }, name: mark.name, showlegend: true };
      case "lost": return { ...points, marker: { symbol: "line-ns", size: 9, line: { color, width: 1.8 } } };
      case "seed": return { mode: "lines", line: { color: css("--soft"), width: 0.8 }, opacity: 0.45, hoverinfo: "skip" };
      case "seen": return { ...points, marker: { symbol: "circle", size: 6, color, opacity: 0.75 } };
      case "unseen": return { ...points, marker: { symbol: "circle-open", size: 7, color, line: { width: 1.4 } } };
      case "up": return { ...points, marker: { symbol: "triangle-up-open", size: 8, color, line: { width: 1.4 } } };
      case "median": return { mode: "lines+markers", line: { color, width: 2.2 }, marker: { color, size: 4 } };
      case "truth": return { mode: "lines", line: { color: ink, width: 1.4 }, hoverinfo: "skip" };
      case "upto": return { mode: "lines", line: { color: ink, width: 1.4, dash: "dash" }, hoverinfo: "skip" };
      case "came": return { ...points, marker: { symbol: "circle", size: 7, color: ink } };
      case "rule": return { mode: "lines", line: { color: css("--soft"), width: 1, dash: "dot" }, hoverinfo: "skip" };
      default: return { ...points, marker: { symbol: "diamond", size: 10, color, line: { color: ink, width: 1.2 } }, ...bars(mark, mark.along) };
    }
  }

  function trace(mark, dashes) {
    const arm = mark.group !== null, color = arm ? colourOf(mark.group) : css("--soft");
    return {
      type: "scatter", x: mark.x, y: mark.y, text: mark.text, visible: !arm || isShown(mark.group), showlegend: false,
      hovertemplate: mark.text ? "%{text}<extra></extra>" : undefined, cliponaxis: mark.kind === "band",
      ...looks(mark, color, dashes.get(mark.group)),
    };
  }

  function axis(given, zoomed) {
    const log = given.kind === "step" || given.kind === "log", ends = zoomed || (log ? given.range.map(Math.log10) : given.range);
    const common = { ...lines(), title: { text: given.label, standoff: 6 }, range: [...ends], type: log ? "log" : "linear" };
    if (given.kind === "step") return { ...common, tickmode: "array", ...stepTicks(ends) };
    if (given.ticks.length > 0) {
      const [tickvals, ticktext] = [0, 1].map((part) => given.ticks.map((tick) => tick[part]));
      return { ...common, tickmode: "array", tickvals, ticktext, ...(given.kind === "arms" ? { ticks: "", fixedrange: true } : {}) };
    }
    const tickvals = log ? logTicks(ends) : null;
    return log ? { ...common, tickmode: "array", tickvals, ticktext: valueLabels(tickvals) } : { ...common, nticks: 6 };
  }

  return (given, panel) => {
    const data = given.choices ? given.choices[panel.choice || 0] : given; // a forecast: the member that was chosen
    const dashes = dashesOf(data.marks);
    const legend = { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, itemclick: false, itemdoubleclick: false, title: { text: data.legend }, font: { size: 11 } };
    const extra = { legend, xaxis: axis(data.x, panel.range), yaxis: axis(data.y, panel.values) };
    return { traces: data.marks.map((mark) => trace(mark, dashes)), layout: layout({ ...extra, showlegend: dashes.size > 0 }) };
  };
};
