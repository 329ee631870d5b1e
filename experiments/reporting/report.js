// -------------------------------------------------------------------------------------------------------------------
// The data: lists over configurations, which are numbered c; fields are numbered f, their values by a code. Values are
// filtered, coloured and mapped in groups: one a value, or for a field of many numbers ranges of them.

let data;
let fields;
let configurations;
let columns;
// Of each field the groups that are filtered out.
let filteredOut;
const percent = () => Math.round(100 * data.confidence);

/** Numbers of their upper bytes in base64, the lowest first; null for what is not finite. */
function unpacked(text, size) {
  const bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  const full = new Uint8Array((bytes.length / size) * 4);
  for (let i = 0; i < bytes.length; i += 1) full[Math.floor(i / size) * 4 + 4 - size + (i % size)] = bytes[i];
  const digits = size < 4 ? 5 : 7;
  return Array.from(new Float32Array(full.buffer), (value) => (Number.isFinite(value) ? Number(value.toPrecision(digits)) : null));
}

/** Takes up the data of a sweep: what is packed is unpacked, and counts that are those of all that ended are filled in. */
function take(given) {
  data = given;
  fields = data.fields;
  configurations = [...data.seeds.keys()];
  const nothing = configurations.map(() => null);
  data.lost = configurations.map((c) => data.diverged[c] + data.broken[c]);
  const inMeans = data.rank === "survivors" ? data.lost : data.diverged;
  const ended = configurations.map((c) => data.seeds[c] - inMeans[c]);
  for (const part of [...Object.values(data.finals), ...Object.values(data.bests)]) {
    for (const name of ["mean", "low", "high"]) {
      if (typeof part[name] === "string") part[name] = unpacked(part[name], 4);
      part[name] ??= nothing;
    }
    part.n ??= ended;
  }
  for (const curve of Object.values(data.curves)) {
    for (const name of ["mean", "low", "high"]) {
      if (typeof curve[name] !== "string") continue;
      const all = unpacked(curve[name], 3);
      let start = 0;
      curve[name] = curve.grid.map((grid) => (grid === null ? null : all.slice(start, start += data.grids[grid].length)));
    }
  }
  columns = makeColumns();
}

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

/** The one of the list whose value is best, or undefined where none has one; `late` says how late each comes whatever
 * its value, as those do that lose seeds or were cut. */
function bestOf(list, values, lowest, late = data.late) {
  return inOrder(list.filter((c) => values[c] !== null), values, lowest, late)[0];
}

/** The configurations of the list that have a value at the end, the best first, as on the screen; then those that have
 * none. */
function ranked(list, metric) {
  return inOrder(list, data.finals[metric].mean, isLowestBest(metric));
}

function inOrder(list, values, lowest, late = data.late) {
  const sign = lowest ? 1 : -1;
  return [...list].sort((a, b) => (values[a] === null) - (values[b] === null) || late[a] - late[b] ||
    sign * (values[a] - values[b]) || a - b);
}

function lostText(diverged, broken, of, what) {
  return [[diverged, "diverged"], [broken, "ended at chance"]].map(([count, words]) => (
    count ? `, ${count} of ${of} ${what} ${words},` : "")).join("");
}

function seedsText(c) {
  const diverged = data.diverged[c] ? `, ${data.diverged[c]} diverged` : "";
  const broken = data.broken[c] ? `, ${data.broken[c]} at chance` : "";
  return `${plural(data.seeds[c], "seed")}${diverged}${broken}${data.cut[c] ? `, cut after epoch ${data.cut[c]}` : ""}`;
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
// The page.

function choose(c) {
  isChosen = true;
  element("chosen").value = String(c);
  if (!choice("chosen")) element("chosen").append(new Option(nameOf(c), String(c), true, true));
  drawLayers(c);
  drawTable(shown());
  keep();
}

// A list of more options than this is slow, and nobody reads it.
const MOST_OPTIONS = 300;

/** The configurations to choose from, the best ones; the chosen one stays if it can, else the best is taken. */
function fillChosen(list) {
  const before = choice("chosen");
  const best = bestOf(list, data.finals[data.score].mean, isLowestBest(data.score)) ?? list[0];
  const stays = before !== "" && list.includes(Number(before));
  const value = stays ? Number(before) : best;
  const offered = ranked(list, data.score).slice(0, MOST_OPTIONS);
  if (value !== undefined && !offered.includes(value)) offered.push(value);
  fillSelect("chosen", offered.sort((a, b) => a - b).map((c) => [String(c), nameOf(c)]), String(value));
  element("chosen-note").textContent = list.length > offered.length ? `the best ${MOST_OPTIONS} of ${list.length.toLocaleString("en")}; a click on a row of the table chooses any` : "";
}

function draw() {
  const list = shown();
  const out = configurations.length - list.length;
  element("status").textContent = `${list.length.toLocaleString("en")} of ${plural(configurations.length, "configuration")}`;
  element("status").classList.toggle("active", out > 0);
  document.querySelectorAll("#fields input").forEach((box) => {
    box.checked = !filteredOut[box.dataset.field].has(Number(box.dataset.group));
  });
  fillChosen(list);
  drawCurves(list);
  drawHeatMap(list);
  whenNear("parallel", PARALLEL_HEIGHT, () => drawParallel(shown()));
  drawLayers(list.length ? Number(choice("chosen")) : undefined);
  drawTable(list);
  keep();
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
      sorting.rows = ROWS_AT_FIRST;
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
  element("counts").replaceChildren(`${plural(trials, "trial")}, ${plural(configurations.length, "configuration")}, ` +
    `${plural(seeds.length, "seed")}${range}; `);
  element("counts").append(make("span", { className: diverged ? "alert" : "", textContent: `${diverged} diverged` }));
  element("standing").textContent = data.standing ?? "";
  element("best").textContent = endText(configurations, data.score);
  const listed = ({ labels }) => (labels.length > 30 ? `${labels.length} values from ${labels[0]} to ${labels.at(-1)}`
    : labels.join(", "));
  const row = (name, text) => make("tr", {}, make("td", { textContent: name }), make("td", { textContent: text }));
  element("swept").replaceChildren(...fields.map((field) => row(field.name, listed(field))));
  if (!fields.length) element("swept").append(row("swept", seeds.length > 1 ? "seeds alone" : "nothing"));
  element("constants").replaceChildren(...data.constants.map(([name, text]) => row(name, text)));
}

/** Every choice as at first. */
function setChoices() {
  const metrics = data.metrics.map((metric) => [metric, metric]);
  const curves = metrics.filter(([metric]) => data.curves[metric]);
  const listed = fields.map((field, f) => [String(f), field.name]);
  const bySize = [...fields.keys()].sort((a, b) => fields[b].labels.length - fields[a].labels.length || a - b);
  const numeric = bySize.filter((f) => fields[f].kind !== "text");
  fillSelect("curve-metric", curves, data.score);
  fillSelect("curve-colour", [...listed, ["-1", "one for all"]], String(numeric[0] ?? bySize[0] ?? -1));
  fillSelect("curve-shade", [["-1", "one for all"], ...listed], "-1");
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
  element("width").value = String(PICTURE_WIDTH);
  const column = columns.findIndex(({ title }) => title === `final ${data.score}`);
  Object.assign(sorting, { column, descending: columns[column].descending, rows: ROWS_AT_FIRST });
  atFirst = choices();
}

function setAll(inside) {
  fields.forEach((_, f) => setField(f, inside));
  draw();
}

const PICTURE_WIDTH = 880;

/** How wide saved pictures are, in pixels, within what can be drawn. */
function pictureWidth() {
  return Math.min(4000, Math.max(200, Number(element("width").value) || PICTURE_WIDTH));
}

// -------------------------------------------------------------------------------------------------------------------
// The address: after # stands what is filtered out and chosen, by names and not by numbers, so that it holds for a sweep
// that has gone on. What is as at first is left out.

const CHOICES = { metric: "curve-metric", colour: "curve-colour", shade: "curve-shade", across: "heat-x", up: "heat-y", map: "heat-metric",
                  at: "heat-at", beside: "parallel-metric" };
let atFirst;

/** What is chosen now, by the words that stand in the lists. */
function choices() {
  const words = Object.entries(CHOICES).map(([key, id]) => [key, element(id).selectedOptions[0]?.text ?? ""]);
  return { ...Object.fromEntries(words), log: element("curve-log").checked ? "1" : "", width: String(pictureWidth()),
           sort: columns[sorting.column].title, order: sorting.descending ? "falling" : "rising" };
}

/** The state as it stands in the address. */
function stateText() {
  const state = new URLSearchParams();
  fields.forEach((field, f) => [...filteredOut[f]].sort((a, b) => a - b).forEach((group) => state.append(`without.${field.name}`, field.group_labels[group])));
  for (const [key, value] of Object.entries(choices())) if (value !== atFirst[key]) state.set(key, value);
  const chosen = choice("chosen");
  if (chosen && isChosen) state.set("configuration", nameOf(Number(chosen)));
  return state.toString();
}

// Whether a configuration was chosen by hand, which then stays.
let isChosen = false;

/** Writes the state into the address. */
function keep() {
  const text = stateText();
  if (text !== location.hash.slice(1)) history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
}

/** Filters and choices as the address says; names that there are not are passed over. */
function restore() {
  const state = new URLSearchParams(location.hash.slice(1));
  setChoices();
  filteredOut = fields.map((field) => new Set(state.getAll(`without.${field.name}`).map((label) => field.group_labels.indexOf(label)).filter((group) => group >= 0)));
  for (const [key, id] of Object.entries(CHOICES)) {
    const option = [...element(id).options].find(({ text }) => text === state.get(key));
    if (option) element(id).value = option.value;
  }
  element("curve-log").checked = state.get("log") === "1";
  element("width").value = state.get("width") ?? String(PICTURE_WIDTH);
  const column = columns.findIndex(({ title }) => title === state.get("sort"));
  if (column >= 0) sorting.column = column;
  if (state.get("order")) sorting.descending = state.get("order") === "falling";
  const name = state.get("configuration");
  const c = name === null ? -1 : configurations.findIndex((other) => nameOf(other) === name);
  isChosen = c >= 0;
  if (isChosen) fillSelect("chosen", [[String(c), name]], String(c));
}

/** Shows the data: the first time, and when a sweep has gone on. */
function show(given) {
  take(given);
  fillHeader();
  drawPanels();
  element("fields").replaceChildren(...fields.map(makeFilter));
  restore();
  draw();
}

// How often a page that is served asks for what is new, once the last answer is there.
function follow() {
  setTimeout(async () => {
    try {
      if (await text("version") !== data.version) show(JSON.parse(await text("data")));
      else element("standing").textContent = data.standing ?? "";
    } catch (error) {
      element("standing").textContent = `${data.standing ? `${data.standing}; ` : ""}the page is no longer kept up to date (${error.message})`;
    }
    follow();
  }, 1000 * data.every);
}

async function text(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(await answer.text());
  return answer.text();
}

// Beside the plots the filters are open, above them closed at first.
const narrow = matchMedia("(max-width: 999px)");
element("filters").open = !narrow.matches;
narrow.onchange = () => { if (!narrow.matches) element("filters").open = true; };
element("all").onclick = () => setAll(true);
element("none").onclick = () => setAll(false);
element("reset").onclick = () => { isChosen = false; setChoices(); setAll(true); };
element("more").onclick = () => { sorting.rows += 1000; drawTable(shown()); };
for (const id of ["curve-metric", "curve-colour", "curve-shade", "curve-log"]) element(id).onchange = () => { drawCurves(shown()); keep(); };
for (const id of ["heat-x", "heat-y", "heat-metric", "heat-at"]) element(id).onchange = () => { drawHeatMap(shown()); keep(); };
element("parallel-metric").onchange = () => { drawParallel(shown()); keep(); };
element("chosen").onchange = () => choose(Number(choice("chosen")));
element("width").onchange = () => draw();
window.onhashchange = () => { restore(); draw(); };
darkness.onchange = () => { theme = systemTheme(); draw(); };
show(JSON.parse(element("data").textContent));
if (data.version) follow();
