// The scale of all charts of probabilities: even steps, or log-odds, which spread out what lies near 0 and near 1.
const scales = document.querySelectorAll("input[data-scale]");

scales.forEach((input) => {
  input.addEventListener("change", () => {
    document.body.dataset.scale = input.dataset.scale;
    scales.forEach((other) => { other.checked = other.dataset.scale === input.dataset.scale; });
  });
});
