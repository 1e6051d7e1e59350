
// Tables with buttons in their headers sort by the clicked column's data-value: as numbers where all are, else as text.
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const header = button.parentElement;
    const column = header.cellIndex;
    const body = header.closest("table").tBodies[0];
    const descending = header.getAttribute("aria-sort") === "ascending";
    for (const other of header.parentElement.cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const value = (row) => row.cells[column].dataset.value;
    const known = [...body.rows].filter((row) => value(row) !== "");
    const unknown = [...body.rows].filter((row) => value(row) === "");
    const isNumeric = known.every((row) => !Number.isNaN(Number(value(row))));
    const numbers = (one, other) => Number(value(one)) - Number(value(other));
    const names = (one, other) => value(one).localeCompare(value(other), "en", { numeric: true });
    known.sort(isNumeric ? numbers : names);
    if (descending) known.reverse();
    body.append(...known, ...unknown);
  });
}
