"use strict";
// The pad of the view Forward: a digit of 28 x 28 pixels that is drawn with the mouse or the keyboard. What is drawn is
// the setting `drawing`, a hexadecimal digit a pixel; what a frame shows comes back in its words as `pixels`.

(() => {
  const SIDE = 28, CELL = 10, MOST = 15, PATIENCE = 3000;
  const pixels = new Uint8Array(SIDE * SIDE), cursor = [14, 14];
  let pen = null; // Where the mouse drew last.
  let later = null, sent = null, sent_at = 0; // What Python has not shown yet.
  let wrong = "", moved = false;
  const pad = () => document.getElementById("pad");

  const encoded = () => Array.from(pixels, (level) => level.toString(16)).join("").replace(/0+$/, "") || "0";

  function draw() {
    const context = pad()?.getContext("2d");
    if (!context) return;
    for (let i = 0; i < pixels.length; i++) {
      const grey = pixels[i] * 17;
      context.fillStyle = `rgb(${grey},${grey},${grey})`;
      context.fillRect((i % SIDE) * CELL, Math.floor(i / SIDE) * CELL, CELL, CELL);
    }
    if (document.activeElement !== pad() || pen) return;
    context.strokeStyle = "#ff9a57";
    context.lineWidth = 2;
    context.strokeRect(cursor[0] * CELL + 1, cursor[1] * CELL + 1, CELL - 2, CELL - 2);
  }

  /** Draws, or erases, from one place to another, in pixels. */
  function stroke([x0, y0], [x1, y1], erases) {
    const length = (x1 - x0) ** 2 + (y1 - y0) ** 2 || 1;
    for (let i = 0; i < pixels.length; i++) {
      const x = i % SIDE, y = Math.floor(i / SIDE);
      const along = Math.max(0, Math.min(1, ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length));
      const far = Math.hypot(x - x0 - along * (x1 - x0), y - y0 - along * (y1 - y0));
      const ink = Math.round(MOST * Math.max(0, Math.min(1, 1.9 - far)));
      pixels[i] = erases ? Math.min(pixels[i], MOST - ink) : Math.max(pixels[i], ink);
    }
    tell();
  }

  /** Shows it, and tells Python now and then. */
  function tell() {
    draw();
    later ??= setTimeout(() => {
      later = null;
      sent = encoded();
      sent_at = Date.now();
      classroom.act("set", { name: "drawing", value: sent });
    }, 80);
  }

  /** What is being drawn is not to come any more: another digit was chosen. */
  function forget() {
    clearTimeout(later);
    later = sent = null;
  }

  function clear() {
    pixels.fill(0);
    tell();
  }

  /** Moves what is drawn so that its middle, weighed by brightness, is the picture's, as in MNIST. */
  function centre() {
    let sum = 0, at_x = 0, at_y = 0;
    pixels.forEach((level, i) => {
      sum += level;
      at_x += level * (i % SIDE);
      at_y += level * Math.floor(i / SIDE);
    });
    if (!sum) return;
    const by_x = Math.round(13.5 - at_x / sum), by_y = Math.round(13.5 - at_y / sum), before = pixels.slice();
    pixels.forEach((_, i) => {
      const x = (i % SIDE) - by_x, y = Math.floor(i / SIDE) - by_y;
      pixels[i] = x >= 0 && x < SIDE && y >= 0 && y < SIDE ? before[y * SIDE + x] : 0;
    });
    tell();
  }

  const place = (event) => {
    const box = pad().getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * SIDE - 0.5, ((event.clientY - box.top) / box.height) * SIDE - 0.5];
  };
  const erases = (event) => document.getElementById("pad-eraser").checked || (event.buttons & 2) > 0;

  document.addEventListener("pointerdown", (event) => {
    if (event.target !== pad()) return;
    event.target.setPointerCapture(event.pointerId);
    pen = place(event);
    stroke(pen, pen, erases(event));
  });
  document.addEventListener("pointermove", (event) => {
    if (!pen || event.target !== pad()) return;
    const to = place(event);
    stroke(pen, to, erases(event));
    pen = to;
  });
  for (const type of ["pointerup", "pointercancel"]) document.addEventListener(type, () => (pen = null));
  document.addEventListener("contextmenu", (event) => event.target === pad() && event.preventDefault());
  for (const type of ["focusin", "focusout"]) document.addEventListener(type, () => requestAnimationFrame(draw));

  const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  function press_pad(event) {
    const step = STEPS[event.key], from = [...cursor];
    if (step) for (const i of [0, 1]) cursor[i] = Math.max(0, Math.min(SIDE - 1, cursor[i] + step[i]));
    const draws = event.key === " " || (step && event.shiftKey), deletes = ["Delete", "Backspace"].includes(event.key);
    if (!step && !draws && !deletes) return;
    event.preventDefault();
    if (draws || deletes) stroke(from, cursor, deletes || document.getElementById("pad-eraser").checked);
    else draw();
  }

  /** Arrow keys go from unit to unit of the net. */
  function press_unit(event) {
    const step = STEPS[event.key], [layer, number] = event.target.dataset.value.split(" ");
    if (!step) return;
    event.preventDefault();
    const is_hidden = layer === "hidden";
    let next = Number(number) + step[0] + (is_hidden ? 8 : 1) * step[1], other = is_hidden ? "hidden" : "output";
    if (is_hidden && step[0] > 0 && number % 8 === 7) [other, next] = ["output", Math.round((Math.floor(number / 8) * 9) / 7)];
    else if (!is_hidden && step[0]) [other, next] = ["hidden", Math.round((number * 7) / 9) * 8 + 7];
    if (!is_hidden && step[0] > 0) return;
    if (next < 0 || next > (other === "hidden" ? 63 : 9)) return;
    moved = true;
    classroom.act("set", { name: "unit", value: `${other} ${next}` });
  }

  document.addEventListener("keydown", (event) => {
    if (event.target === pad()) press_pad(event);
    else if (event.target.dataset?.setting === "unit") press_unit(event);
  });

  document.addEventListener("click", (event) => {
    if (event.target.id === "pad-clear") clear();
    else if (event.target.id === "pad-centre") centre();
    else if (event.target.closest?.("[data-do]")) forget();
    if (event.target.dataset?.do === "wrong" && wrong) choose(wrong);
  });

  /** Another test digit, and nothing that is drawn. */
  function choose(digit) {
    forget();
    if (digit !== null) classroom.act("set", { name: "digit", value: digit });
    classroom.act("set", { name: "drawing", value: "" });
  }

  document.addEventListener("change", (event) => event.target.dataset?.set === "digit" && choose(null));

  classroom.listen("forward", ({ words }) => {
    if (words?.pixels === undefined) return;
    wrong = words.wrong;
    if (moved) document.querySelector("[data-setting=unit][aria-pressed=true]")?.focus({ preventScroll: true });
    moved = false;
    if (later || pen || (sent !== null && words.pixels !== sent && Date.now() - sent_at < PATIENCE)) return;
    sent = null;
    for (let i = 0; i < pixels.length; i++) pixels[i] = parseInt(words.pixels[i] ?? "0", 16);
    draw();
  });
})();
