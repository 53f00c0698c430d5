// The page of the order service: plain DOM over the same API that curl uses.
//
// What comes from the server reaches the document only as text (`textContent`, attributes), never
// as markup. The server alone decides what is valid; the page shows its answer at the field.

const STATUSES = ["new", "paid", "packed", "shipped", "delivered"];
const RECEIPT_TRIES = 20; // from 150 ms to 1.5 s apart: about 20 s, then the reader decides
const REQUEST_MS = 15_000;

const $ = (id) => document.getElementById(id);
const orders = new Map(); // id → order, in the order of the list

// --- The API ----------------------------------------------------------------------------------

class Refused extends Error {
  constructor(status, message, field) {
    super(message);
    this.status = status;
    this.field = field;
  }
}

async function api(method, path, body) {
  let response;
  let text;
  try {
    response = await fetch(path, {
      method,
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(REQUEST_MS),
    });
    text = await response.text();
  } catch (cause) {
    const late = cause.name === "TimeoutError";
    throw new Refused(0, late ? "The server did not answer in time." : "The server cannot be reached.");
  }
  let answer = {};
  try {
    answer = text ? JSON.parse(text) : {};
  } catch {
    throw new Refused(response.status, `The server answered ${response.status} with something else than JSON.`);
  }
  if (!response.ok) {
    throw new Refused(response.status, answer.message ?? `The server answered ${response.status}.`, answer.field);
  }
  return answer;
}

const pathOf = (id) => `/orders/${encodeURIComponent(id)}`;

// --- Small helpers ----------------------------------------------------------------------------

/** An element with properties, attributes (`aria-…`, `data-…` and other dashed or plain names) and children. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== undefined));
  return element;
}

/** Speaks and shows what happened. The text changes even when the same thing happens twice. */
function say(message, kind = "done") {
  const status = $("status");
  status.textContent = "";
  status.dataset.kind = kind;
  requestAnimationFrame(() => {
    status.textContent = message;
  });
}

/** Disables a button while its work is under way, without taking the focus from it. */
async function busy(button, work) {
  if (button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true");
  try {
    await work();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    say(error.message, "failed");
  } finally {
    button.removeAttribute("aria-disabled");
  }
}

const dates = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

function time(iso) {
  const date = new Date(iso);
  return Number.isNaN(date.valueOf())
    ? make("span", {}, String(iso ?? "unknown"))
    : make("time", { datetime: iso, title: iso }, dates.format(date));
}

/** "9.9" → 990n, or null. BigInt, since floating point cannot add prices. */
function cents(price) {
  const match = /^(\d{1,15})(?:\.(\d{1,2}))?$/.exec(price);
  return match ? BigInt(match[1]) * 100n + BigInt((match[2] ?? "").padEnd(2, "0")) : null;
}

function shownPrice(price) {
  const amount = cents(price);
  return amount === null ? String(price) : money(amount);
}

function money(amount) {
  const digits = amount.toString().padStart(3, "0");
  return `${digits.slice(0, -2)}.${digits.slice(-2)}`;
}

// --- The form ---------------------------------------------------------------------------------

const form = $("create");
const rows = $("rows");
let rowsMade = 0;

function addRow() {
  const row = $("row").content.firstElementChild.cloneNode(true);
  rowsMade += 1;
  const error = row.querySelector(".error");
  error.id = `row-${rowsMade}-error`;
  for (const input of row.querySelectorAll("input")) {
    input.id = `row-${rowsMade}-${input.dataset.name}`;
    input.previousElementSibling.htmlFor = input.id;
  }
  row.querySelector(".remove").addEventListener("click", () => removeRow(row));
  rows.append(row);
  numberRows();
  return row;
}

function removeRow(row) {
  const neighbour = row.nextElementSibling ?? row.previousElementSibling;
  row.remove();
  numberRows();
  (neighbour?.querySelector("input") ?? $("add")).focus();
}

/** Rows are known to the server by their number: `items[0].price`. */
function numberRows() {
  [...rows.children].forEach((row, index) => {
    row.dataset.field = `items[${index}]`;
    row.setAttribute("aria-label", `Item ${index + 1}`);
    for (const input of row.querySelectorAll("input")) {
      input.dataset.field = `items[${index}].${input.dataset.name}`;
    }
    row.querySelector(".remove").setAttribute("aria-label", `Remove item ${index + 1}`);
    row.querySelector(".remove").hidden = rows.children.length === 1;
  });
  showSum();
}

function showSum() {
  let sum = 0n;
  for (const row of rows.children) {
    const price = cents(row.querySelector("[data-name=price]").value.trim());
    const quantity = row.querySelector("[data-name=quantity]").value.trim();
    if (price !== null && /^\d{1,7}$/.test(quantity)) sum += price * BigInt(quantity);
  }
  $("sum").textContent = money(sum);
}

/** The form as the API wants it. A quantity that is no number is sent as typed: the server says what is wrong. */
function readForm() {
  const value = (row, name) => row.querySelector(`[data-name=${name}]`).value.trim();
  const number = (text) => (/^-?\d+$/.test(text) ? Number(text) : text);
  return {
    customer: $("customer").value.trim(),
    items: [...rows.children].map((row) => ({
      sku: value(row, "sku"),
      quantity: number(value(row, "quantity")),
      price: value(row, "price"),
    })),
  };
}

function clearErrors() {
  for (const error of form.querySelectorAll(".error")) {
    error.hidden = true;
    error.textContent = "";
  }
  for (const element of form.querySelectorAll("[aria-invalid]")) {
    element.removeAttribute("aria-invalid");
    element.removeAttribute("aria-describedby");
  }
}

/** Shows a refusal at its field and moves the focus there, so that it is read out with the field. */
function showError({ message, field }) {
  const known = typeof field === "string" ? form.querySelector(`[data-field="${CSS.escape(field)}"]`) : null;
  const place = known?.closest(".row") ?? known?.closest(".field, fieldset");
  const error = place?.querySelector(":scope > .error") ?? $("create-error");
  error.textContent = known || !field ? message : `${field}: ${message}`;
  error.hidden = false;
  if (!known) {
    error.focus();
    return;
  }
  const target = known.matches(".row") ? known.querySelector("input") : known;
  target.setAttribute("aria-invalid", "true");
  target.setAttribute("aria-describedby", error.id);
  target.focus();
}

async function submit(event) {
  event.preventDefault();
  const button = form.querySelector("[type=submit]");
  await busy(button, async () => {
    clearErrors();
    let order;
    try {
      order = await api("POST", "/orders", readForm());
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      showError(error);
      return;
    }
    form.reset();
    rows.replaceChildren();
    addRow();
    placeFirst(order);
    say(`Order for ${order.customer} placed, ${order.total} in total.`);
    focusOrder(order.id);
  });
}

// --- The list ---------------------------------------------------------------------------------

const list = $("list");
const entryOf = (id) => list.querySelector(`:scope > [data-id="${CSS.escape(id)}"]`);

async function load() {
  const section = $("orders");
  section.setAttribute("aria-busy", "true");
  try {
    const open = new Set([...list.querySelectorAll("details[open]")].map((d) => d.parentElement.dataset.id));
    const answer = await api("GET", "/orders");
    orders.clear();
    list.replaceChildren();
    for (const order of answer.orders) {
      orders.set(order.id, order);
      list.append(entry(order, open.has(order.id)));
    }
    showCount();
  } finally {
    section.removeAttribute("aria-busy");
  }
}

function showCount() {
  $("count").textContent = orders.size || "";
  $("empty").hidden = orders.size > 0;
}

function placeFirst(order) {
  orders.set(order.id, order);
  list.prepend(entry(order, true));
  showCount();
}

function focusOrder(id) {
  const summary = entryOf(id)?.querySelector("summary");
  summary?.focus();
  summary?.scrollIntoView({ block: "nearest" });
}

/** One order: a line that opens. Its inside is made each time it opens, and reads the receipt then. */
function entry(order, open) {
  const details = make("details", { open }, summary(order));
  details.addEventListener("toggle", () => {
    details.querySelector(".inside")?.remove();
    if (!details.open) return;
    details.append(inside(orders.get(order.id)));
    showReceipt(order.id, details);
  });
  return make("li", { "data-id": order.id }, details);
}

function summary(order) {
  return make(
    "summary",
    {},
    make("span", { class: "who" }, String(order.customer ?? order.id)),
    make("span", { class: "pill", "data-status": order.status ?? "" }, String(order.status ?? "unknown")),
    make("span", { class: "total" }, String(order.total ?? "")),
    make("span", { class: "when" }, time(order.created_at)),
  );
}

function inside(order) {
  return make(
    "div",
    { class: "inside" },
    make(
      "div",
      { class: "columns" },
      make("div", {}, itemTable(order), make("p", { class: "id" }, "Order ", make("code", {}, order.id))),
      make("div", { class: "receipt", "data-state": "waiting" }, make("p", {}, "Waiting for the receipt…")),
    ),
    controls(order),
  );
}

function itemTable(order) {
  const lines = (order.items ?? []).map((item) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, String(item.sku)),
      make("td", {}, String(item.quantity)),
      make("td", {}, shownPrice(item.price)),
    ),
  );
  const head = ["SKU", "Quantity", "Price"].map((name) => make("th", { scope: "col" }, name));
  return make(
    "table",
    {},
    make("caption", { class: "unseen" }, `Items ordered by ${order.customer}`),
    make("thead", {}, make("tr", {}, ...head)),
    make("tbody", {}, ...lines),
  );
}

function controls(order) {
  const known = STATUSES.includes(order.status) ? STATUSES : [order.status, ...STATUSES];
  const options = known.map((name) => make("option", { value: name, selected: name === order.status }, String(name)));
  const select = make("select", { id: `status-${order.id}` }, ...options);
  const save = make("button", { type: "submit", class: "quiet" }, "Save status");
  const remove = make("button", { type: "button", class: "quiet danger-text" }, "Delete order…");
  remove.addEventListener("click", () => busy(remove, () => removeOrder(order.id)));
  const change = make(
    "form",
    { class: "change" },
    make("label", { for: select.id }, "Status"),
    select,
    save,
  );
  change.addEventListener("submit", (event) => {
    event.preventDefault();
    busy(save, () => changeStatus(order.id, select.value));
  });
  return make("div", { class: "controls" }, change, remove);
}

/** PUT replaces an order, so what it replaces is read right before. */
async function changeStatus(id, status) {
  try {
    const { customer, items } = await api("GET", pathOf(id));
    const order = await api("PUT", pathOf(id), { customer, items, status });
    orders.set(id, order);
    entryOf(id)?.querySelector("summary").replaceWith(summary(order));
    say(`The order of ${order.customer} is now “${order.status}”.`);
  } catch (error) {
    if (error.status === 404) dropOrder(id, "Somebody else has deleted this order.", "failed");
    else throw error;
  }
}

async function removeOrder(id) {
  const order = orders.get(id);
  if (!(await confirmed(`The order of ${order.customer} (${order.total}) and its receipt will be gone.`))) return;
  try {
    await api("DELETE", pathOf(id));
  } catch (error) {
    if (error.status !== 404) throw error; // 404: what was wanted is the case
  }
  dropOrder(id, `The order of ${order.customer} is deleted.`);
}

function confirmed(text) {
  const dialog = $("confirm");
  $("confirm-text").textContent = text;
  dialog.returnValue = "keep";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "delete"), { once: true });
  });
}

function dropOrder(id, message, kind) {
  const gone = entryOf(id);
  const neighbour = gone?.nextElementSibling ?? gone?.previousElementSibling;
  orders.delete(id);
  gone?.remove();
  showCount();
  say(message, kind);
  (neighbour?.querySelector("summary") ?? $("list-title")).focus();
}

// --- The receipt ------------------------------------------------------------------------------

/** The receipt is written by an event after the order, so it may take a moment: ask again, but not for ever. */
async function showReceipt(id, details) {
  const paper = details.querySelector(".receipt");
  paper.dataset.state = "waiting";
  paper.replaceChildren(make("p", {}, "Waiting for the receipt…"));
  for (let attempt = 0; attempt < RECEIPT_TRIES; attempt += 1) {
    if (!paper.isConnected) return; // closed, deleted or listed anew
    try {
      // Asking the collection: a receipt that is not there yet is an empty list, not a failed request.
      const { receipts } = await api("GET", `/receipts?order=${encodeURIComponent(id)}`);
      if (receipts.length > 0) {
        issued(paper, receipts[0]);
        return;
      }
    } catch (error) {
      unissued(paper, error.message, () => showReceipt(id, details));
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, Math.min(150 * (attempt + 1), 1_500)));
  }
  unissued(paper, "There is no receipt yet.", () => showReceipt(id, details));
}

function issued(paper, receipt) {
  paper.dataset.state = "issued";
  paper.replaceChildren(
    make("h3", {}, "Receipt"),
    make(
      "dl",
      {},
      make("div", {}, make("dt", {}, "Issued"), make("dd", {}, time(receipt.issued_at))),
      make("div", {}, make("dt", {}, "Order"), make("dd", {}, String(receipt.order).slice(0, 8))),
      make("div", { class: "due" }, make("dt", {}, "Total"), make("dd", {}, String(receipt.total))),
    ),
  );
}

function unissued(paper, message, again) {
  const button = make("button", { type: "button", class: "quiet" }, "Look again");
  button.addEventListener("click", again);
  paper.dataset.state = "missing";
  paper.replaceChildren(make("p", {}, message), button);
}

// --- Start ------------------------------------------------------------------------------------

form.addEventListener("submit", submit);
form.addEventListener("input", showSum);
$("add").addEventListener("click", () => addRow().querySelector("input").focus());
$("refresh").addEventListener("click", (event) =>
  busy(event.currentTarget, async () => {
    await load();
    say(orders.size === 1 ? "One order." : `${orders.size} orders.`);
  }),
);
addRow();
load().catch((error) => say(error.message, "failed"));
