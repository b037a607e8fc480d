"""The process that decodes: what it gets and what not, how it ends, and where it comes from."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from audiostore import UnsupportedAudio
from audiostore.audio import processes
from audiostore.audio.isolation import Bounds, run
from audiostore.errors import StorageFull, Unavailable
from tests.audio_processing.family import children, is_there, servers, until
from tests.audio_processing.signals import ROOT, TAKE

KINDS = ["forked", "started"]
NO_ANSWER = "import os; os._exit(3)"


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Each of the two ways to a process, with nothing left of it before and after."""
    monkeypatch.setattr(processes, "FORKS", request.param == "forked")
    processes.stop()
    yield request.param
    processes.stop()


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(processes, "FORKS", True)
    processes.stop()
    yield
    processes.stop()


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Work:
    return Work(tmp_path, monkeypatch)


class Work:
    """Lets a process do something else than decode."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
        monkeypatch.setattr(processes, "WORKER", "other_work")
        monkeypatch.setattr(processes, "SERVER", "other_server")

    def __call__(self, program: str) -> None:
        lines = program.replace("\n", "\n    ")
        (self.folder / "other_work.py").write_text(
            f"def main():\n    {lines}\nif __name__ == '__main__':\n    main()\n"
        )
        server = "from audiostore.audio import forkserver\nimport other_work\nforkserver.main(other_work.main)\n"
        (self.folder / "other_server.py").write_text(server)


def probe(**options: Any) -> dict[str, Any]:
    return run("probe", [TAKE], {"exact": False}, bounds=Bounds(), **options)


def told(program: str, work: Work) -> str:
    """Give what *program* assigns to ``found``, in the process."""
    answer = 'os.write(1, json.dumps({"done": {"found": found}}).encode() + b"\\n")'
    work(f"import json, os\nos.read(0, 65536)\n{program}\n{answer}")
    return str(probe()["found"])


# --- both kinds -------------------------------------------------------------------------------------------------------


def test_it_tells_what_a_file_is(kind: str) -> None:
    assert [probe()["info"]["codec"] for _ in range(3)] == ["pcm_s16le"] * 3


def test_it_gets_nothing_of_ours(kind: str, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPABASE_SERVICE_KEY", "very secret")
    found = told("found = [sorted(os.environ), os.getcwd()]", work)
    assert found.replace("'LC_CTYPE', ", "") == "[['MALLOC_ARENA_MAX', 'PYTHONIOENCODING', 'PYTHONPATH'], '/']"


def test_it_holds_nothing_open_but_its_channel(kind: str, work: Work) -> None:
    program = "found = sorted(os.readlink(f'/proc/self/fd/{each}')[:6] for each in '012')\n"
    program += "found += sorted(set(os.listdir('/proc/self/fd')) - {'0', '1', '2'})[1:]"  # one is of the listing itself
    assert told(program, work) == "['/dev/n', 'socket', 'socket']"


def test_what_progress_raises_ends_it_and_goes_through(kind: str, work: Work, tmp_path: Path) -> None:
    class Enough(Exception):
        pass

    work(f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(600)")

    def stop(share: float) -> None:
        if (tmp_path / "pid").exists() and (tmp_path / "pid").read_text():
            raise Enough

    with pytest.raises(Enough):
        probe(progress=stop)
    assert not is_there(int((tmp_path / "pid").read_text()))


def test_one_that_takes_too_long_is_over_when_that_is_told(kind: str, work: Work, tmp_path: Path) -> None:
    work(f"import os\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\nwhile True: pass")
    with pytest.raises(UnsupportedAudio) as error:
        run("probe", [TAKE], {}, bounds=Bounds(timeout=timedelta(seconds=1.5)))
    assert error.value.code == "timeout"
    assert not is_there(int((tmp_path / "pid").read_text()))


def test_a_machine_that_can_start_none_is_not_the_files_fault(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with pytest.raises((Unavailable, FileNotFoundError)):
        probe()


@pytest.mark.parametrize("program", [NO_ANSWER, "import sys; sys.exit(3)", "raise ValueError", "pass"])
def test_one_that_ends_without_an_answer_is_told(kind: str, program: str, work: Work) -> None:
    work(program)
    with pytest.raises(Unavailable, match="without an answer"):
        probe()


def test_one_that_ends_before_it_has_read_a_long_request_is_told(kind: str, work: Work) -> None:
    work(NO_ANSWER)
    with pytest.raises(Unavailable, match="without an answer"):
        run("probe", [TAKE], {"long": "x" * (4 << 20)}, bounds=Bounds())


def test_one_that_never_reads_a_long_request_takes_too_long(kind: str, work: Work) -> None:
    work("import time; time.sleep(600)")
    with pytest.raises(UnsupportedAudio) as error:
        run("probe", [TAKE], {"long": "x" * (4 << 20)}, bounds=Bounds(timeout=timedelta(seconds=1)))
    assert error.value.code == "timeout"


@pytest.mark.parametrize(("ended", "code"), [(signal.SIGSEGV, "crashed"), (signal.SIGXCPU, "timeout")])
def test_a_decoder_that_crashes_refuses_the_file(kind: str, ended: signal.Signals, code: str, work: Work) -> None:
    work(f"import os; os.kill(os.getpid(), {int(ended)})")
    with pytest.raises(UnsupportedAudio) as error:
        probe()
    assert error.value.code == code


def test_a_full_disk_is_not_the_files_fault(kind: str, work: Work) -> None:
    work("""import os; os.read(0, 65536); os.write(1, b'{"errno": 28, "failed": "No space left on device"}\\n')""")
    with pytest.raises(StorageFull):
        probe()


@pytest.mark.parametrize(
    "answer", ["hello", "5", "[]", '{"share": "x"}', '{"refused": [1]}', '{"errno": 99999999999999}', "[" * 100_000]
)
def test_an_answer_without_sense_refuses_the_file(kind: str, answer: str, work: Work) -> None:
    (work.folder / "answer").write_text(answer + "\n")
    work(f"import os; os.read(0, 65536); os.write(1, open({str(work.folder / 'answer')!r}, 'rb').read())")
    with pytest.raises(UnsupportedAudio) as error:
        probe()
    assert error.value.code == "crashed"


def test_a_crash_is_told_at_once_though_somebody_else_holds_the_channel(
    kind: str, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []
    pair = socket.socketpair

    def hold() -> Any:
        made = pair()
        held.extend(os.dup(each.fileno()) for each in made)  # as a process that is forked just now does
        return made

    monkeypatch.setattr(socket, "socketpair", hold)
    work(f"import os; os.kill(os.getpid(), {int(signal.SIGSEGV)})")
    began = time.monotonic()
    with pytest.raises(UnsupportedAudio) as error:
        probe()
    assert (error.value.code, time.monotonic() - began < 30) == ("crashed", True)
    for each in held:
        os.close(each)


def test_the_longest_timeout_is_one(kind: str) -> None:
    assert run("probe", [TAKE], {"exact": False}, bounds=Bounds(timeout=timedelta.max))["info"]


def test_a_blocked_signal_keeps_nobody(kind: str) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGXCPU})
    try:
        began = time.monotonic()
        assert probe()["info"]
        assert time.monotonic() - began < 5
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_many_at_once_get_one_each(kind: str) -> None:
    with ThreadPoolExecutor(24) as pool:
        asked = [pool.submit(probe) for _ in range(48)]
    assert [each.result()["info"]["codec"] for each in asked] == ["pcm_s16le"] * 48


# --- the one that others are forked from ------------------------------------------------------------------------------


def test_one_serves_all_and_is_there_again_when_it_was_killed(forked: None) -> None:
    probe()
    (first,) = servers()
    probe()
    assert servers() == [first]
    os.kill(first, signal.SIGKILL)
    probe()
    (second,) = servers()
    assert second != first
    processes.stop()
    assert servers() == []


def test_one_that_can_not_stay_is_told(forked: None, work: Work) -> None:
    work("pass")
    (work.folder / "other_server.py").write_text("raise SystemExit")
    with pytest.raises(Unavailable, match="ended twice") as error:
        probe()
    assert error.value.retryable


def test_what_is_decoded_when_it_is_killed_can_be_tried_again(forked: None, work: Work, tmp_path: Path) -> None:
    work(f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(600)")
    failed: list[Exception] = []

    def decode() -> None:
        try:
            probe()
        except Unavailable as error:
            failed.append(error)

    thread = threading.Thread(target=decode)
    thread.start()
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    pid = int((tmp_path / "pid").read_text())
    (server,) = (each for each in children() if pid in children(each))
    os.kill(server, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)  # real work would end by itself, having read that its channel is closed
    thread.join(20)
    assert [error.retryable for error in failed if isinstance(error, Unavailable)] == [True]


def test_one_that_is_halted_amid_decoding_dies_with_what_it_was_forked_from(
    forked: None, work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_GRACE", 0.5)
    work(f"import os\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\nwhile True: pass")
    halted: list[int] = []

    def halt(share: float) -> None:
        if not halted and (tmp_path / "pid").exists() and (pid := (tmp_path / "pid").read_text()):
            halted.extend(each for each in children() if int(pid) in children(each))
            os.kill(halted[0], signal.SIGSTOP)

    with pytest.raises(UnsupportedAudio, match="too long"):
        run("probe", [TAKE], {}, bounds=Bounds(timeout=timedelta(seconds=2)), progress=halt)
    until(lambda: not is_there(halted[0]) and not is_there(int((tmp_path / "pid").read_text())))


@pytest.mark.skipif(os.geteuid() != 0, reason="who is nobody yet can give nothing up")
def test_an_app_that_gives_up_its_rights_decodes_without_them(forked: None) -> None:
    done = ran("""
server = lambda: open(f"/proc/{processes._server._process.pid}/status").read()
probe()
os.umask(0o077)
probe()
print("0077" in server())
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
try:
    probe()
except Exception as error:  # who is nobody may not even read the recording, or the interpreter
    pass
else:
    print("Uid:\\t65534" in server())
""")
    assert (set(done.stdout.split()), done.returncode) == ({"True"}, 0), done.stderr


def test_one_that_was_halted_keeps_nobody(forked: None) -> None:
    probe()
    (server,) = servers()
    os.kill(server, signal.SIGSTOP)
    processes.stop()
    assert not is_there(server)
    assert probe()["info"]["codec"] == "pcm_s16le"


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_whole_group_does_not_end_it(forked: None, sent: signal.Signals) -> None:
    probe()
    (server,) = servers()
    os.kill(server, sent)
    probe()
    assert servers() == [server]


PROGRAM = """
import os, sys, time
from audiostore.audio import processes
from audiostore.audio.isolation import Bounds, run
processes.FORKS = True
def probe():
    return run("probe", [__import__("pathlib").Path(sys.argv[1])], {"exact": False}, bounds=Bounds())["info"]["codec"]
"""


def ran(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", PROGRAM + program, TAKE],
        env={"PATH": "", "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_forked_app_process_has_its_own(forked: None) -> None:
    done = ran("""
print(probe(), flush=True)
pid = os.fork()
if not pid:
    print(probe(), processes._server._process.pid != 0, flush=True)
    sys.exit()
os.waitpid(pid, 0)
print(probe(), flush=True)
""")
    assert (done.stdout.split(), done.stderr) == (["pcm_s16le", "pcm_s16le", "True", "pcm_s16le"], "")


def test_an_app_without_input_and_output_has_one_too(forked: None, tmp_path: Path) -> None:
    told = tmp_path / "told"
    done = ran(f"""
for number in (0, 1, 2):
    os.close(number)
codecs = " ".join(probe() for _ in range(2))
open({str(told)!r}, "w").write(codecs)
""")
    assert (told.read_text(), done.returncode) == ("pcm_s16le pcm_s16le", 0)


def test_a_forked_process_that_decodes_nothing_ends_nothing_of_the_others(forked: None) -> None:
    done = ran("""
probe()
first = processes._server._process.pid
pid = os.fork()
if not pid:
    sys.exit()
os.waitpid(pid, 0)
print(probe(), processes._server._process.pid == first)
""")
    assert (done.stdout.split(), done.stderr) == (["pcm_s16le", "True"], "")


def test_it_ends_with_its_app_that_was_killed_amid_decoding(forked: None, tmp_path: Path) -> None:
    (tmp_path / "other_work.py").write_text("def main():\n    __import__('time').sleep(600)\n")
    server = "from audiostore.audio import forkserver\nimport other_work\nforkserver.main(other_work.main)\n"
    (tmp_path / "other_server.py").write_text(server)
    program = f"""
sys.path.insert(0, {str(tmp_path)!r})
processes.SERVER = "other_server"
probe()
"""
    app = subprocess.Popen(
        [sys.executable, "-c", PROGRAM + program, TAKE], env={"PATH": "", "PYTHONPATH": str(ROOT / "src")}
    )
    try:
        until(lambda: any(children(each) for each in children(app.pid)))
        (server_pid,) = children(app.pid)
        (decoder,) = children(server_pid)
    finally:
        app.kill()
        app.wait()
    until(lambda: not is_there(server_pid) and not is_there(decoder))
