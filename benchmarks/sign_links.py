"""What signing a page of links costs, and what answering for one does, as a ratio to the bare HMACs.

    python -m benchmarks.sign_links --links=1000 --rounds=7

Links of a local store. The floor is an HMAC-SHA256 over as many bytes, in base64, for each link. "young" is the same
page asked for again: links are given again while they are young, so that players and caches may keep what they have.
"""

from __future__ import annotations

import argparse
import base64
import hmac
import tempfile
import time
from collections.abc import Callable

from audiostore import AudioStore, Unlimited, serve
from benchmarks._wire import spread

SECRET = "a secret for a benchmark"


def milliseconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began)


def one_round(count: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder, AudioStore.local(folder, quota=Unlimited(), secret=SECRET) as store:
        made = [store.put(b"RIFF", owner="bench", filename=f"{number}.wav") for number in range(count)]
        payload = bytes(len(str(store.url(made[0]))))

    # A store of its own, that has signed none of them.
    with tempfile.TemporaryDirectory() as folder, AudioStore.local(folder, quota=Unlimited(), secret=SECRET) as store:
        files = [store.put(b"RIFF", owner="bench", filename=f"{number}.wav") for number in range(count)]

        def floor() -> None:
            for _ in files:
                base64.urlsafe_b64encode(payload)
                base64.urlsafe_b64encode(hmac.digest(SECRET.encode(), payload, "sha256"))

        def verify() -> None:
            for link in links:
                with serve(store, link.rpartition("/")[2], "HEAD", {}) as reply:
                    assert reply.status == 200

        took = {"the floor": milliseconds(floor), "urls, one call": milliseconds(lambda: store.urls(files))}
        links = [str(link) for link in store.urls(files)]
        took["urls, young"] = milliseconds(lambda: store.urls(files))
        took["urls of ids, with the owner looked at"] = milliseconds(
            lambda: store.urls([file.id for file in files], owner="bench", download_as="take.wav")
        )
        took["serve, HEAD of each"] = milliseconds(verify)
        return took


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--links", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    rounds = [one_round(options.links) for _ in range(options.rounds)]
    print(f"{options.links} links, {options.rounds} rounds; least / median / most\n")
    print("| what | milliseconds | ratio to the floor of its round |\n|---|---|---|")
    for what in rounds[0]:
        ratios = spread([each[what] / each["the floor"] for each in rounds], 1)
        print(f"| {what} | {spread([each[what] for each in rounds], 1)} | {ratios} |", flush=True)


if __name__ == "__main__":
    main()
