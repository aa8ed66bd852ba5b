// The table of cases: sorted by the column whose title is pressed; its scores are those of the prediction chosen.
const table = document.getElementById("cases");

function sortBy(column, descending) {
  const value = (row) => {
    const given = row.cells[column].dataset.sort;
    const parsed = given === "" ? null : Number(given);
    return Number.isNaN(parsed) ? given : parsed;
  };
  const compare = (a, b) => (typeof a === "string" && typeof b === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b);
  const rows = [...table.tBodies[0].rows].map((row) => [value(row), row]);
  rows.sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null); // what is missing comes last
    return descending ? compare(b, a) : compare(a, b);
  });
  table.tBodies[0].append(...rows.map(([, row]) => row));
  [...table.tHead.rows[0].cells].forEach((cell, k) => {
    if (k === column) cell.setAttribute("aria-sort", descending ? "descending" : "ascending");
    else cell.removeAttribute("aria-sort");
  });
}

if (table) {
  table.tHead.addEventListener("click", (event) => {
    const cell = event.target.closest("th");
    if (cell) sortBy(cell.cellIndex, cell.getAttribute("aria-sort") === "ascending");
  });
  const view = document.getElementById("view");
  view?.addEventListener("change", () => {
    table.querySelectorAll("td[data-views]").forEach((cell) => {
      const { texts, sorts } = JSON.parse(cell.dataset.views);
      cell.textContent = texts[view.value] ?? "–";
      cell.dataset.sort = sorts[view.value] ?? "";
    });
    const sorted = table.tHead.querySelector("[aria-sort]");
    if (sorted) sortBy(sorted.cellIndex, sorted.getAttribute("aria-sort") === "descending");
  });
}
