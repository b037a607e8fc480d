"""What a person does on the page, in the order in which one would: told once, for both apps and both backends.

A subclass with an ``app`` and a ``backend`` runs them all. They share a server and a browser, so each makes a book of
its own.
"""

from __future__ import annotations

import dataclasses
import wave as wav
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

import pytest
from selenium.webdriver import Keys

from audiostore import AudioFile, format_size
from examples.shared.auth import DEMO_USERS
from examples.shared.flow import Flow
from tests.apps.people import Person, browsing
from tests.apps.running import ALICE, TAKE, App, Backend, Site, environ, fastapi_served, flask_served, supabase_settings

AUDIO = Path(__file__).parents[1] / "audio"
SPEECH = AUDIO / "speech.wav"
SHORT = timedelta(seconds=3)
READY = """
    const waits = (audio) => audio.src && audio.paused && audio.currentTime === 0 && audio.readyState === 4;
    return [...document.querySelectorAll("#player audio")].some(waits);
"""
"""Whether an element waits for the other one to end."""


class Story:
    """Somebody signs in, and makes an audiobook."""

    app: ClassVar[App]
    backend: ClassVar[Backend]

    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return tmp_path_factory.mktemp(f"{cls.app}-{cls.backend}")

    @pytest.fixture(scope="class")
    @classmethod
    def live(cls, folder: Path) -> Generator[Site]:
        with served(cls.app, cls.backend, folder) as live:
            yield live

    @pytest.fixture(scope="class")
    @classmethod
    def somebody(cls, live: Site, folder: Path) -> Generator[Person]:
        with browsing(folder) as browser:  # it ends before the live does, which waits for open connections
            person = Person(browser, live, folder / "downloads")
            person.sign_in("alice")
            yield person

    @pytest.fixture
    def person(self, somebody: Person, live: Site) -> Person:
        """Alice, signed in, with nothing stored."""
        somebody.complaints()
        if "alice" not in somebody.find("#who").text:
            somebody.sign_in("alice")
            somebody.reads("#who", "alice")
        for book in somebody.ask("GET", "/api/projects")["projects"]:
            somebody.ask("DELETE", f"/api/projects/{book['id']}")
        return somebody

    def takes(self, live: Site) -> list[AudioFile]:
        """Give what alice has stored."""
        return list(live.store.list(owner=ALICE))

    def test_a_recording_goes_in_by_the_form_plays_and_goes(self, person: Person, live: Site) -> None:
        person.sign_in("alice", "not this one")
        person.reads("#sign-in [role=alert]", "Wrong address or password")
        person.sign_in("alice")
        person.type("#new-book input", "The lighthouse keeper", Keys.ENTER)
        person.record("Section 1", TAKE)
        (take,) = self.takes(live)
        assert (take.filename, take.chapter, take.section, take.size) == ("take.wav", "1", "2", TAKE.stat().st_size)
        person.reads("#files", "take.wav", "Section 1", "195.1 KB", "1 file")
        quota = format_size(live.store.usage(ALICE).quota)
        person.reads("#room", f"195.1 KB of {quota} used", "1 recording")
        assert person.js("return document.querySelector('#room meter').value") == take.size

        person.part("play", person.section("Section 1")).send_keys(Keys.SPACE)  # the keyboard plays it
        first = person.heard(0.1)
        assert person.heard(first["time"] + 0.2)["duration"] == pytest.approx(length(TAKE), abs=0.1)
        person.reads("#player", "Section 1", "Chapter 1", "0:04")
        person.part("play", person.section("Section 1")).send_keys(Keys.SPACE)
        person.wait(lambda: person.playing() is None, "it pauses")
        wave = person.part("wave", person.section("Section 1"))
        wave.click()  # in its middle
        at = "aria-valuenow"
        person.wait(lambda: abs(float(wave.get_attribute(at) or 0) - length(TAKE) / 2) < 0.2, "it is at the middle")
        wave.send_keys(Keys.HOME)
        person.part("play", "#player").click()
        person.heard(0.1)
        person.part("stop", "#player").click()
        person.wait(lambda: not person.find("#player").is_displayed(), "it stops")

        person.part("more", person.section("Section 1")).click()
        person.part("detach", person.section("Section 1")).click()
        person.reads("#confirm", "Delete the recording of “Section 1”?", "be undone.")
        person.click("#confirm [value=no]")
        assert len(self.takes(live)) == 1
        person.part("detach", person.section("Section 1")).click()
        person.click("#confirm [value=yes]")
        person.reads("#files", "Nothing is stored")
        person.reads("#room", f"0 bytes of {quota} used", "0 recordings")
        person.saved()
        assert self.takes(live) == []
        assert person.path("Section 1") == "None"
        assert person.complaints("401") == []

    def test_files_are_dropped_on_a_section_and_on_a_chapter(self, person: Person, live: Site) -> None:
        person.new_book("Opening")
        person.drop(person.section("Opening"), TAKE)
        person.reads(person.section("Opening"), "0:04")
        person.drop(".chapter .foot", SPEECH, AUDIO / "speech.mp3")
        person.wait(lambda: person.names() == ["Opening", "speech", "speech"], "each file is a section")
        person.reads("#files", "3 files")
        person.saved()
        takes = self.takes(live)
        assert sorted(take.filename or "" for take in takes) == ["speech.mp3", "speech.wav", "take.wav"]
        assert {live.store.get(take) for take in takes} >= {TAKE.read_bytes(), SPEECH.read_bytes()}
        person.wait(lambda: person.waveforms() == 3, "each has its waveform")
        assert person.complaints() == []

    def test_what_does_not_fit_is_refused_in_words(self, person: Person, live: Site, folder: Path) -> None:
        person.new_book("Opening", "Storm")
        person.record("Opening", TAKE)
        size = TAKE.stat().st_size
        live.store.set_quota(ALICE, size + 1000, per_file=2 * size)
        try:
            person.choose("Storm", TAKE)
            person.reads(person.section("Storm"), "There is not enough room left. Delete a recording to make some.")
            person.reads(person.section("Storm"), "This one needs", "are left.")
            person.reads("#room", f"{format_size(size)} of {format_size(size + 1000)} used", "1 recording")
            assert [take.section for take in self.takes(live)] == ["11"]
            assert live.store.usage(ALICE).reserved == 0
            text = folder / "notes.mp3"
            text.write_text("<script>alert(1)</script>" * 10)
            live.store.set_quota(ALICE, None)
            person.choose("Storm", text)
            person.reads(person.section("Storm"), "This is not an audio file, or there is nothing in it.")
        finally:
            live.store.clear_quota(ALICE)
        assert person.complaints("507") is not None

    def test_a_chapter_plays_in_order_without_a_gap(self, person: Person, folder: Path) -> None:
        person.new_book("Opening", "Silence", "Storm", "Calm")
        opening = self.longer(folder, 2_000_000)
        person.record_all({"Opening": opening, "Storm": SPEECH, "Calm": SPEECH})
        order = self.watch(person, pause_at=(2, 3))  # the third and the fourth that come up, to look around there
        person.part("play", ".chapter").click()
        person.wait(lambda: person.js(READY), "the next one is ready")
        person.part("wave", person.section("Opening")).send_keys(Keys.END)
        person.wait(lambda: person.now_playing() == "Calm" and person.playing() is None, "it pauses at the last")
        person.reads("#player", "Calm", "Chapter one · 3 of 3", f"/ 0:{int(length(opening) + 2 * length(SPEECH))}")
        assert person.find(".section.current").get_attribute("aria-label") == "Calm"
        before = length(opening) + length(SPEECH)
        assert (
            before - 0.2 < float(person.part("progress", "#player").get_attribute("aria-valuenow") or 0) < before + 0.5
        )
        person.part("previous", "#player").click()
        person.wait(lambda: person.now_playing() == "Storm" and person.playing() is None, "it pauses one back")
        person.part("next", "#player").click()
        person.wait(lambda: not person.find("#player").is_displayed(), "the chapter is over")
        assert order() == ["Opening", "Storm", "Calm", "Storm", "Calm"]
        # When one had ended, the next one sounded already, where nobody paused or asked for another.
        assert person.js("return window.crossings") == [True]
        assert person.complaints() == []

    def test_a_long_recording_seeks_by_ranges_and_outlives_its_links(
        self, person: Person, live: Site, folder: Path
    ) -> None:
        book = person.new_book("Opening")
        long = self.longer(folder, 40_000_000)  # more than a browser reads ahead
        person.record("Opening", long)
        with short_links(live.flow, SHORT):
            person.open(book)
            section = person.section("Opening")
            person.part("play", section).click()
            first = person.heard(0.2)
            person.wait(
                lambda: (now := person.playing()) and now["src"] != first["src"], "the link is replaced in time"
            )
            renewed = person.heard(first["time"] + 1)
            assert renewed["time"] < 30
            self.refused(person, first["src"])
            person.part("wave", section).send_keys(Keys.END)
            person.wait(lambda: not person.find("#player").is_displayed(), "the end is heard")
        if live.supabase is None:
            ranges = [each.range for each in live.seen if each.range and each.status == 206]
        else:  # the fake notes no status; who asks it for a range past what is there gets no 206, and nothing plays
            ranges = [each.headers["range"] for each in live.supabase.requests if "range" in each.headers]
        starts = [int(each.removeprefix("bytes=").partition("-")[0]) for each in ranges]
        assert max(starts) > long.stat().st_size * 0.9, starts
        assert person.complaints() == []

    def test_someone_else_sees_nothing_of_it(self, person: Person, live: Site) -> None:
        book = person.new_book("Opening")
        person.record("Opening", SPEECH)
        path = person.path("Opening")
        person.sign_in("bob")
        person.reads("#shelf", "No book yet")
        person.browser.get(f"{live.url}/#{book}")
        person.reads("#toasts", "There is no such book of yours.")
        assert person.ask("POST", "/api/audio/url", {"paths": [path]})["missing"] == [path]
        assert person.ask("GET", "/api/files")["files"] == []
        assert person.complaints("404") == []

    def test_another_origin_is_not_reached(self, person: Person) -> None:
        person.new_book("Opening")
        blocked = person.later(
            """
            const blocked = [];
            document.addEventListener("securitypolicyviolation", (event) => blocked.push(event.effectiveDirective));
            await fetch("http://127.0.0.1:9/", { mode: "no-cors" }).catch(() => {});
            const audio = new Audio("http://127.0.0.1:9/a.wav");
            await new Promise((resolve) => audio.addEventListener("error", resolve));
            const script = document.createElement("script");
            script.textContent = "window.inlined = true";
            document.head.append(script);
            await new Promise((resolve) => setTimeout(resolve));
            return [blocked.sort(), window.inlined ?? false];
            """
        )
        assert blocked == [["connect-src", "media-src", "script-src-elem"], False]
        person.complaints()

    # --- what the stories need ----------------------------------------------------------------------------------------

    def watch(self, person: Person, pause_at: Sequence[int] = ()) -> Callable[[], list[str]]:
        """Note the sections that play, in order, and whether the next sounds when one has ended; gives who tells.

        What comes up at the places *pause_at* is paused at once.
        """
        person.js(
            """
            window.order = [];
            window.crossings = [];
            const pauseAt = arguments[0];
            const sections = document.getElementById("chapters");
            new MutationObserver(() => {
              const id = sections.querySelector("[aria-current]")?.dataset.section;
              if (!id || id === window.order.at(-1)) return;
              const at = window.order.push(id) - 1;
              if (pauseAt.includes(at)) document.querySelector("#player [data-part=play]").click();
            }).observe(sections, { subtree: true, attributes: true, attributeFilter: ["aria-current"] });
            const decks = [...document.querySelectorAll("#player audio")];
            for (const deck of decks) {
              deck.addEventListener("ended", () => {
                const other = decks.find((each) => each !== deck);
                setTimeout(() => { if (other.hasAttribute("src")) window.crossings.push(!other.paused); });
              });
            }
            """,
            list(pause_at),
        )
        names = "(id) => document.querySelector(`.section[data-section='${id}'] [data-part=name]`).value"
        return lambda: person.js(f"return window.order.map({names})")

    def longer(self, folder: Path, size: int) -> Path:
        """Write some *size* bytes of speech."""
        path = folder / f"{size}.wav"
        with wav.open(str(TAKE)) as short, wav.open(str(path), "wb") as file:
            file.setparams(short.getparams())
            frames = short.readframes(short.getnframes())
            for _ in range(size // len(frames)):
                file.writeframesraw(frames)
        return path

    def refused(self, person: Person, url: str) -> None:
        """Wait until an old link gives nothing any more."""
        script = "return (await fetch(arguments[0], { headers: { Range: 'bytes=0-9' }, cache: 'no-store' })).status"
        person.wait(lambda: person.later(script, url) >= 400, "the old link is over")
        person.complaints()

    def change_elsewhere(self, person: Person, book: str, name: str) -> None:
        """Save the book as another window does, with another name for its first section."""
        person.saved()
        there = person.ask("GET", f"/api/projects/{book}")
        there["project_data"]["chapters"][0]["sections"][0]["name"] = name
        person.ask("PUT", f"/api/projects/{book}", {key: there[key] for key in ("project_data", "revision")})


def length(path: Path) -> float:
    with wav.open(str(path)) as file:
        seconds: float = file.getnframes() / file.getframerate()
    return seconds


@contextmanager
def served(app: App, backend: Backend, folder: Path) -> Generator[Site]:
    """Run an app: on disk in testing mode, on Supabase with Supabase Auth."""
    with ExitStack() as stack:
        more = {"FREE_USER_QUOTA_MB": "200", "MAX_FILE_SIZE_MB": "100"}
        fake = None
        if backend == "supabase":
            fake, settings = stack.enter_context(supabase_settings())
            for email, (user, password) in DEMO_USERS.items():
                fake.add_user(email, password, user_id=user)
            more |= settings | {"TESTING_MODE": "off", "SUPABASE_JWT_SECRET": fake.jwt_secret}
        flow = Flow.from_env(environ(folder) | more)
        stack.callback(flow.close)
        live = stack.enter_context((flask_served if app == "flask" else fastapi_served)(flow))
        live.supabase = fake
        yield live


@contextmanager
def short_links(flow: Flow, lifetime: timedelta) -> Generator[None]:
    """Let links that are signed from now on live for *lifetime*."""
    before = flow.config
    flow.config = dataclasses.replace(before, links=lifetime)
    try:
        yield
    finally:
        flow.config = before
