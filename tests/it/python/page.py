"""The sample's page in a real browser, by keyboard alone, at both widths.

    python3 page.py APP_URL OUT_DIR

`CHROMIUM` and `CHROMEDRIVER` in the environment name the browser and its driver. Screenshots go to OUT_DIR:
page-{390,1280}-{light,dark}.png show the list with a receipt, refused-{390,1280}.png a refusal at its field. The one
error that the console may show is the browser's own line about the request that the API refuses on purpose. All orders
that the platform holds are deleted: give it one of its own.
"""

import os
import sys
import tempfile
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from checking import Site, check, equal, fail, until

FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --hide-scrollbars "
    "--disable-background-networking --disable-component-update --disable-sync --disable-crash-reporter"
).split()
WIDTHS = {390: 844, 1280: 900}
MARKUP = '<img src=x onerror="document.title=1"><b>Eve</b>'
TABS = 80  # more than the page has stops

# What has the focus: a name to compare, whether a sighted reader can tell, and whether it is in view.
FOCUS = """
const element = document.activeElement, style = getComputedStyle(element), box = element.getBoundingClientRect();
return {
  tag: element.localName,
  id: element.id,
  name: element.dataset.field || element.id || element.textContent.trim().replace(/\\s+/g, " ").slice(0, 60),
  shown: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
  inView: box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
};
"""

app_url = sys.argv[1].rstrip("/")
pictures = Path(sys.argv[2])
app = Site(app_url)


class Page:
    """A browser on the page: looking by selector, acting by keys."""

    def __init__(self, width, height):
        options = Options()
        options.binary_location = os.environ["CHROMIUM"]
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        for flag in [*FLAGS, f"--user-data-dir={self.profile.name}"]:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(os.environ["CHROMEDRIVER"]))
        self.width = width
        self.size(height)
        self.scheme("light")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.driver.quit()
        self.profile.cleanup()

    def size(self, height):
        size = {"width": self.width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def scheme(self, scheme):
        features = [{"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": "reduce"}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def open(self):
        self.driver.get(app_url + "/")
        until("the list is loaded", lambda: self.script("return !document.querySelector('[aria-busy]')"))

    def script(self, text, *arguments):
        return self.driver.execute_script(text, *arguments)

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector):
        """The text as it is, in one step: the element may be replaced at any moment."""
        return self.script("return document.querySelector(arguments[0])?.textContent.trim() ?? null", selector)

    def press(self, *keys):
        for key in keys:
            ActionChains(self.driver).send_keys(key).perform()

    def chord(self, modifier, key):
        ActionChains(self.driver).key_down(modifier).send_keys(key).key_up(modifier).perform()

    def focus(self):
        return self.script(FOCUS)

    def focused(self, selector):
        return self.script("return document.activeElement.matches(arguments[0])", selector)

    def tab_to(self, selector):
        """Tabs forward until the focus is there, and holds each stop on the way to be visible."""
        for _ in range(TABS):
            self.press(Keys.TAB)
            seen = self.focus()
            if seen["tag"] != "body" and not (seen["shown"] and seen["inView"]):
                fail(f"the focus is on {seen['name']!r}, but not to be seen: {seen}")
            if self.focused(selector):
                return
        fail(f"{TABS} tabs do not lead to {selector}")

    def write(self, text):
        """Replaces what the focused field holds."""
        self.chord(Keys.CONTROL, "a")
        self.press(Keys.DELETE, text)

    def fits(self, when):
        wide = self.script("const root = document.documentElement; return [root.scrollWidth, root.clientWidth, innerWidth]")
        check(f"{when}: nothing is wider than {self.width} pixels", max(wide) <= self.width, wide)

    def picture(self, name, focus=True):
        if not focus:
            self.script("window.hadFocus = document.activeElement; hadFocus.blur()")
        full = self.script("return document.documentElement.scrollHeight")
        self.script("scrollTo(0, 0)")
        self.size(max(WIDTHS[self.width], full if self.width < 500 else 0))
        file = pictures / f"{name}.png"
        file.write_bytes(self.driver.get_screenshot_as_png())
        self.size(WIDTHS[self.width])
        if not focus:
            self.script("hadFocus.focus()")
        check(f"picture {file.name}", file.stat().st_size > 10_000)

    def errors(self):
        """What the console has said since the last look, apart from idle talk."""
        return [entry for entry in self.driver.get_log("browser") if entry["level"] not in ("DEBUG", "INFO")]

    def quiet(self, when):
        equal(f"{when}: the console is quiet", self.errors(), [])


def main():
    pictures.mkdir(parents=True, exist_ok=True)
    clean()
    for customer, status, items in (
        ("Grace Hopper", "delivered", [("NANO-11", 30, "0.12"), ("COBOL", 1, "59.00")]),
        ("Jörg Müller GmbH & Co. KG", "shipped", [("B-200", 4, "12.50")]),
        ("Katherine Johnson", "new", [("ORBIT-6", 1, "162.00")]),
    ):
        order(customer, items, status)
    for width, height in WIDTHS.items():
        with Page(width, height) as page:
            print(f"--      {width} pixels", flush=True)
            markup = order(MARKUP, [("A1", 1, "1")])
            page.open()
            first_look(page)
            app.ask("DELETE", f"/orders/{markup['id']}")
            page.open()
            every_stop(page)
            refusal(page)
            place(page)
            look(page)
            change(page)
            delete(page)
            outside(page)
    clean()


def order(customer, items, status="new"):
    lines = [{"sku": sku, "quantity": quantity, "price": price} for sku, quantity, price in items]
    answer = app.ask("POST", "/orders", {"customer": customer, "items": lines})
    if answer.status != 201:
        fail(f"POST /orders: {answer}")
    made = answer.json()
    if status == "new":
        return made
    changed = app.ask("PUT", f"/orders/{made['id']}", {"customer": customer, "items": lines, "status": status})
    if changed.status != 200:
        fail(f"PUT /orders/{{id}}: {changed}")
    return changed.json()


def clean():
    for each in app.get("/orders").json()["orders"]:
        app.ask("DELETE", f"/orders/{each['id']}")


# --- What anybody meets -----------------------------------------------------------------------------


def first_look(page):
    equal("the page has its title", page.driver.title, "Orders")
    page.fits("at first")
    page.quiet("at first")
    expected = [each["customer"] for each in app.get("/orders").json()["orders"]]
    seen = page.script("return [...document.querySelectorAll('#list .who')].map((each) => each.textContent)")
    equal("all orders are listed, the newest first", seen, expected)
    check("markup in an order is text", MARKUP in seen and not page.all("#list img, #list b"))
    foreign = page.script(
        "return performance.getEntriesByType('resource').map((each) => each.name).filter((name) => !name.startsWith(location.origin))"
    )
    equal("nothing comes from elsewhere", [name for name in foreign if not name.startswith("data:")], [])
    named(page, "at first")


def named(page, when):
    controls = [each for each in page.all("input, select, button, summary, fieldset, a") if each.is_displayed()]
    nameless = [each.get_attribute("outerHTML")[:120] for each in controls if not each.accessible_name.strip()]
    equal(f"{when}: all {len(controls)} controls have names", nameless, [])
    twice = page.script(
        "const ids = [...document.querySelectorAll('[id]')].map((each) => each.id); return ids.filter((id, n) => ids.indexOf(id) !== n)"
    )
    equal(f"{when}: no id is there twice", twice, [])


def every_stop(page):
    """From the top to the end and around: no stop is invisible, none holds the focus."""
    stops = []
    for _ in range(TABS):
        page.press(Keys.TAB)
        seen = page.focus()
        if seen["tag"] == "body" or (stops and seen["name"] == stops[0]):
            break
        if not (seen["shown"] and seen["inView"]):
            fail(f"the focus is on {seen['name']!r}, but not to be seen: {seen}")
        if stops and stops[-1] == seen["name"]:
            fail(f"the focus does not leave {seen['name']!r}")
        stops.append(seen["name"])
    else:
        fail(f"{TABS} tabs do not lead around: {stops}")
    equal("the first stop skips to the orders", stops[0], "Skip to the orders")
    expected = ["customer", "items[0].sku", "items[0].quantity", "items[0].price", "add", "Place order", "refresh"]
    equal("then come the form and the list", stops[1:8], expected)
    equal("then each order", len(stops[8:]), len(page.all("#list summary")))
    page.open()
    page.press(Keys.TAB, Keys.ENTER)
    check("the skip link leads to the orders", page.focused("#list-title"), page.focus())


# --- A customer's way ---------------------------------------------------------------------------------


def refusal(page):
    page.open()
    page.tab_to("#customer")
    page.press("Ada Lovelace")
    for field, text in (("sku", "ENGINE-A1"), ("quantity", "2"), ("price", "9.9x")):
        page.tab_to(f'[data-field="items[0].{field}"]')
        page.write(text)
    page.press(Keys.ENTER)
    until("the refusal comes", lambda: page.focused('[data-field="items[0].price"][aria-invalid="true"]'))
    described = page.script("return document.getElementById(document.activeElement.getAttribute('aria-describedby'))?.textContent")
    answer = app.ask("POST", "/orders", {"customer": "a", "items": [{"sku": "a", "quantity": 1, "price": "9.9x"}]})
    equal("the server's words describe the field", described, answer.json()["message"])
    check("and can be seen", page.script("return document.activeElement.closest('.row').querySelector('.error').offsetHeight > 0"))
    page.fits("with a refusal")
    page.picture(f"refused-{page.width}")
    seen = page.errors()
    only = len(seen) == 1 and seen[0]["source"] == "network" and "status of 400" in seen[0]["message"]
    check("the console shows only the refused request", only, seen)


def place(page):
    page.write("9.90")
    equal("the total counts along", page.text("#sum"), "19.80")
    page.tab_to("#add")
    page.press(Keys.SPACE)
    check("a new item gets the focus", page.focused('[data-field="items[1].sku"]'), page.focus())
    page.press("CARDS-80", Keys.TAB)
    page.write("100")
    page.press(Keys.TAB, "0.05")
    page.tab_to("#add")
    page.press(Keys.ENTER)
    check("and so does a third", page.focused('[data-field="items[2].sku"]'), page.focus())
    page.tab_to('[aria-label="Remove item 3"]')
    page.press(Keys.ENTER)
    check("removing it leads to its neighbour", page.focused('[data-field="items[1].sku"]'), page.focus())
    equal("the total is exact", page.text("#sum"), "24.80")
    before = len(page.all("#list > li"))
    page.tab_to("#create [type=submit]")
    page.press(Keys.ENTER)
    until("the order is placed", lambda: len(page.all("#list > li")) == before + 1)
    until("and it is said", lambda: page.text("#status") == "Order for Ada Lovelace placed, 24.80 in total.")
    equal("in a live region", page.one("#status").get_attribute("role"), "status")
    check("the focus is on the new order", page.focused("#list > li:first-child summary"), page.focus())
    equal("the form is empty again", page.script("return [customer.value, rows.children.length]"), ["", 1])
    check("and shows no refusal", not page.all("#create [aria-invalid]"))
    stored = app.get("/orders").json()["orders"][0]
    lines = [{"sku": "ENGINE-A1", "quantity": 2, "price": "9.90"}, {"sku": "CARDS-80", "quantity": 100, "price": "0.05"}]
    equal("it is stored as typed", (stored["customer"], stored["items"], stored["total"]), ("Ada Lovelace", lines, "24.80"))


def look(page):
    first = "#list > li:first-child"
    until("the receipt appears by itself", lambda: page.all(f"{first} .receipt[data-state=issued]"))
    stored = app.get("/orders").json()["orders"][0]
    issued = app.get(f"/orders/{stored['id']}/receipt").json()
    equal("with the order's total", page.text(f"{first} .receipt .due dd"), issued["total"])
    moment = page.script("return document.querySelector(arguments[0]).dateTime", f"{first} .receipt time")
    equal("and its time", moment, issued["issued_at"])
    page.fits("with an open order")
    named(page, "with an open order")
    page.quiet("with an open order")
    page.press(Keys.ENTER)
    until("Enter closes the order", lambda: not page.all(f"{first} details[open]"))
    page.press(Keys.SPACE)
    until("Space opens it", lambda: page.all(f"{first} .receipt[data-state=issued]"))


def change(page):
    first = "#list > li:first-child"
    page.tab_to(f"{first} select")
    page.press("paid")
    page.tab_to(f"{first} .change button")
    page.press(Keys.SPACE)
    until("the status is saved", lambda: page.text(f"{first} .pill") == "paid")
    until("and it is said", lambda: page.text("#status") == "The order of Ada Lovelace is now “paid”.")
    stored = app.get("/orders").json()["orders"][0]
    equal("and stored, with all else as it was", (stored["status"], stored["total"]), ("paid", "24.80"))
    check("the focus stays", page.focused(f"{first} .change button"), page.focus())
    for scheme in ("light", "dark"):
        page.scheme(scheme)
        page.fits(f"{scheme} colours")
        page.picture(f"page-{page.width}-{scheme}", focus=False)
    page.scheme("light")


def delete(page):
    first = "#list > li:first-child"
    id = page.one(first).get_attribute("data-id")
    page.tab_to(f"{first} .danger-text")
    page.press(Keys.ENTER)
    until("a question comes first", lambda: page.all("dialog[open]"))
    check("its safe answer has the focus", page.focused("dialog [value=keep]"), page.focus())
    check("it names the order", "Ada Lovelace" in page.text("#confirm-text"), page.text("#confirm-text"))
    page.fits("with the question")
    page.press(Keys.ESCAPE)
    until("Escape closes it", lambda: not page.all("dialog[open]"))
    check("and leads back", page.focused(f"{first} .danger-text"), page.focus())
    equal("the order is still there", app.get(f"/orders/{id}").status, 200)
    page.press(Keys.ENTER)
    until("the question comes again", lambda: page.all("dialog[open]"))
    page.tab_to("dialog [value=delete]")
    page.press(Keys.ENTER)
    until("the order is gone", lambda: not page.all(f'[data-id="{id}"]'))
    until("and it is said", lambda: page.text("#status") == "The order of Ada Lovelace is deleted.")
    check("the focus is on the next order", page.focused(f"{first} summary"), page.focus())
    equal("the server has deleted it too", app.get(f"/orders/{id}").status, 404)
    page.quiet("after the whole way")


def outside(page):
    """What others did meanwhile: Refresh shows a new order, and deleting what is gone already is no drama."""
    other = order("Linus", [("KERNEL", 1, "0")])
    page.open()
    page.tab_to("#refresh")
    another = order("Ken", [("B", 1, "1")])
    page.press(Keys.ENTER)
    until("Refresh shows what others ordered", lambda: page.all(f'[data-id="{another["id"]}"]'))
    equal("and counts", page.text("#count"), str(len(app.get("/orders").json()["orders"])))
    for each in (other, another):
        app.ask("DELETE", f"/orders/{each['id']}")
    page.press(Keys.ENTER)
    until("Refresh drops what others deleted", lambda: not page.all(f'[data-id="{other["id"]}"]'))
    page.quiet("at the end")


if __name__ == "__main__":
    main()
    print("ok      the whole page", flush=True)
