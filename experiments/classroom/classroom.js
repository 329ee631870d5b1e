"use strict";
// What the page of a view does: hands what a visitor does to Python, and shows what Python answers.
// Of the page itself there is only what stands in its HTML: controls with `data-set`, buttons with `data-do`.

const classroom = (() => {
  const listeners = {};
  let later = null; // A slider that is moved tells so now and then.
  const root = () => document.getElementById("classroom");
  const all = (selector) => [...document.querySelectorAll(selector)];

  /** Hands something to Python: what is done, and with what. */
  function act(name, value = null) {
    emitEvent("classroom", { name, value });
  }

  // ------------------------------------------------------------------------------------------------------------------
  // What Python says.

  /** Shows a frame: pictures, words by the ids of their elements, whether it runs; and says that it was shown. */
  function show(frame) {
    if (frame.pictures) Pictures.show(frame.pictures);
    said(frame.words ?? {});
    if (frame.running !== undefined) running(frame.running);
    for (const listen of Object.values(listeners)) listen(frame);
    root().dataset.frames = String(1 + Number(root().dataset.frames ?? 0));
    root().dataset.at = String(frame.at ?? "");
    act("shown");
  }

  /** Puts words where they belong, where they have changed. */
  function said(words) {
    for (const [id, text] of Object.entries(words)) {
      const element = document.getElementById(id);
      if (element && element.textContent !== text) element.textContent = text;
    }
  }

  /** Words without a frame, and whether it runs. */
  function told(frame) {
    said(frame.words);
    running(frame.running);
  }

  function running(is_running) {
    root().dataset.running = String(is_running);
    for (const button of all("[data-do=play]")) {
      button.textContent = is_running ? "Pause" : "Play";
      button.setAttribute("aria-pressed", String(is_running));
    }
  }

  /** What the controls are set to, with what is wrong with one of them, and the address that restores it. */
  function settings(state) {
    for (const element of all("[data-set]")) {
      const name = element.dataset.set;
      if (!(name in state.values) || name in state.wrong) continue;
      if (element.type === "checkbox") element.checked = state.values[name];
      else if (element !== document.activeElement || element.tagName === "SELECT" || !element.dataset.touched)
        element.value = place_of(element, state.values[name]);
      beside(element);
    }
    for (const element of all("[data-wrong]")) {
      const wrong = state.wrong[element.dataset.wrong] ?? "";
      element.textContent = wrong;
      const control = document.getElementById(element.dataset.of);
      if (control) control.toggleAttribute("aria-invalid", Boolean(wrong));
    }
    for (const element of all("[data-when]")) element.hidden = !state.values[element.dataset.when];
    if (state.address !== location.pathname + location.search) history.replaceState(null, "", state.address);
  }

  // ------------------------------------------------------------------------------------------------------------------
  // What a visitor does.

  function change(event) {
    const element = event.target.closest?.("[data-set]");
    if (!element) return;
    delete element.dataset.touched;
    act("set", { name: element.dataset.set, value: element.type === "checkbox" ? element.checked : value_of(element) });
  }

  function click(event) {
    const element = event.target.closest?.("[data-do]");
    if (!element || element.disabled) return;
    const name = element.dataset.do;
    if (name === "save") location.assign(`/saved/${root().dataset.key}`);
    else act(name, element.dataset.value ?? null);
  }

  /** What a part of a picture sets: one with `data-setting`, the name of a control, and `data-value`. */
  function choose(event) {
    const element = event.target.closest?.("[data-setting]");
    if (!element || (event.type === "keydown" && event.key !== "Enter" && event.key !== " ")) return;
    event.preventDefault();
    act("set", { name: element.dataset.setting, value: element.dataset.value });
  }

  function press(event) {
    const element = event.target.closest?.("svg [data-do], [role=button][data-do]");
    if (!element || (event.key !== "Enter" && event.key !== " ")) return;
    event.preventDefault();
    act(element.dataset.do, element.dataset.value ?? null);
  }

  /** What a control is set to; a slider over words stands at the number of its word. */
  const value_of = (element) => element.dataset.words?.split("|")[Number(element.value)] ?? element.value;
  const place_of = (element, value) => (element.dataset.words ? String(element.dataset.words.split("|").indexOf(value)) : value);

  /** Shows the value of a slider beside it. */
  function beside(element) {
    if (element.dataset.words) element.setAttribute("aria-valuetext", value_of(element));
    const output = document.querySelector(`output[for="${element.id}"]`);
    if (output) output.textContent = value_of(element);
  }

  /** Puts the link to what is shown into the clipboard, or shows it where that is not allowed. */
  async function copied(address) {
    const link = location.origin + address;
    try {
      await navigator.clipboard.writeText(link);
      said({ news: `Copied: ${link}` });
    } catch {
      said({ news: `The link to what is shown: ${link}` });
    }
  }

  document.addEventListener("change", change);
  document.addEventListener("click", click);
  document.addEventListener("keydown", press);
  for (const type of ["click", "keydown"]) document.addEventListener(type, choose);
  document.addEventListener("input", (event) => {
    const element = event.target.closest?.("[data-set]");
    if (element) element.dataset.touched = "yes";
    if (element?.type !== "range") return;
    beside(element);
    later ??= setTimeout(() => {
      later = null;
      act("set", { name: element.dataset.set, value: value_of(element) });
    }, 80);
  });

  /** Calls a view's own script with every frame. */
  const listen = (name, listener) => (listeners[name] = listener);

  return { act, show, said, told, running, settings, copied, listen };
})();
