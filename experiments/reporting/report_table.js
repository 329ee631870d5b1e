// -------------------------------------------------------------------------------------------------------------------
// The table of configurations, and the findings about all of them.

const ROWS_AT_FIRST = 200;
const sorting = { column: null, descending: true, rows: ROWS_AT_FIRST };

/** A column: its title, its text, and the number by which it is sorted, null last. */
function makeColumns() {
  // A regression has no accuracy: its trials are ranked by the cost.
  const measures = (data.score === "val_loss" ? [["final", "val_loss"], ["best", "val_loss"]]
    : [["final", "val_accuracy"], ["final", "val_loss"], ["best", "val_accuracy"]]);
  return [
    ...fields.map((field, f) => ({ title: field.name, left: field.kind === "text", value: (c) => data.codes[f][c],
                                   text: (c) => field.labels[data.codes[f][c]] })),
    { title: "seeds", value: (c) => data.seeds[c] },
    { title: "diverged", value: (c) => data.diverged[c],
      text: (c) => (data.diverged[c] ? `× ${data.diverged[c]} of ${data.seeds[c]}` : "0") },
    ...measures.map(([at, metric]) => {
      const part = (at === "best" ? data.bests : data.finals)[metric];
      return { title: `${at} ${metric}`, descending: !isLowestBest(metric), ranked: true, value: (c) => part.mean[c],
               text: (c) => withInterval(part, c) };
    }),
    ...(data.broken.some((count) => count) ? [{ title: "at chance", value: (c) => data.broken[c],
      text: (c) => (data.broken[c] ? `${data.broken[c]} of ${data.seeds[c]}` : "0") }] : []),
    ...(data.cut.some((epoch) => epoch) ? [{ title: "cut after epoch", value: (c) => data.cut[c] || null,
      text: (c) => data.cut[c] || "" }] : []),
    ...(data.cannot_be_told.some((told) => told !== null) ? [{ title: "best", left: true, descending: true,
      value: (c) => Number(data.cannot_be_told[c] ?? -1), text: (c) => (data.cannot_be_told[c] ? "=" : "") }] : []),
    ...(data.seconds ? [{ title: "seconds", value: (c) => data.seconds[c], text: (c) => number(data.seconds[c]), descending: true }] : []),
  ];
}

function sortBy(column) {
  sorting.descending = sorting.column === column ? !sorting.descending : Boolean(columns[column].descending);
  sorting.column = column;
  sorting.rows = ROWS_AT_FIRST;
}

/** By the chosen column; by a measure, the later the more seeds are lost, and last what was cut. */
function sorted(list) {
  const { value, ranked: isMeasure } = columns[sorting.column];
  const sign = sorting.descending ? -1 : 1;
  return [...list].sort((a, b) => {
    const [first, second] = [value(a), value(b)];
    if (first === null || second === null) return (first === null) - (second === null);
    const late = isMeasure ? data.late[a] - data.late[b] : 0;
    return late || sign * (first - second) || a - b;
  });
}

function drawTable(list) {
  const head = make("tr", {}, ...columns.map((column, i) => {
    const arrow = i !== sorting.column ? "" : sorting.descending ? " ▼" : " ▲";
    const button = make("button", { textContent: column.title + arrow, onclick: () => { sortBy(i); drawTable(shown()); keep(); } });
    const cell = make("th", { className: column.left ? "text" : "", scope: "col" }, button);
    if (arrow) cell.setAttribute("aria-sort", sorting.descending ? "descending" : "ascending");
    return cell;
  }));
  const rows = sorted(list).slice(0, sorting.rows).map((c) => {
    const cells = columns.map((column) => make("td", {
      className: column.left ? "text" : column.title === "diverged" && data.diverged[c] ? "alert" : "",
      textContent: column.text ? column.text(c) : column.value(c),
    }));
    const marks = [data.diverged[c] ? "diverged" : "", String(c) === choice("chosen") ? "chosen" : ""];
    return make("tr", { className: marks.join(" ").trim(), onclick: () => { choose(c); } }, ...cells);
  });
  element("table").tHead.replaceChildren(head);
  element("table").tBodies[0].replaceChildren(...rows);
  const left = list.length - rows.length;
  element("more").hidden = left === 0;
  element("more").textContent = `${Math.min(left, 1000).toLocaleString("en")} more rows`;
  element("left-out").textContent = left ? `${rows.length.toLocaleString("en")} of ${list.length.toLocaleString("en")} rows are shown.` : "";
  element("table-note").textContent = `${plural(list.length, "configuration")}: means over the seeds that ended, and in ` +
    `brackets the ${percent()} % Student's t interval of the mean, within what is possible. Best: over the epochs of each ` +
    "trial. Red: seeds diverged; by a measure the settings that lose more seeds come later. A click on a title sorts." +
    (columns.some(({ title }) => title === "best") ? " =: cannot be told from the best." : "") +
    (data.seconds ? " Seconds: what its trials took of their packs' time." : "");
}

/** Findings about the whole sweep, each a sentence that opens to its table. */
function drawPanels() {
  const open = new Set([...document.querySelectorAll("#panels details[open]")].map((panel) => panel.dataset.key));
  const panels = data.panels ?? [];
  element("findings").hidden = panels.length === 0;
  element("panels").replaceChildren(...panels.map((panel) => {
    const numeric = panel.columns.map((_, i) => panel.rows.every((row) => typeof row[i] === "number"));
    const cell = (tag, text, i) => make(tag, { className: numeric[i] ? "" : "text", textContent: text });
    const table = make("table", {},
      make("thead", {}, make("tr", {}, ...panel.columns.map((title, i) => cell("th", title, i)))),
      make("tbody", {}, ...panel.rows.map((row) => make("tr", {}, ...row.map((text, i) => cell("td", text, i))))));
    const summary = make("summary", {}, make("strong", { textContent: panel.title }), `: ${panel.finding}`);
    const node = make("details", { open: open.has(panel.key) }, summary,
                      ...(panel.rows.length ? [make("div", { className: "scroll short" }, table)] : []), make("p", { className: "note", textContent: panel.note }));
    node.dataset.key = panel.key;
    return node;
  }));
}
