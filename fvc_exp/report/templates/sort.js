"use strict";
// Without this script the tables are what they are; with it, their headers sort them.
const keyOf = (row, column) => {
  const cell = row.cells[column];
  return cell.dataset.key ?? cell.textContent.trim();
};

const compare = (one, other) => {
  if (one === "" || other === "") return (one === "") - (other === "");  // what is missing stays last
  const numbers = [Number(one), Number(other)];
  return numbers.some(Number.isNaN) ? one.localeCompare(other) : numbers[0] - numbers[1];
};

const sortBy = (table, header) => {
  const sorted = header.getAttribute("aria-sort");
  // At first what is best stands on top: of most numbers the largest.
  const first = header.dataset.first ?? (header.classList.contains("number") ? "descending" : "ascending");
  const ascending = sorted ? sorted === "descending" : first === "ascending";
  const [body] = table.tBodies;
  const sign = ascending ? 1 : -1;
  const rows = [...body.rows].map((row) => [keyOf(row, header.cellIndex), row]);
  rows.sort(([one], [other]) => (one === "" || other === "" ? 1 : sign) * compare(one, other));
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", ascending ? "ascending" : "descending");
  body.append(...rows.map(([, row]) => row));
};

for (const table of document.querySelectorAll("table.sortable")) {
  for (const header of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => sortBy(table, header));
  }
}
