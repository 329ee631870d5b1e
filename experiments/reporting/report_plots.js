"use strict";

// Plots.

// What is drawn on paper and in the dark. Viridis without its lightest end, which is hard to see on white, or without its
// darkest one.
const THEMES = {
  light: { text: "#222", paper: "#ffffff", grid: "#e8eaed", line: "#999", faint: "#777", empty: "#e4e6e9", alert: "#c00018",
           shades: [[68, 1, 84], [65, 68, 135], [42, 120, 142], [34, 168, 132], [122, 209, 81], [189, 223, 38]] },
  dark: { text: "#dfe3e8", paper: "#1b1f24", grid: "#343a42", line: "#7d8590", faint: "#9aa4af", empty: "#2a2f36", alert: "#ff7b86",
          shades: [[114, 120, 220], [70, 150, 200], [42, 172, 160], [60, 188, 117], [148, 216, 64], [253, 231, 37]] },
};
const darkness = matchMedia("(prefers-color-scheme: dark)");
const systemTheme = () => (darkness.matches ? THEMES.dark : THEMES.light);
let theme = systemTheme();
const HUES = ["#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf"];
const DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"];
// Above so many curves bands are left out, and above so many lines the others are too: nobody could tell them apart.
const MOST_BANDS = 60;
const MOST_CURVES = 200;
const MOST_PARALLEL = 500;

/** The buttons that save a plot as wide as the page says, on white; `draw` draws it. */
function saveButtons(id, draw) {
  const save = async (format) => {
    if (theme !== THEMES.light) { theme = THEMES.light; draw(); }
    try {
      const height = parseFloat(element(id).style.height);
      await Plotly.downloadImage(element(id), { format, width: pictureWidth(), height, filename: `${data.name}-${id}`.replace(/[^\w.-]+/g, "_") });
    } finally {
      // The system may have changed its mind in between.
      if (theme !== systemTheme()) { theme = systemTheme(); draw(); }
    }
  };
  return [["svg", "SVG", Plotly.Icons.disk], ["png", "PNG", Plotly.Icons.camera]].map(([format, name, icon]) => (
    { name: `Save as ${name}`, title: `Save as ${name}, ${pictureWidth()} px wide`, icon, click: () => save(format) }));
}

// What waits to be drawn until it comes near the window, by its element.
const waiting = new Map();
const nearness = new IntersectionObserver((entries) => {
  entries.filter(({ isIntersecting }) => isIntersecting).forEach(({ target }) => drawWaiting(target));
}, { rootMargin: "300px" });

/** Keeps the place of a plot, which is drawn when it comes near the window, or is printed. */
function whenNear(id, height, draw) {
  const target = element(id);
  target.style.height = `${height}px`;
  waiting.set(target, draw);
  nearness.unobserve(target);
  nearness.observe(target);
}

function drawWaiting(target) {
  const draw = waiting.get(target);
  waiting.delete(target);
  nearness.unobserve(target);
  draw?.();
}

window.addEventListener("beforeprint", () => [...waiting.keys()].forEach(drawWaiting));

/** Draws, or says in the middle that there is nothing to draw. */
function plot(id, traces, layout, height, draw) {
  const empty = traces.length ? [] : [{ text: "Nothing to show", showarrow: false, font: { size: 15, color: theme.faint },
                                        xref: "paper", yref: "paper", x: 0.5, y: 0.5 }];
  const axes = traces.length ? {} : { xaxis: { visible: false }, yaxis: { visible: false } };
  const all = { height, margin: { l: 60, r: 16, t: 34, b: 52 }, font: { size: 12, color: theme.text }, hovermode: "closest",
                paper_bgcolor: theme.paper, plot_bgcolor: theme.paper, modebar: { color: theme.faint, activecolor: theme.text, bgcolor: "rgba(0,0,0,0)" },
                hoverlabel: { align: "left", bgcolor: theme.paper, font: { color: theme.text } }, ...layout, ...axes, annotations: empty };
  // When the window changes, plotly.js forgets the layout's height and takes that of the element, which has none of its
  // own: the plot in it is taken out of the flow.
  element(id).style.height = `${height}px`;
  Plotly.react(element(id), traces, all, { responsive: true, displaylogo: false, showSendToCloud: false, modeBarButtonsToRemove: ["toImage", "select2d", "lasso2d"],
                                           modeBarButtonsToAdd: saveButtons(id, draw) });
}

function axis(title, more = {}) {
  return { title: { text: plain(title) }, automargin: true, zeroline: false, gridcolor: theme.grid, linecolor: theme.line,
           ticks: "outside", ...more };
}

/** The axis of epochs, with ticks at whole numbers however far in it is zoomed. */
function epochAxis(epochs, more = {}) {
  const [least, most] = epochs.reduce(([low, high], epoch) => [Math.min(low, epoch), Math.max(high, epoch)], [Infinity, 1]);
  const rough = Math.max(1, (most - Math.min(least, most)) / 8);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((digit) => digit * power).find((size) => size >= rough);
  // A single epoch stands in the middle of its own tick.
  const range = most > least ? {} : { range: [most - 0.5, most + 0.5] };
  return axis("epoch", { tick0: 0, dtick: step, tickformat: "d", ...range, ...more });
}

function mixed(from, to, share) {
  return from.map((low, k) => Math.round(low + share * (to[k] - low)));
}

function shade(fraction) {
  const place = Math.min(Math.max(fraction, 0), 1) * (theme.shades.length - 1);
  const i = Math.min(Math.floor(place), theme.shades.length - 2);
  return mixed(theme.shades[i], theme.shades[i + 1], place - i);
}

function channels(hex) {
  return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
}

/** The colour of a field's group: from dark to light for numbers, as different as can be for others. */
function colourOf(f, group) {
  if (f < 0) return channels(HUES[0]);
  const { kind, group_labels: labels } = fields[f];
  return kind === "text" ? channels(HUES[group % HUES.length]) : shade(group / Math.max(labels.length - 1, 1));
}

/** The colours by a field and the shades and dashes by a second one: how many there are together, and of each its label,
 * its colour, its dash, and which configurations have it. A field of -1 is none. */
function colouring(f, g) {
  const labels = (field) => (field < 0 ? [""] : fields[field].group_labels);
  const group = (field, c) => (field < 0 ? 0 : groupOf(field, c));
  const [first, second] = [labels(f), labels(g)];
  const parts = (k) => [Math.floor(k / second.length), k % second.length];
  const colour = (k) => {
    const [i, j] = parts(k);
    const faded = mixed(colourOf(f, i), channels(theme.paper), second.length > 1 ? (0.62 * j) / (second.length - 1) : 0);
    return `rgb(${faded})`;
  };
  const label = (k) => parts(k).map((i, which) => [first, second][which][i]).filter((text) => text !== "").join(", ") || "all";
  return { count: first.length * second.length, of: (c) => group(f, c) * second.length + group(g, c), label, colour,
           dash: (k) => DASHES[parts(k)[1] % DASHES.length] };
}

/** No more than so many of the configurations that are listed best first: the best tenth of as many, and others evenly. */
function evenly(list, most) {
  if (list.length <= most) return list;
  const best = Math.max(1, Math.round(most / 10));
  const rest = list.length - best;
  return [...list.slice(0, best), ...Array.from({ length: most - best }, (_, i) => list[best + Math.floor((i * rest) / (most - best))])];
}

/** All curves of one colour in one trace, with gaps between them, since few traces are drawn far faster than many. */
function curveTraces(list, metric, colours, banded, floor) {
  const curve = data.curves[metric];
  const groups = Array.from({ length: colours.count }, () => ({ x: [], y: [], text: [] }));
  // A trace a band: where the bands of one trace overlap, they leave holes in one another.
  const bands = [];
  let few = list.length <= MOST_BANDS;
  for (const c of list) {
    const epochs = data.grids[curve.grid[c]];
    const group = groups[colours.of(c)];
    const head = `<b>${wrapped(nameOf(c))}</b><br>${seedsText(c)}`;
    few = few && epochs.length <= 30 || epochs.length === 1;
    epochs.forEach((epoch, i) => {
      const between = curve.low && curve.low[c][i] !== null
        ? ` (${number(curve.low[c][i])} to ${number(curve.high[c][i])})` : "";
      group.x.push(epoch);
      group.y.push(curve.mean[c][i]);
      group.text.push(`${head}<br>epoch ${epoch}: ${plain(metric)} ${number(curve.mean[c][i])}${between}`);
    });
    group.x.push(null); group.y.push(null); group.text.push("");
    if (!banded) continue;
    const inside = [...epochs.keys()].filter((i) => curve.low[c][i] !== null);
    const bound = (part, i) => Math.max(curve[part][c][i], floor);
    if (!inside.length) continue;
    const back = [...inside].reverse();
    bands.push({ type: "scatter", mode: "lines", x: [...inside, ...back].map((i) => epochs[i]),
                 y: [...inside.map((i) => bound("high", i)), ...back.map((i) => bound("low", i))], fill: "toself",
                 fillcolor: colours.colour(colours.of(c)), opacity: 0.15, line: { width: 0 }, hoverinfo: "skip",
                 showlegend: false, legendgroup: String(colours.of(c)), meta: "band" });
  }
  const traces = bands;
  const used = [...groups.keys()].filter((g) => groups[g].x.length);
  for (const g of used) {
    traces.push({ type: "scatter", mode: few ? "lines+markers" : "lines", x: groups[g].x, y: groups[g].y,
                  text: groups[g].text, hovertemplate: "%{text}<extra></extra>", name: plain(colours.label(g)),
                  line: { color: colours.colour(g), dash: colours.dash(g), width: list.length > MOST_BANDS ? 1 : 2 }, marker: { size: 4 },
                  opacity: list.length > MOST_BANDS ? 0.7 : 1, legendgroup: String(g), meta: "curves" });
  }
  return traces;
}

/** A cross on each curve at the epochs at which seeds diverged. */
function crossTrace(list, metric) {
  const curve = data.curves[metric];
  const trace = { type: "scatter", mode: "markers", x: [], y: [], text: [], name: "a seed diverged", meta: "crosses",
                  marker: { symbol: "x", size: 8, color: theme.alert }, hovertemplate: "%{text}<extra></extra>" };
  for (const c of list) {
    const epochs = data.grids[curve.grid[c]];
    for (const epoch of new Set(data.diverged_epochs[c])) {
      const i = epochs.findLastIndex((other) => other <= epoch);
      if (i < 0) continue;
      trace.x.push(epoch);
      trace.y.push(curve.mean[c][i]);
      const count = data.diverged_epochs[c].filter((other) => other === epoch).length;
      trace.text.push(`<b>${wrapped(nameOf(c))}</b><br>${count} of ${data.seeds[c]} diverged at epoch ${epoch}`);
    }
  }
  return trace;
}

function drawCurves(list) {
  const metric = choice("curve-metric");
  const curve = data.curves[metric];
  const log = element("curve-log").checked;
  const has = curve ? list.filter((c) => curve.grid[c] !== null) : [];
  const measured = evenly(ranked(has, metric), MOST_CURVES);
  const hasBands = Boolean(curve?.low) && measured.some((c) => curve.low[c].some((low) => low !== null));
  const banded = hasBands && measured.length <= MOST_BANDS;
  // A logarithmic axis has no place for a band that reaches zero.
  const positive = measured.flatMap((c) => curve.mean[c]).filter((value) => value > 0);
  const floor = log ? positive.reduce((least, value) => Math.min(least, value), Infinity) / 2 : -Infinity;
  const [f, g] = [Number(choice("curve-colour")), Number(choice("curve-shade"))];
  const traces = measured.length ? curveTraces(measured, metric, colouring(f, g === f ? -1 : g), banded, floor) : [];
  const crosses = curve ? crossTrace(measured, metric) : { x: [] };
  if (crosses.x.length) traces.push(crosses);
  const titles = [f, g === f ? -1 : g].filter((field) => field >= 0).map((field) => fields[field].name);
  plot("curves", traces, {
    xaxis: epochAxis(measured.flatMap((c) => data.grids[curve.grid[c]])), yaxis: axis(metricTitle(metric), { type: log ? "log" : "linear" }),
    legend: { title: { text: plain(titles.join(", ")) } }, showlegend: titles.length > 0 || crosses.x.length > 0,
  }, 460, () => drawCurves(list));

  element("curve-finding").textContent = endText(list, metric);
  const notes = [`${plural(measured.length, "curve")}, each the mean over the seeds of a configuration.`];
  if (has.length > measured.length) notes.push(`Drawn are ${MOST_CURVES} of ${plural(has.length, "curve")}: the best ${Math.round(MOST_CURVES / 10)} and others evenly over the ranks; filter some out to see the rest.`);
  if (banded) notes.push(`Bands: ${percent()} % Student's t intervals of these means, within what is possible; a single seed has none.`);
  else if (hasBands) notes.push(`Bands are left out above ${MOST_BANDS} curves: filter some out to see them.`);
  else if (data.probes_without_bands && curve && !curve.low) notes.push("Bands of this metric are left out for the size of the page.");
  if (crosses.x.length) notes.push("×: a seed diverged there and is left out of the mean from then on.");
  if (data.curves_of) notes.push(`The page has the curves of ${data.curves_of.toLocaleString("en")} configurations: the best half of them and others evenly over the ranks.`);
  else if (list.length > has.length) notes.push(`${plural(list.length - has.length, "configuration")} without ${metric}.`);
  if (data.most_epochs) notes.push(`Of each curve at most ${data.most_epochs} epochs are shown, the last one included.`);
  if (data.metrics_left_out.length) notes.push(`Left out for the size of the page, but in results.parquet: ${data.metrics_left_out.join(", ")}.`);
  element("curve-note").textContent = notes.join(" ");
}

function endText(list, metric) {
  const finals = data.finals[metric];
  const best = bestOf(list, finals.mean, isLowestBest(metric));
  if (best === undefined) return list.length ? `No trial ended with a ${metric}.` : "No configuration is filtered in.";
  const where = fields.length ? ` at ${nameOf(best)}` : "";
  return `${isLowestBest(metric) ? "Lowest" : "Highest"} final ${metric}: ${withInterval(finals, best)}` +
    `${lostText(data.diverged[best], data.broken[best], data.seeds[best], "seeds")}${where}`;
}

// -------------------------------------------------------------------------------------------------------------------
// The heat map.

/** Means weighted by trials and counts of diverged ones, by the groups of the fields x and y; y of -1 is one row. */
function cells(list, part, x, y) {
  const groupsOf = (f) => (f < 0 ? [0] : [...new Set(list.map((c) => groupOf(f, c)))].sort((a, b) => a - b));
  const [across, up] = [groupsOf(x), groupsOf(y)];
  const [column, line] = [across, up].map((groups) => new Map(groups.map((group, i) => [group, i])));
  const table = up.map(() => across.map(() => ({ total: 0, n: 0, diverged: 0, broken: 0, trials: 0, configurations: 0 })));
  for (const c of list) {
    const cell = table[y < 0 ? 0 : line.get(groupOf(y, c))][x < 0 ? 0 : column.get(groupOf(x, c))];
    if (part.mean[c] !== null) { cell.total += part.mean[c] * part.n[c]; cell.n += part.n[c]; }
    cell.diverged += data.diverged[c];
    cell.broken += data.broken[c];
    cell.trials += data.seeds[c];
    cell.configurations += 1;
  }
  for (const cell of table.flat()) cell.mean = cell.n ? cell.total / cell.n : null;
  return { across, up, table };
}

function drawHeatMap(list) {
  const [metric, x] = [choice("heat-metric"), Number(choice("heat-x"))];
  const y = choice("heat-y") === choice("heat-x") ? -1 : Number(choice("heat-y"));
  element("heat-at").options[1].disabled = !(metric in data.bests);
  if (!(metric in data.bests)) element("heat-at").value = "finals";
  const at = choice("heat-at");
  const lowest = isLowestBest(metric);
  const { across, up, table } = cells(list, data[at][metric], x, y);
  const text = (f, group) => (f < 0 ? "" : fields[f].group_labels[group]);
  const where = (i, j) => [[x, across[j]], [y, up[i]]].filter(([f]) => f >= 0)
    .map(([f, group]) => `${fields[f].name}=${text(f, group)}`).join(", ");
  const hover = table.map((row, i) => row.map((cell, j) => `<b>${plain(where(i, j))}</b><br>${plain(metric)} ` +
    `${number(cell.mean)}, mean of ${plural(cell.n, "trial")}<br>${plural(cell.configurations, "configuration")}, ` +
    `${plural(cell.trials, "trial")}, ${cell.diverged} diverged, ${cell.broken} at chance`));
  const z = table.map((row) => row.map((cell) => cell.mean));
  const atText = at === "finals" ? "final" : lowest ? "lowest" : "highest";
  const map = { type: "heatmap", z, text: hover, hovertemplate: "%{text}<extra></extra>", colorscale: "Viridis",
                xgap: 1, ygap: 1,
                colorbar: { title: { text: plain(`${atText} ${metricTitle(metric)}`).replace(" (", "<br>("), side: "right" } } };
  const ticks = (f, groups) => ({ tickmode: "array", tickvals: [...groups.keys()], showgrid: false,
                                  range: [-0.5, groups.length - 0.5],
                                  ticktext: groups.map((group) => plain(text(f, group))) });
  const empty = list.length === 0 || x < 0;
  plot("heat", empty ? [] : [map, cellTexts(table, across.length)], {
    xaxis: axis(x < 0 ? "" : fieldTitle(fields[x]), ticks(x, across)),
    yaxis: axis(y < 0 ? "" : fieldTitle(fields[y]), ticks(y, up)), plot_bgcolor: theme.empty, showlegend: false,
  }, Math.min(760, Math.max(300, 46 * up.length + 110)), () => drawHeatMap(list));
  const flat = table.flatMap((row, i) => row.map((cell, j) => ({ ...cell, name: where(i, j) })));
  const best = bestOf([...flat.keys()], flat.map((cell) => cell.mean), lowest, flat.map((cell) => (data.rank === "survivors" ? 0 : (cell.diverged + cell.broken) / cell.trials)));
  element("heat-finding").textContent = x < 0 ? "Nothing but seeds was swept." : best === undefined ? ""
    : `${lowest ? "Lowest" : "Highest"} mean of the ${atText} ${metric}: ${number(flat[best].mean)}` +
      `${lostText(flat[best].diverged, flat[best].broken, flat[best].trials, "trials")} at ${flat[best].name}`;
}

/** The numbers and crosses of a heat map; no numbers where the cells are too narrow for them. */
function cellTexts(table, across) {
  const wide = (element("heat").clientWidth - 200) / across > 40;
  const means = table.flat().map((cell) => cell.mean).filter((mean) => mean !== null);
  const [least, most] = [means, means].map((all, i) => all.reduce((a, b) => (i ? Math.max(a, b) : Math.min(a, b)), all[0]));
  const trace = { type: "scatter", mode: "text", x: [], y: [], text: [], textfont: { color: [], size: 12 },
                  hoverinfo: "skip", meta: "cells" };
  table.forEach((row, i) => row.forEach((cell, j) => {
    const lines = wide && cell.mean !== null ? [number(cell.mean)] : [];
    if (cell.diverged) lines.push(wide ? `× ${cell.diverged}` : "×");
    if (!lines.length) return;
    const level = most > least ? (cell.mean - least) / (most - least) : 0.5;
    trace.x.push(j); trace.y.push(i); trace.text.push(lines.join("<br>"));
    trace.textfont.color.push(cell.mean === null ? theme.alert : level > 0.6 ? "#000" : "#fff");
  }));
  return trace;
}

// -------------------------------------------------------------------------------------------------------------------
// Parallel coordinates.

// These lines take a second or more to draw where a processor does the work of a graphics card.
const PARALLEL_HEIGHT = 420;
const hasWebGL = Boolean(document.createElement("canvas").getContext("webgl"));

function drawParallel(list) {
  const finals = data.finals[data.score];
  const second = choice("parallel-metric");
  const has = list.filter((c) => finals.mean[c] !== null && data.finals[second].mean[c] !== null);
  const drawn = evenly(ranked(has, data.score), MOST_PARALLEL).sort((a, b) => a - b);
  const ofFields = fields.map((field, f) => ({
    label: plain(field.name), values: drawn.map((c) => field.positions[data.codes[f][c]]),
    tickvals: field.ticks, ticktext: field.tick_labels.map(plain),
    range: [Math.min(...field.positions), Math.max(...field.positions)],
  }));
  const ofMetrics = [second, data.score].map((metric) => (
    { label: plain(`final ${metric}`), values: drawn.map((c) => data.finals[metric].mean[c]) }));
  const colour = drawn.map((c) => finals.mean[c]);
  const trace = { type: "parcoords", dimensions: [...ofFields, ...ofMetrics], labelangle: fields.length > 5 ? -12 : 0,
                  line: { color: colour, colorscale: theme.shades.map((shades, i) => [i / (theme.shades.length - 1), `rgb(${shades})`]), showscale: true,
                          colorbar: { title: { text: `final ${data.score} (${data.units[data.score]})`, side: "right" } } } };
  plot("parallel", drawn.length && hasWebGL ? [trace] : [], { margin: { l: 70, r: 30, t: 60, b: 30 } }, PARALLEL_HEIGHT,
       () => drawParallel(list));
  const notes = hasWebGL ? ["Drag along an axis to pick out lines; drag a label to move its axis."]
    : ["This plot needs WebGL, which this browser does not offer."];
  if (has.length < list.length) notes.push(`Left out: ${plural(list.length - has.length, "configuration")} without these numbers.`);
  if (drawn.length < has.length) notes.push(`Drawn are ${drawn.length.toLocaleString("en")} of ${has.length.toLocaleString("en")}: the best tenth and others evenly over the ranks.`);
  element("parallel-note").textContent = notes.join(" ");
}

// -------------------------------------------------------------------------------------------------------------------
// Saturation and speed by layer.

/** The metrics `measure/layer` that the configuration has. */
function layersOf(measure, c) {
  return data.metrics.filter((metric) => metric.startsWith(`${measure}/`) && (data.curves[metric]?.grid[c] ?? null) !== null);
}

function layerMap(metrics, c) {
  const epochs = [...new Set(metrics.flatMap((metric) => data.grids[data.curves[metric].grid[c]]))].sort((a, b) => a - b);
  const z = metrics.map((metric) => {
    const curve = data.curves[metric];
    const found = new Map(data.grids[curve.grid[c]].map((epoch, i) => [epoch, curve.mean[c][i]]));
    return epochs.map((epoch) => found.get(epoch) ?? null);
  });
  return { x: epochs, y: metrics.map((metric) => plain(metric.split("/")[1])), z };
}

function drawLayers(c) {
  const measure = data.saturation.find((name) => c !== undefined && layersOf(name, c).length) ?? data.saturation[0];
  const saturation = c === undefined ? [] : layersOf(measure, c);
  const speed = c === undefined ? [] : layersOf("speed", c);
  drawLayerMap("saturation", measure, saturation, c, { zmin: 0, zmax: 1, colorscale: "Viridis" }, false);
  drawLayerMap("speed", "speed", speed, c, { colorscale: "Viridis" }, true);
}

function drawLayerMap(id, measure, metrics, c, style, log) {
  const { x, y, z } = metrics.length ? layerMap(metrics, c) : { x: [], y: [], z: [] };
  const shownZ = log ? z.map((row) => row.map((value) => (value > 0 ? Math.log10(value) : null))) : z;
  const known = shownZ.flat().filter((value) => value !== null);
  const [least, most] = [Math.min(...known), Math.max(...known)];
  const ticks = known.length && most > least ? [0, 1, 2, 3, 4].map((i) => least + (i / 4) * (most - least)) : [least];
  const logBar = log && known.length ? { tickvals: ticks, ticktext: ticks.map((tick) => (10 ** tick).toPrecision(2)) } : {};
  const trace = { type: "heatmap", x, y, z: shownZ, customdata: z, xgap: x.length > 60 ? 0 : 1, ygap: 1, ...style,
                  hovertemplate: "%{y}, epoch %{x}: %{customdata:.4~g}<extra></extra>",
                  colorbar: { title: { text: measure, side: "right" }, ...logBar } };
  plot(id, known.length ? [trace] : [], {
    xaxis: epochAxis(x, { showgrid: false, ...(x.length <= 12 ? { tickmode: "array", tickvals: x } : {}) }), plot_bgcolor: theme.empty,
    yaxis: axis("layer", { type: "category", autorange: "reversed", showgrid: false }),
  }, Math.min(640, Math.max(280, 34 * y.length + 120)), () => drawLayers(c));
  const last = metrics.map((metric) => data.curves[metric].mean[c].at(-1));
  const ends = [...new Set([Math.min(...last), Math.max(...last)].map(number))].join(" to ");
  element(`${id}-finding`).textContent = last.length
    ? `${metricTitle(metrics[0]).replace(/\/[^ ]*/, "")}, at epoch ${x.at(-1)}: ${ends} over ${plural(last.length, "layer")}`
    : data.curves_of && c !== undefined ? `The page has no curves of this configuration` : `${measure} was not measured here`;
}

// -------------------------------------------------------------------------------------------------------------------
