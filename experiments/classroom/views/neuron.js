"use strict";
// Of the view One neuron only the settings of what is shown are there.

(() => {
  const OF = {
    perceptron: ["ketchup", "mustard", "bun", "w_ketchup", "w_mustard", "w_bun", "threshold", "lesson"],
    "activation functions": ["w", "b", "x"],
    "saturated neuron": ["w", "b", "rate"],
  };
  classroom.listen("neuron", ({ words }) => {
    const part = words?.part;
    if (!(part in OF)) return;
    for (const element of document.querySelectorAll("[data-view=neuron] [data-set]"))
      if (element.dataset.set !== "part") element.closest(".control").hidden = !OF[part].includes(element.dataset.set);
  });
})();
