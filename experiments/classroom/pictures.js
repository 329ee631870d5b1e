"use strict";
// Draws pictures from what Python says of them, as SVG, in the page that is served and in one that was saved.
//
// A picture is {kind, ...}: "lines" (x, y: {label, min, max, log, whole}; lines: [{name, colour, dash, x, y, area,
// points, width}]; marks: [{x or y, text}]), "image" (source, width, height, pixelated), "tiles" (items: [{source,
// text}]), "svg" (markup, made by Python alone) and "words" (text). `said` is what a reader hears who does not see it.

const Pictures = (() => {
  const escaped = (text) =>
    String(text).replace(/[&<>"]/g, (letter) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[letter]);
  const FONT = 11.5, LETTER = 6.1;

  // ------------------------------------------------------------------------------------------------------------------
  // Axes.

  function extent(axis, values) {
    let low = Infinity, high = -Infinity;
    for (const of_line of values)
      for (const value of of_line)
        if (value !== null && Number.isFinite(value) && (!axis.log || value > 0)) {
          if (value < low) low = value;
          if (value > high) high = value;
        }
    if (!Number.isFinite(low)) [low, high] = axis.log ? [0.1, 1] : [0, 1];
    low = axis.min ?? low;
    high = axis.max ?? high;
    if (axis.log) {
      if (!(low > 0)) low = Math.min(high, 1) / 1e3;
      return high > low ? [low / 1.1, high * 1.1] : [low / 2, low * 2];
    }
    if (!(high > low)) [low, high] = [low - 0.5, low + 0.5];
    const room = 0.04 * (high - low);
    return [axis.min ?? low - room, axis.max ?? high + room];
  }

  function step_of(span, count, whole) {
    const raw = span / Math.max(count, 1), power = 10 ** Math.floor(Math.log10(raw));
    const nice = [1, 2, 5, 10].find((factor) => factor * power >= raw) * power;
    return whole ? Math.max(1, Math.ceil(nice)) : nice;
  }

  function ticks_of(axis, low, high, count) {
    if (axis.log) {
      const first = Math.ceil(Math.log10(low) - 1e-9), last = Math.floor(Math.log10(high) + 1e-9);
      if (last - first >= 1) {
        const every = Math.max(1, Math.ceil((last - first) / Math.max(count, 1)));
        const found = [];
        for (let power = first; power <= last; power += every) found.push(10 ** power);
        return found;
      }
    }
    const step = step_of(high - low, count, axis.whole), found = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++)
      if (!axis.log || i > 0) found.push(i * step);
    return found;
  }

  function number(value) {
    if (value === 0) return "0";
    const size = Math.abs(value);
    if (size >= 1e5 || size < 1e-3) return value.toExponential(1).replace(".0e", "e").replace("e+", "e");
    return String(+value.toPrecision(4));
  }

  const scale = (axis, [low, high], from, to) => {
    const place = axis.log ? Math.log10 : (value) => value, start = place(low), span = place(high) - start || 1;
    return (value) => from + ((place(value) - start) / span) * (to - from);
  };

  // ------------------------------------------------------------------------------------------------------------------
  // Kinds.

  function path_of(line, to_x, to_y, log_x, log_y, most) {
    let text = "", is_down = false;
    for (let i = 0; i < line.x.length; i++) {
      const x = line.x[i], y = line.y[i];
      if (x === null || y === null || !Number.isFinite(y) || (log_x && x <= 0) || (log_y && y <= 0)) {
        is_down = false;
        continue;
      }
      // Far outside of the picture some browsers draw lines wrong.
      text += `${is_down ? "L" : "M"}${to_x(x).toFixed(1)} ${Math.max(-most, Math.min(most, to_y(y))).toFixed(1)}`;
      is_down = true;
    }
    return text;
  }

  function legend_of(named, left, width) {
    const items = [];
    let x = left, y = 11;
    for (const line of named) {
      const long = 24 + LETTER * line.name.length + 12;
      if (x > left && x + long > width) [x, y] = [left, y + 15];
      const key = line.points
        ? `<circle class="fill c${line.colour ?? 0}" cx="${x + 9}" cy="${y - 4}" r="${Math.min(4, line.radius ?? 2.5)}"/>`
        : line.area
        ? `<rect class="fill c${line.colour ?? 0}" x="${x}" y="${y - 8}" width="16" height="8"/>`
        : `<path class="line c${line.colour ?? 0}"${dash_of(line)} d="M${x} ${y - 4}h18"/>`;
      items.push(`${key}<text x="${x + 22}" y="${y}">${escaped(line.name)}</text>`);
      x += long;
    }
    return [items.join(""), named.length ? y + 6 : 6];
  }

  const dash_of = (line) => (line.dash ? ` stroke-dasharray="${line.dash === true ? "5 3" : line.dash}"` : "");

  let clips = 0;
  function lines(spec, width, height) {
    const x_axis = spec.x ?? {}, y_axis = spec.y ?? {}, marks = spec.marks ?? [];
    const of_marks = (name) => marks.filter((mark) => mark[name] !== undefined && mark.shown !== false).map((mark) => mark[name]);
    const xs = extent(x_axis, [...spec.lines.map((line) => line.x), of_marks("x")]);
    const ys = extent(y_axis, [...spec.lines.map((line) => line.y), of_marks("y")]);
    const y_ticks = ticks_of(y_axis, ...ys, Math.max(2, height / 45)), texts = y_ticks.map(number);
    const left = 16 + Math.max(20, ...texts.map((text) => LETTER * text.length + 8)), right = width - 10, bottom = height - 34;
    const [legend, top] = legend_of(spec.lines.filter((line) => line.name), left, width);
    const to_x = scale(x_axis, xs, left, right), to_y = scale(y_axis, ys, bottom, top + 4);
    const parts = [legend], clip = `clip${clips++}`;
    y_ticks.forEach((tick, i) => {
      const y = to_y(tick).toFixed(1);
      parts.push(`<path class="grid" d="M${left} ${y}H${right}"/><text x="${left - 5}" y="${+y + 4}" text-anchor="end">${texts[i]}</text>`);
    });
    for (const tick of ticks_of(x_axis, ...xs, Math.max(2, (right - left) / 80))) {
      const x = to_x(tick).toFixed(1);
      parts.push(`<path class="grid" d="M${x} ${bottom}v4"/><text x="${x}" y="${bottom + 15}" text-anchor="middle">${number(tick)}</text>`);
    }
    parts.push(`<path class="axis" d="M${left} ${top + 4}V${bottom}H${right}"/>`);
    parts.push(`<text x="${(left + right) / 2}" y="${height - 4}" text-anchor="middle">${escaped(x_axis.label ?? "")}</text>`);
    parts.push(`<text transform="translate(11 ${(top + bottom) / 2}) rotate(-90)" text-anchor="middle">${escaped(y_axis.label ?? "")}</text>`);
    parts.push(`<clipPath id="${clip}"><rect x="${left - 1}" y="${top}" width="${right - left + 4}" height="${bottom - top + 3}"/></clipPath>`);
    parts.push(`<g clip-path="url(#${clip})">`);
    for (const mark of marks) {
      const d = mark.y !== undefined ? `M${left} ${to_y(mark.y).toFixed(1)}H${right}` : `M${to_x(mark.x).toFixed(1)} ${top + 4}V${bottom}`;
      parts.push(`<path class="mark" d="${d}"/>`);
    }
    for (const line of spec.lines) {
      const colour = `c${line.colour ?? 0}`, d = path_of(line, to_x, to_y, x_axis.log, y_axis.log, 1e4);
      if (line.area && d) {
        const floor = y_axis.log ? bottom : to_y(Math.max(ys[0], Math.min(0, ys[1])));
        parts.push(`<path class="area ${colour}" d="${d}V${floor.toFixed(1)}H${to_x(line.x[0]).toFixed(1)}Z"/>`);
      }
      if (line.points || line.x.length === 1) {  // A line of one point would not be seen.
        const radius = line.radius ?? 2.5;
        line.x.forEach((x, i) => {
          if (x !== null && line.y[i] !== null && !(x_axis.log && x <= 0) && !(y_axis.log && line.y[i] <= 0))
            parts.push(`<circle class="fill ${colour}" cx="${to_x(x).toFixed(1)}" cy="${to_y(line.y[i]).toFixed(1)}" r="${radius}"/>`);
        });
      } else parts.push(`<path class="line ${colour}"${dash_of(line)}${line.width ? ` style="stroke-width:${line.width}"` : ""} d="${d}"/>`);
    }
    parts.push("</g>");
    for (const mark of marks) {
      if (!mark.text) continue;
      // Above the line, or beside it, on the side that has room.
      if (mark.y !== undefined) {
        const y = to_y(mark.y);
        parts.push(`<text class="said" x="${right - 2}" y="${(y - top < 18 ? y + 13 : y - 4).toFixed(1)}" text-anchor="end">${escaped(mark.text)}</text>`);
      } else {
        const x = to_x(mark.x), is_right = x > (left + right) / 2;
        parts.push(`<text class="said" x="${(is_right ? x - 4 : x + 4).toFixed(1)}" y="${top + 16}" text-anchor="${is_right ? "end" : "start"}">${escaped(mark.text)}</text>`);
      }
    }
    return svg(parts.join(""), width, height, spec.said);
  }

  const svg = (inner, width, height, said) =>
    `<svg role="img" aria-label="${escaped(said ?? "a picture")}" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" ` +
    `font-size="${FONT}">${inner}</svg>`;

  const KINDS = {
    lines,
    image: (spec) =>
      `<img src="${escaped(spec.source)}" alt="${escaped(spec.said)}"${spec.pixelated ? ' class="pixelated"' : ""} ` +
      `style="aspect-ratio:${spec.width}/${spec.height}">`,
    tiles: (spec) =>
      `<ul class="tiles">${spec.items
        .map((item) => `<li><img class="pixelated" src="${escaped(item.source)}" alt="">${escaped(item.text)}</li>`)
        .join("")}</ul>`,
    svg: (spec) => spec.markup,
    words: (spec) => `<p>${escaped(spec.text)}</p>`,
  };

  /** Who is at a part of a picture with the keyboard stays there when it is drawn again. */
  function refocus(box, { do: done, setting, value }) {
    const same = ({ dataset }) => dataset.do === done && dataset.setting === setting;
    const parts = [...box.querySelectorAll("[data-do], [data-setting]")].filter(same);
    (parts.find((part) => part.dataset.value === value) ?? parts[0])?.focus({ preventScroll: true });
  }

  const drawn = new Map();

  /** Draws what is said of a picture into an element, as wide as that is. */
  function draw(box, spec) {
    drawn.set(box, spec);
    const width = Math.max(220, Math.floor(box.clientWidth)), height = spec.height ?? 230;
    const focused = box.contains(document.activeElement) ? document.activeElement.dataset : null;
    box.innerHTML = KINDS[spec.kind](spec, width, height);
    if (focused) refocus(box, focused);
    if (spec.note !== undefined) box.insertAdjacentHTML("beforeend", `<p class="note">${escaped(spec.note)}</p>`);
    box.dataset.drawn = String(1 + Number(box.dataset.drawn ?? 0));
  }

  const resized = new ResizeObserver((entries) => {
    for (const { target, contentRect } of entries) {
      const spec = drawn.get(target);
      if (spec && spec.kind === "lines" && Math.abs(contentRect.width - Number(target.dataset.width ?? 0)) >= 1) draw(target, spec);
      target.dataset.width = String(contentRect.width);
    }
  });

  /** Draws all pictures of a frame, by the names of the figures that are there for them; one without is hidden. */
  function show(pictures) {
    for (const figure of document.querySelectorAll("figure[data-picture]")) {
      const spec = pictures[figure.dataset.picture], box = figure.querySelector(".picture");
      figure.hidden = !spec;
      if (!spec) continue;
      if (!drawn.has(box)) resized.observe(box);
      draw(box, spec);
    }
  }

  return { draw, show, escaped };
})();
