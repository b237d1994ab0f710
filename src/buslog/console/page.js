// What Streamlit does for its own elements, done for HTML of ours: a link to another page of the dashboard turns to it
// instead of loading the dashboard anew, and the head of a column sorts its table.

document.addEventListener("click", (event) => {
  const link = event.target.closest(".stHtml a[href]");
  if (link && isWithin(link) && isPlain(event)) {
    event.preventDefault();
    history.pushState(null, "", link.href);
    dispatchEvent(new PopStateEvent("popstate")); // as after Back: Streamlit shows the page of the address
  }
  const head = event.target.closest(".stHtml th button")?.closest("th");
  if (head) sort(head);
});

function isWithin(link) {
  return link.origin === location.origin && !link.target && !link.hasAttribute("download");
}

function isPlain(click) {
  return click.button === 0 && !click.ctrlKey && !click.metaKey && !click.shiftKey && !click.altKey;
}

function sort(head) {
  const turned = head.ariaSort === "ascending" ? -1 : 1;
  for (const other of head.parentElement.cells) other.ariaSort = null;
  head.ariaSort = turned === 1 ? "ascending" : "descending";
  const body = head.closest("table").tBodies[0];
  const of = ({ dataset, textContent }) => ("order" in dataset ? Number(dataset.order) : textContent);
  const compare = (one, other) => (typeof one === "number" ? one - other : one.localeCompare(other));
  const order = ({ cells: one }, { cells: other }) => turned * compare(of(one[head.cellIndex]), of(other[head.cellIndex]));
  body.append(...[...body.rows].sort(order));
}
