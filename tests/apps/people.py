"""Somebody at a browser: headless Chromium, and what a person does and sees on the page of the example apps."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium.common.exceptions import TimeoutException
from selenium.webdriver import ActionChains, Chrome, ChromeOptions, Keys
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from examples.shared.auth import DEMO_USERS
from tests.apps.running import Site

FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--mute-audio"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic"),
    "--window-size=1280,1000",
)
SCREENSHOTS = Path(__file__).parents[2] / "screenshots"
"""Kept to be looked at; git leaves the folder out."""


@contextmanager
def browsing(folder: Path) -> Generator[Chrome]:
    """Start a Chromium with a profile of its own below *folder*; skip where there is none (in CI, that fails)."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("needs chromium and chromedriver (Debian: apt-get install chromium chromium-driver)")
    options = ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = Chrome(options, Service(driver))
    try:
        browser.set_script_timeout(60)
        saving = {"behavior": "allow", "downloadPath": str(folder / "downloads")}
        browser.execute_cdp_cmd("Browser.setDownloadBehavior", saving)  # pyright: ignore[reportUnknownMemberType]
        yield browser
    finally:
        browser.quit()


class Person:
    """One who uses the page. What ends in a wait fails after half a minute; nothing here sleeps."""

    def __init__(self, browser: Chrome, site: Site, downloads: Path) -> None:
        self.browser, self.site, self.downloads = browser, site, downloads

    # --- the page, generally ------------------------------------------------------------------------------------------

    def wait(self, until: Callable[[], Any], what: str = "") -> Any:
        return WebDriverWait(self.browser, 30, 0.03).until(lambda _: until(), what)

    def all(self, css: str) -> list[WebElement]:
        found: list[WebElement] = self.browser.find_elements(By.CSS_SELECTOR, css)
        return found

    def find(self, css: str) -> WebElement:
        element: WebElement = self.wait(lambda: next(iter(self.all(css)), None), css)
        return element

    def part(self, name: str, within: str) -> WebElement:
        return self.find(f"{within} [data-part={name}]")

    def shown(self, css: str) -> WebElement:
        element: WebElement = self.wait(
            lambda: next((each for each in self.all(css) if each.is_displayed()), None), css
        )
        return element

    def type(self, css: str, *words: str) -> None:
        """Put words into a field in the place of what is there."""
        field = self.shown(css)
        field.clear()
        field.send_keys(*words)

    def click(self, css: str) -> None:
        element = self.shown(css)
        self.js("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element)
        element.click()

    def reads(self, css: str, *words: str) -> None:
        """Wait until an element shows all *words*."""

        def text() -> str:
            return " ".join(each.text for each in self.all(css) if each.is_displayed())

        try:
            self.wait(lambda: all(word in text() for word in words))
        except TimeoutException:
            pytest.fail(f"{css} should read {words}; it reads {text()!r}")

    def js(self, script: str, *arguments: Any) -> Any:
        return self.browser.execute_script(script, *arguments)  # pyright: ignore[reportUnknownMemberType]

    def later(self, script: str, *arguments: Any) -> Any:
        """Run a script that promises something, and give what it promised."""
        whole = f"const done = arguments[arguments.length - 1]; (async () => {{ {script} }})().then(done, done)"
        return self.browser.execute_async_script(whole, *arguments)  # pyright: ignore[reportUnknownMemberType]

    def cdp(self, command: str, **options: Any) -> Any:
        return self.browser.execute_cdp_cmd(command, options)  # pyright: ignore[reportUnknownMemberType]

    def complaints(self, *expected: str) -> list[str]:
        """Give what the console holds against the page: script errors, refused requests, breaches of its own policy.

        What matches a pattern of *expected* is left out, and must have come.
        """
        logged: list[dict[str, Any]] = self.browser.get_log("browser")  # type: ignore[no-untyped-call]
        severe = [str(each["message"]) for each in logged if each["level"] == "SEVERE"]
        for pattern in expected:
            assert any(re.search(pattern, each) for each in severe), (pattern, severe)
        return [each for each in severe if not any(re.search(pattern, each) for pattern in expected)]

    @contextmanager
    def offline(self) -> Generator[None]:
        """Be without a network for a while."""
        away = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        self.cdp("Network.enable")
        self.cdp("Network.emulateNetworkConditions", offline=True, **away)
        try:
            yield
        finally:
            self.cdp("Network.emulateNetworkConditions", offline=False, **away)

    # --- who, and which book ------------------------------------------------------------------------------------------

    def sign_in(self, name: str, password: str | None = None) -> None:
        """Come to the page as somebody else, or for the first time."""
        self.browser.get("about:blank")
        self.browser.get(self.site.url)
        self.wait(lambda: self.js("return document.body.dataset.started"), "the page has started")
        if self.find("#who").is_displayed():
            self.click("#sign-out")
        email = f"{name}@example.com"
        self.type("#sign-in input[name=email]", email)
        self.type("#sign-in input[name=password]", password or DEMO_USERS[email][1], Keys.ENTER)

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Ask the app something with this person's token, beside the page."""
        return self.later(
            """
            const [method, path, body] = arguments;
            const { access_token } = JSON.parse(sessionStorage.getItem("session"));
            const headers = { Authorization: `Bearer ${access_token}`, "Content-Type": "application/json" };
            const sent = body === null ? undefined : JSON.stringify(body);
            const answer = await fetch(path, { method, headers, body: sent });
            return answer.json();
            """,
            method,
            path,
            body,
        )

    def new_book(self, *names: str, title: str = "The lighthouse") -> str:
        """Make a book of one chapter, with sections of these names and no recordings, and open it; gives its id."""
        sections = [{"id": 11 + at, "name": name, "text": "", "audioPath": None} for at, name in enumerate(names)]
        chapters = [{"id": 1, "name": "Chapter one", "sections": sections}]
        data = {"title": title, "author": "Ada", "lastId": 50, "chapters": chapters}
        made: dict[str, str] = self.ask("POST", "/api/projects", {"project_data": data})
        self.open(made["id"])
        return made["id"]

    def open(self, book: str) -> None:
        """Open a book, in a page that is loaded anew."""
        self.browser.get("about:blank")
        self.browser.get(f"{self.site.url}/#{book}")
        self.find(".chapter")

    def saved(self) -> None:
        self.wait(lambda: self.find("#save-state").text == "Saved", "the book is saved")

    # --- sections -----------------------------------------------------------------------------------------------------

    def section(self, name: str) -> str:
        """Give the selector of a section by its name."""
        script = """
            const named = [...document.querySelectorAll(".section")];
            return named.find((each) => each.querySelector("[data-part=name]").value === arguments[0])?.dataset.section;
        """
        return f".section[data-section='{self.wait(lambda: self.js(script, name), name)}']"

    def names(self) -> list[str]:
        script = "return [...document.querySelectorAll('.section [data-part=name]')].map((each) => each.value)"
        names: list[str] = self.js(script)
        return names

    def waveforms(self) -> int:
        """Give how many sections show a waveform."""
        long = "(each) => each.getAttribute('d').length > 500"
        count: int = self.js(f"return [...document.querySelectorAll('.wave .ahead')].filter({long}).length")
        return count

    def choose(self, name: str, path: Path) -> None:
        """Choose a file for a section, as with the form's button."""
        self.part("file", self.section(name)).send_keys(str(path))

    def record(self, name: str, path: Path) -> None:
        """Choose a file for a section, and wait until that is stored and saved."""
        self.record_all({name: path})

    def record_all(self, recordings: Mapping[str, Path]) -> None:
        """Choose files for sections one right after the other, and wait until all are stored and saved."""
        for name, path in recordings.items():
            self.choose(name, path)
        for name in recordings:
            self.stored(self.section(name))
        self.saved()

    def stored(self, section: str) -> None:
        self.wait(lambda: self.js("return document.querySelector(arguments[0]).matches('.recorded')", section), section)
        self.wait(lambda: not self.part("sending", section).is_displayed(), "it is stored")

    def looked_at(self, name: str) -> None:
        """Wait until the page has looked at a section's recording, which it would not find once that is replaced."""
        section = self.section(name)
        self.wait(lambda: self.find(section).get_attribute("data-verdict") == "ok", "it can be played")
        self.wait(lambda: self.all(f"{section} [data-part=wave] svg:not(.flat)"), "its wave is drawn")

    def drop(self, css: str, *paths: Path) -> None:
        """Drop files on an element, as a mouse does that comes from a file manager."""
        element = self.find(css)
        self.js("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element)
        box = self.js(
            "const {x, y, width, height} = arguments[0].getBoundingClientRect(); return {x, y, width, height}", element
        )
        at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
        data = {"items": [], "files": [str(each) for each in paths], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.cdp("Input.dispatchDragEvent", type=kind, data=data, **at)

    def drag(self, handle: WebElement, target: WebElement) -> None:
        """Take something by its handle, and let it go in the upper half of another's, as a mouse does."""
        self.js("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", handle)
        top = "(each) => each.getBoundingClientRect().top"
        way = int(self.js(f"const [from, to] = [...arguments].map({top}); return to - from", handle, target)) - 10
        moves = ActionChains(self.browser, 50).click_and_hold(handle).move_by_offset(0, way // 2)
        moves.move_by_offset(0, way - way // 2).move_by_offset(
            1, 0
        ).release().perform()  # it has to move over its target

    def path(self, name: str) -> str:
        """Give the path that the saved book has for a section."""
        (path,) = [section["audioPath"] for section in self.kept() if section["name"] == name]
        return str(path)

    def kept(self) -> list[dict[str, Any]]:
        """Give the sections of the book as it is saved, in their order."""
        book = self.ask("GET", f"/api/projects/{self.js('return location.hash.slice(1)')}")["project_data"]
        return [section for chapter in book["chapters"] for section in chapter["sections"]]

    # --- listening ----------------------------------------------------------------------------------------------------

    def playing(self) -> dict[str, Any] | None:
        """Give the element that plays: its time, its address, its length; None if none does."""
        script = """
            const audio = [...document.querySelectorAll("#player audio")].find((each) => !each.paused && !each.ended);
            return audio ? { time: audio.currentTime, src: audio.src, duration: audio.duration } : null;
        """
        found: dict[str, Any] | None = self.js(script)
        return found

    def heard(self, seconds: float) -> dict[str, Any]:
        """Wait until what plays is beyond *seconds*; gives what ``playing`` does."""
        found: dict[str, Any] = self.wait(
            lambda: (now := self.playing()) and now["time"] > seconds and now, f"it plays beyond {seconds} s"
        )
        return found

    def now_playing(self) -> str:
        return self.part("section", "#player").text

    # --- looking ------------------------------------------------------------------------------------------------------

    def screen(self, width: int, height: int, *, dark: bool = False, touch: bool = False) -> None:
        self.cdp(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1 + touch, mobile=touch
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        still = {"name": "prefers-reduced-motion", "value": "reduce"}
        self.cdp("Emulation.setEmulatedMedia", features=[scheme, still])
        self.cdp("Emulation.setTouchEmulationEnabled", enabled=touch)

    def shoot(self, name: str) -> Path:
        SCREENSHOTS.mkdir(exist_ok=True)
        path = SCREENSHOTS / f"{name}.png"
        path.write_bytes(self.browser.get_screenshot_as_png())
        return path

    def nameless(self) -> Sequence[str]:
        """Give what can have the focus and has no name, as a screen reader finds it."""
        nodes = self.cdp("Accessibility.getFullAXTree")["nodes"]
        wrong: list[str] = []
        for node in nodes:
            focusable = any(
                each["name"] == "focusable" and each["value"]["value"] for each in node.get("properties", [])
            )
            role = node.get("role", {}).get("value", "")
            if focusable and not node["ignored"] and role != "RootWebArea" and not node.get("name", {}).get("value"):
                wrong.append(
                    f"{role} {json.dumps(self.cdp('DOM.describeNode', backendNodeId=node['backendDOMNodeId']))[:200]}"
                )
        return wrong
