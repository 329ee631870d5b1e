"use strict";

// Plots.

/** Draws, or says in the middle that there is nothing to draw. */
function plot(id, traces, layout, height) {
  const empty = traces.length ? [] : [{ text: "Nothing to show", showarrow: false, font: { size: 15, color: "#777" },
                                        xref: "paper", yref: "paper", x: 0.5, y: 0.5 }];
  const axes = traces.length ? {} : { xaxis: { visible: false }, yaxis: { visible: false } };
  const all = { height, margin: { l: 60, r: 16, t: 34, b: 52 }, font: { size: 12, color: "#222" }, hovermode: "closest",
                hoverlabel: { align: "left", bgcolor: "#fff" }, ...layout, ...axes, annotations: empty };
  // When the window changes, plotly.js forgets the layout's height and takes that of the element, which has none of its
  // own: the plot in it is taken out of the flow.
  element(id).style.height = `${height}px`;
  Plotly.react(element(id), traces, all, { responsive: true, displaylogo: false });
}

function axis(title, more = {}) {
  return { title: { text: plain(title) }, automargin: true, zeroline: false, gridcolor: "#e8eaed", linecolor: "#999",
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

function shade(fraction) {
  const place = Math.min(Math.max(fraction, 0), 1) * (SHADES.length - 1);
  const i = Math.min(Math.floor(place), SHADES.length - 2);
  return `rgb(${SHADES[i].map((low, k) => Math.round(low + (place - i) * (SHADES[i + 1][k] - low)))})`;
}

/** The colours by a field: how many, and of each its label, its colour, and which configurations have it. */
function colouring(f) {
  if (f < 0) return { count: 1, of: () => 0, label: () => "all", colour: () => HUES[0] };
  const { kind, group_labels: labels } = fields[f];
  const colour = (group) => (kind === "text" ? HUES[group % HUES.length] : shade(group / Math.max(labels.length - 1, 1)));
  return { count: labels.length, of: (c) => groupOf(f, c), label: (group) => labels[group], colour };
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
    const head = `<b>${wrapped(names[c])}</b><br>${seedsText(c)}`;
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
                  line: { color: colours.colour(g), width: list.length > MOST_BANDS ? 1 : 2 }, marker: { size: 4 },
                  opacity: list.length > MOST_BANDS ? 0.7 : 1, legendgroup: String(g), meta: "curves" });
  }
  return traces;
}

/** A cross on each curve at the epochs at which seeds diverged. */
function crossTrace(list, metric) {
  const curve = data.curves[metric];
  const trace = { type: "scatter", mode: "markers", x: [], y: [], text: [], name: "a seed diverged", meta: "crosses",
                  marker: { symbol: "x", size: 8, color: "#c00018" }, hovertemplate: "%{text}<extra></extra>" };
  for (const c of list) {
    const epochs = data.grids[curve.grid[c]];
    for (const epoch of new Set(data.diverged_epochs[c])) {
      const i = epochs.findLastIndex((other) => other <= epoch);
      if (i < 0) continue;
      trace.x.push(epoch);
      trace.y.push(curve.mean[c][i]);
      const count = data.diverged_epochs[c].filter((other) => other === epoch).length;
      trace.text.push(`<b>${wrapped(names[c])}</b><br>${count} of ${data.seeds[c]} diverged at epoch ${epoch}`);
    }
  }
  return trace;
}

function drawCurves(list) {
  const metric = choice("curve-metric");
  const curve = data.curves[metric];
  const log = element("curve-log").checked;
  const measured = list.filter((c) => curve.grid[c] !== null);
  const hasBands = Boolean(curve.low) && measured.some((c) => curve.low[c].some((low) => low !== null));
  const banded = hasBands && measured.length <= MOST_BANDS;
  // A logarithmic axis has no place for a band that reaches zero.
  const positive = measured.flatMap((c) => curve.mean[c]).filter((value) => value > 0);
  const floor = log ? positive.reduce((least, value) => Math.min(least, value), Infinity) / 2 : -Infinity;
  const f = Number(choice("curve-colour"));
  const traces = measured.length ? curveTraces(measured, metric, colouring(f), banded, floor) : [];
  const crosses = crossTrace(measured, metric);
  if (crosses.x.length) traces.push(crosses);
  plot("curves", traces, {
    xaxis: epochAxis(measured.flatMap((c) => data.grids[curve.grid[c]])), yaxis: axis(metricTitle(metric), { type: log ? "log" : "linear" }),
    legend: { title: { text: f < 0 ? "" : plain(fields[f].name) } }, showlegend: f >= 0 || crosses.x.length > 0,
  }, 460);

  element("curve-finding").textContent = endText(list, metric);
  const notes = [`${plural(measured.length, "curve")}, each the mean over the seeds of a configuration.`];
  if (banded) notes.push(`Bands: ${percent} % Student's t intervals of these means, within what is possible; a single seed has none.`);
  else if (hasBands) notes.push(`Bands are left out above ${MOST_BANDS} curves: filter some out to see them.`);
  else if (data.probes_without_bands && !curve.low) notes.push("Bands of probes are left out for the size of the page.");
  if (crosses.x.length) notes.push("×: a seed diverged there and is left out of the mean from then on.");
  if (list.length > measured.length) notes.push(`${plural(list.length - measured.length, "configuration")} without ${metric}.`);
  if (data.most_epochs) notes.push(`Of each curve at most ${data.most_epochs} epochs are shown, the last one included.`);
  element("curve-note").textContent = notes.join(" ");
}

function endText(list, metric) {
  const finals = data.finals[metric];
  const best = bestOf(list, finals.mean, isLowestBest(metric));
  if (best === undefined) return list.length ? `No trial ended with a ${metric}.` : "No configuration is filtered in.";
  const where = fields.length ? ` at ${names[best]}` : "";
  return `${isLowestBest(metric) ? "Lowest" : "Highest"} final ${metric}: ${withInterval(finals, best)}` +
    `${divergedText(data.diverged[best], data.seeds[best], "seeds")}${where}`;
}

// -------------------------------------------------------------------------------------------------------------------
// The heat map.

/** Means weighted by trials and counts of diverged ones, by the groups of the fields x and y; y of -1 is one row. */
function cells(list, part, x, y) {
  const groupsOf = (f) => (f < 0 ? [0] : [...new Set(list.map((c) => groupOf(f, c)))].sort((a, b) => a - b));
  const [across, up] = [groupsOf(x), groupsOf(y)];
  const table = up.map(() => across.map(() => ({ total: 0, n: 0, diverged: 0, trials: 0, configurations: 0 })));
  for (const c of list) {
    const row = y < 0 ? 0 : up.indexOf(groupOf(y, c));
    const cell = table[row][x < 0 ? 0 : across.indexOf(groupOf(x, c))];
    if (part.mean[c] !== null) { cell.total += part.mean[c] * part.n[c]; cell.n += part.n[c]; }
    cell.diverged += data.diverged[c];
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
    `${plural(cell.trials, "trial")}, ${cell.diverged} diverged`));
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
    yaxis: axis(y < 0 ? "" : fieldTitle(fields[y]), ticks(y, up)), plot_bgcolor: "#e4e6e9", showlegend: false,
  }, Math.min(760, Math.max(300, 46 * up.length + 110)));
  const flat = table.flatMap((row, i) => row.map((cell, j) => ({ ...cell, name: where(i, j) })));
  const best = bestOf([...flat.keys()], flat.map((cell) => cell.mean), lowest, flat.map((cell) => cell.diverged));
  element("heat-finding").textContent = x < 0 ? "Nothing but seeds was swept." : best === undefined ? ""
    : `${lowest ? "Lowest" : "Highest"} mean of the ${atText} ${metric}: ${number(flat[best].mean)}` +
      `${divergedText(flat[best].diverged, flat[best].trials, "trials")} at ${flat[best].name}`;
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
    trace.textfont.color.push(cell.mean === null ? "#c00018" : level > 0.6 ? "#000" : "#fff");
  }));
  return trace;
}

// -------------------------------------------------------------------------------------------------------------------
// Parallel coordinates.

const hasWebGL = Boolean(document.createElement("canvas").getContext("webgl"));

function drawParallel(list) {
  const finals = data.finals[data.score];
  const second = choice("parallel-metric");
  const drawn = list.filter((c) => finals.mean[c] !== null && data.finals[second].mean[c] !== null);
  const ofFields = fields.map((field, f) => ({
    label: plain(field.name), values: drawn.map((c) => field.positions[data.codes[f][c]]),
    tickvals: field.ticks, ticktext: field.tick_labels.map(plain),
    range: [Math.min(...field.positions), Math.max(...field.positions)],
  }));
  const ofMetrics = [second, data.score].map((metric) => (
    { label: plain(`final ${metric}`), values: drawn.map((c) => data.finals[metric].mean[c]) }));
  const colour = drawn.map((c) => finals.mean[c]);
  const trace = { type: "parcoords", dimensions: [...ofFields, ...ofMetrics], labelangle: fields.length > 5 ? -12 : 0,
                  line: { color: colour, colorscale: "Viridis", showscale: true,
                          colorbar: { title: { text: `final ${data.score} (${data.units[data.score]})`, side: "right" } } } };
  plot("parallel", drawn.length && hasWebGL ? [trace] : [], { margin: { l: 70, r: 30, t: 60, b: 30 } }, 420);
  const notes = hasWebGL ? ["Drag along an axis to pick out lines; drag a label to move its axis."]
    : ["This plot needs WebGL, which this browser does not offer."];
  if (drawn.length < list.length) notes.push(`Left out: ${plural(list.length - drawn.length, "configuration")} without these numbers.`);
  element("parallel-note").textContent = notes.join(" ");
}

// -------------------------------------------------------------------------------------------------------------------
// Saturation and speed by layer.

/** The metrics `measure/layer` that the configuration has. */
function layersOf(measure, c) {
  return data.metrics.filter((metric) => metric.startsWith(`${measure}/`) && data.curves[metric].grid[c] !== null);
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
    xaxis: epochAxis(x, { showgrid: false, ...(x.length <= 12 ? { tickmode: "array", tickvals: x } : {}) }), plot_bgcolor: "#e4e6e9",
    yaxis: axis("layer", { type: "category", autorange: "reversed", showgrid: false }),
  }, Math.min(640, Math.max(280, 34 * y.length + 120)));
  const last = metrics.map((metric) => data.curves[metric].mean[c].at(-1));
  const ends = [...new Set([Math.min(...last), Math.max(...last)].map(number))].join(" to ");
  element(`${id}-finding`).textContent = last.length
    ? `${metricTitle(metrics[0]).replace(/\/[^ ]*/, "")}, at epoch ${x.at(-1)}: ${ends} over ${plural(last.length, "layer")}`
    : `${measure} was not measured here`;
}

// -------------------------------------------------------------------------------------------------------------------
