// Tips: what a chart shows under the pointer or the finger; with the keyboard, arrows walk through a focused chart.
const tip = document.getElementById("tip");

function showTip(element) {
  const box = element.getBoundingClientRect();
  tip.textContent = element.dataset.tip;
  tip.hidden = false;
  const width = tip.offsetWidth, height = tip.offsetHeight;
  const left = Math.min(Math.max(box.left + box.width / 2 - width / 2, 6), document.documentElement.clientWidth - width - 6);
  const above = box.top - height - 8;
  tip.style.left = `${left}px`;
  tip.style.top = `${above > 4 ? above : Math.min(box.bottom + 8, innerHeight - height - 6)}px`;
}

function hideTip() {
  tip.hidden = true;
  document.querySelectorAll(".told").forEach((one) => one.classList.remove("told"));
}

document.addEventListener("pointerover", (event) => {
  const element = event.target.closest?.("[data-tip]");
  if (element) showTip(element); else hideTip();
});
document.addEventListener("scroll", hideTip, { passive: true });

document.querySelectorAll("svg.chart").forEach((chart) => {
  const stops = [...chart.querySelectorAll("[data-tip]")];
  let at = -1;
  chart.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (event.key === "Escape") hideTip();
    if (!step || !stops.length) return;
    event.preventDefault();
    at = (at + step + stops.length) % stops.length;
    hideTip();
    stops[at].classList.add("told");
    showTip(stops[at]);
  });
  chart.addEventListener("blur", hideTip);
});
