"""The page as a person uses it, in headless Chromium.

Skips where there is no Chromium; tests/conftest.py makes a failure of that in CI.
"""

from __future__ import annotations

import re
import shutil
import wave
from collections.abc import Callable, Generator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome, ChromeOptions, Keys
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.expected_conditions import alert_is_present
from selenium.webdriver.support.ui import WebDriverWait

from audiostore import AudioStore
from examples.flask import app
from tests.flask_example.conftest import Clock
from tests.flask_example.running import TAKE, Site

pytestmark = pytest.mark.browser

LONG = 40_000_000
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--mute-audio"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic"),
    "--window-size=1000,1400",
)


class Person:
    """Somebody at a browser, signed in as alice."""

    def __init__(self, browser: Chrome, site: Site, downloads: Path) -> None:
        self.browser, self.site, self.downloads = browser, site, downloads
        self.open()
        self.find("input[name=name]").send_keys("alice", Keys.ENTER)
        self.find("#upload")

    def open(self) -> None:
        self.browser.get(self.site.url)

    def wait(self, until: Callable[[], Any], what: str = "") -> Any:
        return WebDriverWait(self.browser, 120, 0.05).until(lambda _: until(), what)

    def find(self, css: str) -> WebElement:
        element: WebElement = self.wait(lambda: next(iter(self.browser.find_elements(By.CSS_SELECTOR, css)), None), css)
        return element

    def js(self, script: str, *arguments: Any) -> Any:
        return self.browser.execute_script(script, *arguments)  # pyright: ignore[reportUnknownMemberType]

    def choose(self, path: Path, **fields: str) -> None:
        self.find("#upload input[type=file]").send_keys(str(path))
        for name, value in fields.items():
            self.find(f"#upload input[name={name}]").send_keys(value)

    def told(self) -> str:
        return self.find(".note").text

    def meter(self) -> float:
        return float(self.js("return document.querySelector('meter').value"))

    def audio(self, fact: str) -> Any:
        return self.js(f"return document.querySelector('audio').{fact}")

    def complaints(self) -> list[str]:
        """Give what the page's console holds against it: script errors, breaches of its own content policy."""
        logged: list[dict[str, Any]] = self.browser.get_log("browser")  # type: ignore[no-untyped-call]
        return [str(each["message"]) for each in logged if each["level"] == "SEVERE"]


@pytest.fixture
def browser(site: Site, tmp_path: Path) -> Generator[Chrome]:
    """A new one, with a profile of its own. It ends before the site does, which waits for open connections."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("needs chromium and chromedriver (Debian: apt-get install chromium chromium-driver)")
    options = ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = Chrome(options, Service(driver))
    try:
        saving = {"behavior": "allow", "downloadPath": str(tmp_path / "downloads")}
        browser.execute_cdp_cmd("Browser.setDownloadBehavior", saving)  # pyright: ignore[reportUnknownMemberType]
        yield browser
    finally:
        browser.quit()


@pytest.fixture
def person(browser: Chrome, site: Site, tmp_path: Path) -> Person:
    return Person(browser, site, tmp_path / "downloads")


@pytest.fixture
def long_take(store: AudioStore, tmp_path: Path) -> float:
    """Store some 40 MB of alice's, more than a player reads ahead; give their length in seconds."""
    store.set_quota("alice", "100 MB", per_file="100 MB")
    long = tmp_path / "long.wav"
    with wave.open(str(TAKE)) as short, wave.open(str(long), "wb") as file:
        file.setparams(short.getparams())
        frames = short.readframes(short.getnframes())
        for _ in range(LONG // len(frames)):
            file.writeframesraw(frames)
    store.put(long, owner="alice")
    return seconds(long)


def test_a_recording_goes_in_plays_and_goes(person: Person, store: AudioStore) -> None:
    person.choose(TAKE, chapter="1", section="2")
    person.find("#upload button").click()
    assert person.told() == "Stored “take.wav”."
    assert "Chapter 1 · Section 2" in person.find("[data-take]").text
    assert person.meter() == TAKE.stat().st_size
    assert "195.1 KB of 1.0 MB used" in person.find("main").text

    person.find("audio").send_keys(Keys.SPACE)  # the keyboard plays it
    person.wait(lambda: person.audio("currentTime") > 0.2, "it plays")
    assert abs(person.audio("duration") - seconds(TAKE)) < 0.1

    person.find(".danger").click()
    person.wait(lambda: alert_is_present()(person.browser)).dismiss()
    assert store.usage("alice").files == 1
    person.find(".danger").click()
    asked = person.wait(lambda: alert_is_present()(person.browser))
    assert asked.text.startswith("Delete “take.wav”?")
    asked.accept()
    person.wait(lambda: person.told() == "The take is deleted.")
    assert person.meter() == 0
    assert store.usage("alice").files == 0
    assert person.complaints() == []


def test_seeking_to_the_middle_fetches_from_the_middle(person: Person, long_take: float) -> None:
    person.open()
    person.wait(lambda: person.audio("readyState") >= 1, "its length is known")
    person.browser.set_script_timeout(120)
    reached = person.browser.execute_async_script(  # pyright: ignore[reportUnknownMemberType]
        """
        const [done] = arguments, audio = document.querySelector("audio");
        audio.addEventListener("seeked", () => done(audio.currentTime), { once: true });
        audio.currentTime = audio.duration / 2;
        """
    )
    assert abs(reached - long_take / 2) < 1
    ranges = [re.match(r"bytes=(\d+)-", each.range) for each in person.site.seen if each.range and each.status == 206]
    starts = [int(found[1]) for found in ranges if found]
    assert any(abs(start - LONG / 2) < LONG / 10 for start in starts), starts
    assert person.complaints() == []


def test_a_download_bears_the_original_name(person: Person, store: AudioStore) -> None:
    name = "Kapitel 1 «Sturm» 朗読.wav"
    store.put(TAKE, owner="alice", filename=name)
    person.open()
    person.find("a[href$=download]").click()
    saved = person.downloads / name
    person.wait(saved.exists, "it is saved")
    assert saved.read_bytes() == TAKE.read_bytes()


def test_a_direct_upload_shows_progress_and_is_counted(person: Person, store: AudioStore) -> None:
    # Kept over the reload that follows.
    person.js(
        """
        const bar = document.querySelector("progress");
        const keep = () => sessionStorage.setItem("most", Math.max(bar.value, sessionStorage.getItem("most")));
        new MutationObserver(keep).observe(bar, { attributes: true });
        """
    )
    person.choose(TAKE, chapter="7")
    person.find("#direct").click()
    assert person.told() == "Stored “take.wav”."
    assert float(person.js("return sessionStorage.getItem('most')")) == 1
    assert person.meter() == TAKE.stat().st_size
    (take,) = store.list(owner="alice", chapter=7)
    assert store.get(take) == TAKE.read_bytes()
    assert {each.status for each in person.site.seen if each.method == "PUT"} == {201}
    assert person.complaints() == []


def test_a_refusal_is_told_beside_the_form(person: Person, store: AudioStore, tmp_path: Path) -> None:
    diary = tmp_path / "diary.txt"
    diary.write_text("Dear diary,\n")
    person.choose(diary)
    person.find("#direct").click()
    person.wait(lambda: person.find("#upload .error").text == "This is not an audio file, or there is nothing in it.")
    assert person.find("#direct").is_enabled()
    assert store.usage("alice").reserved == 0


def test_a_new_take_replaces_the_old_one(person: Person, store: AudioStore, tmp_path: Path) -> None:
    take = store.put(b"RIFF\4\0\0\0WAVE", owner="alice", filename="old.wav", chapter=1)
    person.open()
    person.find("summary").send_keys(Keys.ENTER)
    person.find("details input[type=file]").send_keys(str(TAKE))
    person.find("details button").click()
    assert person.told() == "“take.wav” is the new take."
    assert store.get(take, owner="alice") == TAKE.read_bytes()


def test_a_player_whose_link_ran_out_gets_a_new_one_and_plays_on(
    person: Person, store: AudioStore, clock: Clock, long_take: float
) -> None:
    person.open()
    person.find("audio").send_keys(Keys.SPACE)
    person.wait(lambda: person.audio("currentTime") > 0, "it plays")
    old = person.audio("src")
    clock.now += timedelta(hours=2).total_seconds()
    person.js("document.querySelector('audio').currentTime = arguments[0]", long_take / 2)
    person.wait(lambda: person.audio("src") != old, "it has a new link")
    person.wait(lambda: person.audio("currentTime") > long_take / 2 and not person.audio("paused"), "it plays on")
    assert 403 in {each.status for each in person.site.seen}


def test_a_player_that_stands_keeps_its_place_when_its_link_is_renewed_in_time(
    person: Person, store: AudioStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "LINKS", timedelta(seconds=4))
    store.put(TAKE, owner="alice")
    person.open()
    person.wait(lambda: person.audio("readyState") >= 1)
    person.js("document.querySelector('audio').currentTime = 1.5")
    old = person.audio("src")
    clock.now += 2
    person.wait(lambda: person.audio("src") != old, "it has a new link")
    person.wait(lambda: person.audio("readyState") >= 1 and person.audio("currentTime") == 1.5)
    assert 403 not in {each.status for each in person.site.seen}


def seconds(path: Path) -> float:
    with wave.open(str(path)) as file:
        return float(file.getnframes() / file.getframerate())
