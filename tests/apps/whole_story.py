"""The further chapters of the story: a book is changed while it plays, exported, changed in two places, looked at."""

from __future__ import annotations

import wave
import zipfile
from pathlib import Path

from selenium.webdriver import Keys

from tests.apps.people import Person
from tests.apps.running import TAKE, Site
from tests.apps.stories import SPEECH, Story


class WholeStory(Story):
    """Somebody makes an audiobook, and everything happens to it."""

    def test_a_new_take_frees_the_old_one_also_of_a_section_that_moved(self, person: Person, live: Site) -> None:
        person.new_book("Opening")
        person.record("Opening", TAKE)
        person.looked_at("Opening")
        person.record("Opening", SPEECH)
        person.looked_at("Opening")
        assert [take.filename for take in self.takes(live)] == ["speech.wav"]
        person.click("#add-chapter")
        person.js("document.querySelector('.section [data-part=handle]').focus()")
        person.find(".section [data-part=handle]").send_keys(Keys.ARROW_DOWN)  # over the end, into the next chapter
        person.wait(
            lambda: person.all(".chapter:last-child .section") and not person.all(".chapter:first-child .section")
        )
        person.record("Opening", TAKE)
        person.reads("#files", "1 file", "take.wav")
        assert [(take.filename, take.chapter) for take in self.takes(live)] == [("take.wav", "51")]
        assert person.complaints() == []

    def test_a_changed_book_plays_on_at_its_place(self, person: Person, folder: Path) -> None:
        person.new_book("Opening", "Storm", "Calm")
        person.record_all({"Opening": self.longer(folder, 2_000_000), "Storm": SPEECH, "Calm": SPEECH})
        order = self.watch(person)
        person.part("play", ".chapter").click()
        person.heard(0.1)
        person.part("wave", person.section("Opening")).click()  # in its middle, so that a new start would be seen
        before = person.heard(10)
        person.find(f"{person.section('Calm')} [data-part=handle]").send_keys(Keys.ARROW_UP)
        person.wait(lambda: person.names() == ["Opening", "Calm", "Storm"], "it moved")
        person.part("name", person.section("Opening")).send_keys(" words")
        person.part("add", ".chapter").click()
        added = person.find(".section:last-child [data-part=name]")
        person.wait(lambda: person.js("return document.activeElement === arguments[0]", added), "it wants a name")
        added.send_keys("Coda")
        person.record("Coda", SPEECH)
        after = person.heard(0)
        assert after["time"] > before["time"]
        assert after["src"] == before["src"]
        person.reads("#player", "Opening words", "1 of 4")
        person.part("wave", person.section("Opening words")).send_keys(Keys.END)
        person.wait(lambda: not person.find("#player").is_displayed(), "the chapter is over")
        assert order() == ["Opening words", "Calm", "Storm", "Coda"]
        person.saved()
        assert person.complaints() == []

    def test_the_export_unzips_to_the_right_audio(self, person: Person) -> None:
        person.new_book("Opening", "Silence", "Storm")
        person.record_all({"Opening": TAKE, "Storm": TAKE})
        person.find("#export option[value=wav]").click()
        person.click("#export [data-part=begin]")
        person.reads("#export", "Save the ZIP", "Without 1 section that had no recording: Silence.")
        before = set(person.downloads.glob("*.zip")) if person.downloads.exists() else set[Path]()
        person.click("#export [data-part=download]")
        saved = person.wait(lambda: next(iter(set(person.downloads.glob("*.zip")) - before), None), "it is saved")
        with zipfile.ZipFile(saved) as archive:
            assert archive.testzip() is None
            (name,) = [each for each in archive.namelist() if each.endswith(".wav")]
            with archive.open(name) as file, wave.open(file) as chapter, wave.open(str(TAKE)) as take:
                frames, once = chapter.readframes(chapter.getnframes()), take.readframes(take.getnframes())
                assert frames.startswith(once)
                assert frames.endswith(once)
                assert len(frames) >= 2 * len(once)
        assert person.complaints() == []

    def test_nothing_is_lost_when_a_book_is_changed_in_two_places(self, person: Person) -> None:
        book = person.new_book("Opening")
        self.change_elsewhere(person, book, "Theirs")
        person.part("name", person.section("Opening")).send_keys(" mine")
        person.reads("#conflict", "This book was changed elsewhere", "Nothing is lost")
        person.open(book)  # not even by a reload
        person.reads("#conflict", "This book was changed elsewhere")
        assert person.names() == ["Opening mine"]
        person.click("#keep-mine")
        person.saved()
        assert person.path("Opening mine") == "None"

        self.change_elsewhere(person, book, "Theirs")
        person.part("name", person.section("Opening mine")).send_keys(" again")
        person.click("#take-theirs")
        person.wait(lambda: person.names() == ["Theirs"], "the other version")
        person.saved()
        assert person.complaints("409") == []

    def test_changes_without_a_network_are_saved_later(self, person: Person) -> None:
        book = person.new_book("Opening")
        with person.offline():
            person.part("name", person.section("Opening")).send_keys(" words")
            person.reads("#save-state", "no connection", "kept here")
        person.saved()
        person.open(book)
        assert person.names() == ["Opening words"]
        assert person.complaints("ERR_INTERNET_DISCONNECTED") == []

    def test_it_looks_right_and_reads_right_on_desktop_and_phone(self, person: Person) -> None:
        person.new_book("The keeper", "Storm at night", "The light", "Calm", title="The lighthouse keeper")
        person.record_all({"The keeper": TAKE, "Storm at night": SPEECH, "Calm": TAKE})
        person.click("#add-chapter")
        person.js("document.activeElement.blur()")
        person.saved()
        person.wait(lambda: person.waveforms() == 3, "the waveforms are drawn")
        person.js("scrollTo(0, 0)")
        person.part("play", ".chapter").click()
        person.heard(1.5)
        person.part("play", "#player").click()
        assert person.nameless() == []
        try:
            for screen, (width, height, touch) in {"desktop": (1280, 900, False), "phone": (390, 844, True)}.items():
                for dark in (False, True):
                    person.screen(width, height, dark=dark, touch=touch)
                    person.shoot(f"{self.app}-{self.backend}-{screen}{'-dark' * dark}")
                    assert person.js("return document.documentElement.scrollWidth <= innerWidth")
                # Whatever is pressed can be hit: by a finger, 24 pixels at least (WCAG 2.5.8).
                assert (
                    person.js(
                        "return [...document.querySelectorAll('button')].filter((each) => each.checkVisibility())"
                        ".filter((each) => Math.min(each.offsetWidth, each.offsetHeight) < 24).length"
                    )
                    == 0
                )
        finally:
            person.cdp("Emulation.clearDeviceMetricsOverride")
            person.cdp("Emulation.setTouchEmulationEnabled", enabled=False)
            person.part("stop", "#player").click()
        assert person.complaints() == []
