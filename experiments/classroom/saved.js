// Plays the frames of a saved page.

(() => {
  const frames = JSON.parse(document.getElementById("frames").textContent);
  const slider = document.getElementById("frame"), button = document.getElementById("play");
  let timer = 0;

  function show(i) {
    const frame = frames[i];
    slider.value = String(i);
    Pictures.show(frame.pictures);
    for (const id of ["status", "finding"]) document.getElementById(id).textContent = frame.words[id] ?? "";
    slider.setAttribute("aria-valuetext", frame.words.status ?? String(i));
    document.getElementById("classroom").dataset.at = String(frame.at);
  }

  function pause() {
    clearInterval(timer);
    timer = 0;
    button.textContent = "Play";
  }

  function play() {
    if (timer) return pause();
    let i = Number(slider.value);
    if (i >= frames.length - 1) show((i = 0));
    button.textContent = "Pause";
    timer = setInterval(() => {
      i += 1;
      if (i < frames.length) show(i);
      if (i >= frames.length - 1) pause();
    }, 200);
  }

  slider.max = String(Math.max(0, frames.length - 1));
  slider.addEventListener("input", () => {
    pause();
    show(Number(slider.value));
  });
  button.addEventListener("click", play);
  if (frames.length) show(frames.length - 1);
})();
