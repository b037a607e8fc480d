"""What goes wrong with the app's own tracking when several do it at once, or do much of it. R01 to R03."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from tests.postgres.databases import Database
from tests.postgres.old import ALICE, RECORD, OldBackend, call, called, committed, reservation

MB = 2**20
CLIENTS = 16
READS = "select pg_stat_get_xact_tuples_returned(%s::regclass) + pg_stat_get_xact_tuples_fetched(%s::regclass)"


class TestCheckingFirst:
    """R01: check, then upload, then record."""

    def test_all_who_looked_at_once_got_in(self, hand_made: Database) -> None:
        old, looked = OldBackend(hand_made), Barrier(CLIENTS)

        def uploads(_: int) -> bool:
            fits = old.fits(ALICE, 100)
            looked.wait(30)
            if fits:
                old.records(ALICE, 100)
            return fits

        with ThreadPoolExecutor(CLIENTS) as pool:
            assert all(pool.map(uploads, range(CLIENTS)))
        stored = hand_made.value("select sum(file_size_mb) from public.file_uploads")
        assert stored == 100 * CLIENTS, "of 500"

    def test_as_many_get_in_as_fit(self, upgraded: Database) -> None:
        ready = Barrier(CLIENTS)

        def reserves(_: int) -> str:
            asked = reservation(ALICE, 50 * MB)
            ready.wait(30)
            return str(call(upgraded, "reserve", request=asked)["status"])

        with ThreadPoolExecutor(CLIENTS) as pool:
            told = sorted(pool.map(reserves, range(CLIENTS)))
        assert told == ["ok"] * 10 + ["quota_exceeded"] * (CLIENTS - 10)


class TestCountingTogether:
    """R02: a SUM does not see what others have not committed yet."""

    def record_two_at_once(self, database: Database) -> None:
        with (
            ThreadPoolExecutor(1) as pool,
            database.acting("service_role") as first,
            database.acting("service_role") as second,
        ):
            first.execute(RECORD, [ALICE, 100, f"{ALICE}/p/1"])
            waits = pool.submit(second.execute, RECORD.encode(), [ALICE, 100, f"{ALICE}/p/2"])
            while not database.value("select count(*) from pg_locks where not granted"):
                assert not waits.done()
            first.commit()
            waits.result(30)

    def test_the_first_was_lost(self, hand_made: Database) -> None:
        self.record_two_at_once(hand_made)
        assert OldBackend(hand_made).used(ALICE) == 100

    def test_both_count(self, upgraded: Database) -> None:
        self.record_two_at_once(upgraded)
        assert OldBackend(upgraded).used(ALICE) == 200

    def test_however_many_there_are(self, upgraded: Database) -> None:
        def records(_: int) -> None:
            for _ in range(5):
                OldBackend(upgraded).records(ALICE, 1)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(records, range(8)))
        assert committed(upgraded, ALICE) == 40 * MB
        assert OldBackend(upgraded).used(ALICE) == 40


class TestGrowing:
    """R03: what one more file costs, by the rows that are read for it."""

    def rows_read(self, database: Database, files: int) -> int:
        database.run(
            "insert into public.file_uploads (user_id, project_id, filename, file_size_mb, storage_path)"
            f" select '{ALICE}', 'p', 'f', 0.01, '{ALICE}/p/' || number from generate_series(1, %s) as number",
            files,
        )
        database.run("analyze public.file_uploads")
        with database.acting("service_role") as connection:
            connection.execute(RECORD, [ALICE, 1, f"{ALICE}/p/one more"])
            ((read,),) = connection.execute(READS, ["public.file_uploads"] * 2).fetchall()
            return int(read)

    def test_all_files_of_a_user_were_read_for_each_new_one(self, hand_made: Database) -> None:
        assert self.rows_read(hand_made, 300) >= 300

    @pytest.mark.parametrize("files", [500, 3000])
    def test_a_new_file_reads_no_others(self, upgraded: Database, files: int) -> None:
        assert self.rows_read(upgraded, files) <= 3

    def test_a_reservation_reads_no_files(self, upgraded: Database) -> None:
        self.rows_read(upgraded, 3000)
        with upgraded.acting("service_role") as connection:
            assert called(connection, "reserve", request=reservation(ALICE, 1))["status"] == "ok"
            ((read,),) = connection.execute(READS, ["public.file_uploads"] * 2).fetchall()
        assert read <= 3
