// -------------------------------------------------------------------------------------------------------------------
// The data: lists over configurations, which are numbered c; fields are numbered f, their values by a code. Values are
// filtered, coloured and mapped in groups: one a value, or for a field of many numbers ranges of them.

const data = JSON.parse(document.getElementById("data").textContent);
const fields = data.fields;
const configurations = [...data.seeds.keys()];
const names = configurations.map(nameOf);
// Of each field the groups that are filtered out.
const filteredOut = fields.map(() => new Set());
const sorting = { column: null, descending: true };
const MOST_BANDS = 60;
const HUES = ["#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf"];
// Viridis without its lightest end, which is hard to see on white.
const SHADES = [[68, 1, 84], [65, 68, 135], [42, 120, 142], [34, 168, 132], [122, 209, 81], [189, 223, 38]];
const percent = Math.round(100 * data.confidence);

function nameOf(c) {
  return fields.map((field, f) => `${field.name}=${field.labels[data.codes[f][c]]}`).join(", ") || "the one configuration";
}

function shown() {
  return configurations.filter((c) => fields.every((_, f) => !filteredOut[f].has(groupOf(f, c))));
}

function groupOf(f, c) {
  return fields[f].groups[data.codes[f][c]];
}

function isLowestBest(metric) {
  return data.lowest_is_best.includes(metric);
}

/** The configuration of the list whose value is best, or undefined where none has one; those of which seeds diverged
 * come after all others, since their values are those of the seeds that were lucky. */
function bestOf(list, values, lowest, diverged = data.diverged) {
  const sign = lowest ? -1 : 1;
  const known = list.filter((c) => values[c] !== null);
  const whole = known.filter((c) => !diverged[c]);
  return (whole.length ? whole : known).reduce(
    (best, c) => (best === undefined || sign * values[c] > sign * values[best] ? c : best), undefined);
}

function divergedText(diverged, of, what) {
  return diverged ? `, ${diverged} of ${of} ${what} diverged,` : "";
}

function seedsText(c) {
  const diverged = data.diverged[c] ? `, ${data.diverged[c]} diverged` : "";
  return `${plural(data.seeds[c], "seed")}${diverged}`;
}

// -------------------------------------------------------------------------------------------------------------------
// Text and elements.

const element = (id) => document.getElementById(id);
const choice = (id) => element(id).value;

function make(tag, properties, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

/** Four decimals, or few digits for what is far smaller or larger. */
function number(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (value !== 0 && size < 1e-3) return value.toExponential(1);
  return size < 1e4 ? value.toFixed(4) : value.toPrecision(4);
}

function plural(count, word) {
  return `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
}

function withInterval(part, c) {
  return number(part.mean[c]) + (part.low[c] === null ? "" : ` (${number(part.low[c])} to ${number(part.high[c])})`);
}

/** Text that plotly.js, which knows some HTML, shows as it is. */
function plain(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** Long names broken into lines, for hovering. */
function wrapped(text) {
  const lines = [""];
  for (const part of text.split(", ")) {
    if (lines.at(-1).length + part.length > 60) lines.push("");
    lines[lines.length - 1] += (lines.at(-1) ? ", " : "") + part;
  }
  return lines.map(plain).join("<br>");
}

function metricTitle(metric) {
  return data.units[metric] ? `${metric} (${data.units[metric]})` : metric;
}

function fieldTitle(field) {
  return field.unit ? `${field.name} (${field.unit})` : field.name;
}

function fillSelect(id, options, value) {
  element(id).replaceChildren(...options.map(([key, text]) => make("option", { value: key, textContent: text })));
  element(id).value = value;
}

// -------------------------------------------------------------------------------------------------------------------
// The table.

// A regression has no accuracy: its trials are ranked by the cost.
const columnsOfMetrics = data.score === "val_loss" ? [["final", "val_loss"], ["best", "val_loss"]]
  : [["final", "val_accuracy"], ["final", "val_loss"], ["best", "val_accuracy"]];

/** A column: its title, its text, and the number by which it is sorted, null last. */
const columns = [
  ...fields.map((field, f) => ({ title: field.name, left: field.kind === "text", value: (c) => data.codes[f][c],
                                 text: (c) => field.labels[data.codes[f][c]] })),
  { title: "seeds", value: (c) => data.seeds[c] },
  { title: "diverged", value: (c) => data.diverged[c],
    text: (c) => (data.diverged[c] ? `× ${data.diverged[c]} of ${data.seeds[c]}` : "0") },
  ...columnsOfMetrics.map(([at, metric]) => {
    const part = (at === "best" ? data.bests : data.finals)[metric];
    return { title: `${at} ${metric}`, descending: !isLowestBest(metric), ranked: true, value: (c) => part.mean[c],
             text: (c) => withInterval(part, c) };
  }),
];
const defaultColumn = columns.findIndex((column) => column.title === `final ${data.score}`);

function sortBy(column) {
  sorting.descending = sorting.column === column ? !sorting.descending : Boolean(columns[column].descending);
  sorting.column = column;
}

/** By the chosen column; by a measure, the later the larger the share of seeds that diverged. */
function sorted(list) {
  const { value, ranked } = columns[sorting.column];
  const sign = sorting.descending ? -1 : 1;
  return [...list].sort((a, b) => {
    const [first, second] = [value(a), value(b)];
    if (first === null || second === null) return (first === null) - (second === null);
    const lucky = ranked ? data.diverged[a] / data.seeds[a] - data.diverged[b] / data.seeds[b] : 0;
    return lucky || sign * (first - second) || a - b;
  });
}

function drawTable(list) {
  const head = make("tr", {}, ...columns.map((column, i) => {
    const arrow = i !== sorting.column ? "" : sorting.descending ? " ▼" : " ▲";
    const button = make("button", { textContent: column.title + arrow, onclick: () => { sortBy(i); drawTable(shown()); } });
    const cell = make("th", { className: column.left ? "text" : "", scope: "col" }, button);
    if (arrow) cell.setAttribute("aria-sort", sorting.descending ? "descending" : "ascending");
    return cell;
  }));
  const rows = sorted(list).map((c) => {
    const cells = columns.map((column) => make("td", {
      className: column.left ? "text" : column.title === "diverged" && data.diverged[c] ? "alert" : "",
      textContent: column.text ? column.text(c) : column.value(c),
    }));
    const marks = [data.diverged[c] ? "diverged" : "", String(c) === choice("chosen") ? "chosen" : ""];
    return make("tr", { className: marks.join(" ").trim(), onclick: () => { choose(c); } }, ...cells);
  });
  element("table").tHead.replaceChildren(head);
  element("table").tBodies[0].replaceChildren(...rows);
  element("table-note").textContent = `${plural(list.length, "configuration")}: means over the seeds that ended, and in ` +
    `brackets the ${percent} % Student's t interval of the mean, within what is possible. Best: over the epochs of each ` +
    "trial. Red: seeds diverged; by a measure these come last. A click on a title sorts.";
}

// -------------------------------------------------------------------------------------------------------------------
// The page.

function choose(c) {
  element("chosen").value = String(c);
  drawLayers(c);
  drawTable(shown());
}

/** The configurations to choose from; the chosen one stays if it can, else the best is taken. */
function fillChosen(list) {
  const before = choice("chosen");
  const best = bestOf(list, data.finals[data.score].mean, isLowestBest(data.score)) ?? list[0];
  const value = list.some((c) => String(c) === before) ? before : String(best);
  fillSelect("chosen", list.map((c) => [String(c), names[c]]), value);
}

function draw() {
  const list = shown();
  element("status").textContent = `${list.length} of ${configurations.length} configurations`;
  document.querySelectorAll("#fields input").forEach((box) => {
    box.checked = !filteredOut[box.dataset.field].has(Number(box.dataset.group));
  });
  fillChosen(list);
  drawCurves(list);
  drawHeatMap(list);
  drawParallel(list);
  drawLayers(list.length ? Number(choice("chosen")) : undefined);
  drawTable(list);
}

/** Filters all values of a field in or out. */
function setField(f, inside) {
  filteredOut[f] = new Set(inside ? [] : fields[f].group_labels.keys());
}

function makeFilter(field, f) {
  const boxes = field.group_labels.map((label, group) => {
    const box = make("input", { type: "checkbox", checked: true, onchange: () => {
      if (box.checked) filteredOut[f].delete(group);
      else filteredOut[f].add(group);
      draw();
    } });
    Object.assign(box.dataset, { field: f, group });
    return make("label", {}, box, ` ${label}`);
  });
  const buttons = [["all", true], ["none", false]].map(([text, inside]) => make("button", {
    textContent: text, title: `${text} of ${field.name}`, onclick: () => { setField(f, inside); draw(); } }));
  return make("fieldset", {}, make("legend", { textContent: field.name }), ...buttons,
              make("div", { className: "values" }, ...boxes));
}

function fillHeader() {
  const sum = (values) => values.reduce((a, b) => a + b, 0);
  const [trials, diverged, seeds] = [sum(data.seeds), sum(data.diverged), data.all_seeds];
  document.title = `Sweep ${data.name}`;
  element("title").textContent = `Sweep ${data.name}`;
  const range = seeds.length > 1 ? `, ${seeds[0]} to ${seeds.at(-1)}` : "";
  element("counts").append(`${plural(trials, "trial")}, ${plural(configurations.length, "configuration")}, ` +
    `${plural(seeds.length, "seed")}${range}; `);
  element("counts").append(make("span", { className: diverged ? "alert" : "", textContent: `${diverged} diverged` }));
  element("best").textContent = endText(configurations, data.score);
  const listed = ({ labels }) => (labels.length > 30 ? `${labels.length} values from ${labels[0]} to ${labels.at(-1)}`
    : labels.join(", "));
  const row = (name, text) => make("tr", {}, make("td", { textContent: name }), make("td", { textContent: text }));
  element("swept").append(...fields.map((field) => row(field.name, listed(field))));
  if (!fields.length) element("swept").append(row("swept", seeds.length > 1 ? "seeds alone" : "nothing"));
  element("constants").append(...data.constants.map(([name, text]) => row(name, text)));
}

/** Every choice as at first. */
function setChoices() {
  const metrics = data.metrics.map((metric) => [metric, metric]);
  const listed = fields.map((field, f) => [String(f), field.name]);
  const bySize = [...fields.keys()].sort((a, b) => fields[b].labels.length - fields[a].labels.length || a - b);
  const numeric = bySize.filter((f) => fields[f].kind !== "text");
  fillSelect("curve-metric", metrics, data.score);
  fillSelect("curve-colour", [...listed, ["-1", "one for all"]], String(numeric[0] ?? bySize[0] ?? -1));
  element("curve-log").checked = false;
  const two = bySize.slice(0, 2).sort((a, b) => (fields[a].kind === "text") - (fields[b].kind === "text"));
  fillSelect("heat-x", listed.length ? listed : [["-1", "–"]], String(two[0] ?? -1));
  fillSelect("heat-y", [...listed, ["-1", "–"]], String(two[1] ?? -1));
  fillSelect("heat-metric", metrics, data.score);
  fillSelect("heat-at", [["finals", "the end"], ["bests", "the best epoch"]], "finals");
  fillSelect("parallel-metric", metrics.filter(([metric]) => metric !== data.score),
             data.score === "val_loss" ? "loss" : "val_loss");
  element("parallel-score").textContent = data.score;
  fillSelect("chosen", [], "");
  Object.assign(sorting, { column: defaultColumn, descending: columns[defaultColumn].descending });
}

function setAll(inside) {
  fields.forEach((_, f) => setField(f, inside));
  draw();
}

fillHeader();
element("fields").append(...fields.map(makeFilter));
element("all").onclick = () => setAll(true);
element("none").onclick = () => setAll(false);
element("reset").onclick = () => { setChoices(); setAll(true); };
for (const id of ["curve-metric", "curve-colour", "curve-log"]) element(id).onchange = () => drawCurves(shown());
for (const id of ["heat-x", "heat-y", "heat-metric", "heat-at"]) element(id).onchange = () => drawHeatMap(shown());
element("parallel-metric").onchange = () => drawParallel(shown());
element("chosen").onchange = () => choose(Number(choice("chosen")));
setChoices();
draw();
