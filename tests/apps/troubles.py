"""What a person meets later on: another order, recordings that broke, a network or a server that went away."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from selenium.webdriver import Keys

from audiostore import AudioFile, Key
from audiostore.models import Staged
from tests.apps.people import Person
from tests.apps.running import TAKE, Site
from tests.apps.stories import SPEECH, Story, length

NAMES = ("Opening", "Storm", "Calm")


class Troubles(Story):
    """Somebody goes on with an audiobook, come what may."""

    def test_sections_are_put_in_order_by_mouse_and_by_keys(self, person: Person) -> None:
        book = person.new_book(*NAMES)
        person.record_all(dict.fromkeys(NAMES, SPEECH))
        calm, opening = (person.part("handle", person.section(name)) for name in ("Calm", "Opening"))
        person.drag(calm, opening)
        person.wait(lambda: person.names() == ["Calm", "Opening", "Storm"], "it is dropped before the first")
        person.saved()
        assert [each["name"] for each in person.kept()] == ["Calm", "Opening", "Storm"]

        calm.send_keys(Keys.ARROW_DOWN)
        person.wait(lambda: person.names() == ["Opening", "Calm", "Storm"], "it is one further down")
        person.wait(
            lambda: person.find("#announced").get_attribute("textContent") == "Calm is now section 2 of Chapter one."
        )
        assert person.js("return document.activeElement === arguments[0]", calm)
        person.saved()
        assert [each["name"] for each in person.kept()] == ["Opening", "Calm", "Storm"]
        person.open(book)
        person.wait(lambda: person.names() == ["Opening", "Calm", "Storm"], "a page that is loaded anew has it too")
        order = self.watch(person)
        person.part("play", ".chapter").click()
        for place in (1, 2, 3):
            person.reads("#player", f"{place} of 3")
            person.heard(0)
            person.part("next" if place < 3 else "stop", "#player").click()
        assert order() == ["Opening", "Calm", "Storm"]
        assert person.complaints() == []

    def test_what_is_wrong_with_a_recording_is_told_and_it_is_attached_again(
        self, person: Person, live: Site, tmp_path: Path
    ) -> None:
        book = person.new_book(*NAMES)
        person.record_all(dict.fromkeys(NAMES, SPEECH))
        opening, storm, calm = (person.section(name) for name in NAMES)
        takes = {take.section: take for take in self.takes(live)}
        spoilt = tmp_path / "spoilt"
        spoilt.write_bytes(b"no recording, not any more".ljust(takes["12"].size))
        behind_its_back(live, takes["12"], spoilt)
        behind_its_back(live, takes["13"], None)
        live.away = ("/api/audio/check",)
        person.open(book)
        for section in (opening, storm, calm):
            person.reads(section, "Not checked", "It could not be found out whether the recording is there.")
            assert person.part("play", section).is_enabled()
        live.away = ()
        for section in (calm, storm, opening):  # upwards: an answer moves what is below, away from under the mouse
            person.part("again", section).click()
        person.wait(lambda: not person.part("badge", opening).is_displayed(), "it is there")
        person.reads(storm, "Unreadable", "The file is there, but it is no recording that plays.")
        person.reads(calm, "Missing", "The recording of this section is gone.")
        person.shoot(f"{self.app}-{self.backend}-badges")
        assert [person.part("play", each).is_enabled() for each in (opening, storm, calm)] == [True, False, False]

        person.choose("Calm", TAKE)
        person.wait(lambda: not person.part("badge", calm).is_displayed(), "it is no longer missing")
        order = self.watch(person)
        person.part("play", ".chapter").click()
        person.wait(lambda: person.now_playing() == "Calm", "what is unreadable is skipped")
        person.choose("Storm", TAKE)
        person.wait(lambda: not person.part("badge", storm).is_displayed(), "it can be read again")
        person.saved()
        person.part("play", storm).click()
        person.heard(0.2)
        person.part("stop", "#player").click()
        assert order() == ["Opening", "Calm", "Storm"]
        assert {(take.section, take.filename) for take in self.takes(live)} == {
            ("11", "speech.wav"),
            ("12", "take.wav"),
            ("13", "take.wav"),
        }
        person.complaints("503")

    def test_it_plays_on_when_the_network_or_the_server_is_back(self, person: Person, live: Site, folder: Path) -> None:
        person.new_book("Opening", "Storm")
        long = self.longer(folder, 40_000_000)  # more than a browser reads ahead
        person.record_all({"Opening": long, "Storm": SPEECH})
        order = self.watch(person)
        person.part("play", ".chapter").click()
        person.heard(0.2)
        wave = person.part("wave", person.section("Opening"))
        with person.offline():
            wave.click()  # in its middle
            person.reads("#player", "Opening", "No connection. It plays on when that is back.")
            assert person.part("play", "#player").get_attribute("aria-label") == "Pause"
            person.shoot(f"{self.app}-{self.backend}-offline")
        assert abs(person.heard(length(long) / 2 - 1)["time"] - length(long) / 2) < 10
        person.reads("#player", "Chapter one · 1 of 2")

        with nobody_there(person, live):
            wave.send_keys(Keys.END)
            person.reads("#player", "Opening", "No connection. It plays on when that is back.")
        person.wait(lambda: not person.find("#player").is_displayed(), "the chapter is over")
        assert order() == ["Opening", "Storm"]
        assert not person.all("#toasts .trouble")
        person.complaints("ERR_INTERNET_DISCONNECTED")


def behind_its_back(live: Site, take: AudioFile, spoilt: Path | None) -> None:
    """Let the bytes of a file, or none, be where a recording was, without the store."""
    backend, key = live.store.backend, Key(take.key)
    backend.delete([key])
    if spoilt is not None:
        sha256 = hashlib.sha256(spoilt.read_bytes()).hexdigest()
        size = spoilt.stat().st_size
        backend.write(
            key,
            Staged(
                path=spoilt,
                size=size,
                sha256=sha256,
                content_type="audio/wav",
                filename=spoilt.name,
                disposable=False,
            ),
        )


@contextmanager
def nobody_there(person: Person, live: Site) -> Generator[None]:
    """Let neither the app nor the storage answer for a while, and the network be there all the same."""
    live.away = ("/api/", "/audio/")
    person.cdp("Network.setBlockedURLs", urls=["*/storage/v1/*"])
    try:
        yield
    finally:
        live.away = ()
        person.cdp("Network.setBlockedURLs", urls=[])
