"""Move a live app's audio from one place to another, with what its projects say of it, and back if it must be."""

from audiostore.migrate.index import Index as Index
from audiostore.migrate.journals.memory import MemoryJournal as MemoryJournal
from audiostore.migrate.journals.postgres import PostgresJournal as PostgresJournal
from audiostore.migrate.journals.sqlite import SQLiteJournal as SQLiteJournal
from audiostore.migrate.migration import Migration as Migration
from audiostore.migrate.originals import Originals as Originals
from audiostore.migrate.projects import ProjectsTable as ProjectsTable
from audiostore.migrate.protocols import Change as Change
from audiostore.migrate.protocols import Journal as Journal
from audiostore.migrate.protocols import ProjectRow as ProjectRow
from audiostore.migrate.protocols import Reference as Reference
from audiostore.migrate.protocols import References as References
from audiostore.migrate.protocols import Unparsable as Unparsable
from audiostore.migrate.steps import MigrationEvent as MigrationEvent
from audiostore.migrate.steps import MigrationReport as MigrationReport
from audiostore.migrate.steps import Steps as Steps
