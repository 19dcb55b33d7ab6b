"""The statements that make a cache, letter by letter those of layout version 3.

SQLite keeps the text of a statement without its IF NOT EXISTS, so that the tables of a file cannot
be told from those of the published worker library 0.4.0. The columns' order matters: it copies
rows between files without naming them.
"""

from __future__ import annotations

from typing import Final

VERSION_TABLE: Final = (
    'CREATE TABLE IF NOT EXISTS "version" ("version" INTEGER NOT NULL PRIMARY KEY)'
)

TABLES: Final = (
    'CREATE TABLE IF NOT EXISTS "images" ("id" TEXT NOT NULL PRIMARY KEY, "width" INTEGER NOT NULL, '
    '"height" INTEGER NOT NULL, "url" TEXT NOT NULL)',
    'CREATE TABLE IF NOT EXISTS "elements" ("id" TEXT NOT NULL PRIMARY KEY, "parent_id" TEXT, '
    '"type" VARCHAR(50) NOT NULL, "image_id" TEXT, "polygon" text, '
    '"rotation_angle" INTEGER NOT NULL, "mirrored" INTEGER NOT NULL, "initial" INTEGER NOT NULL, '
    '"worker_version_id" TEXT, "worker_run_id" TEXT, "confidence" REAL, '
    'FOREIGN KEY ("image_id") REFERENCES "images" ("id"))',
    'CREATE INDEX IF NOT EXISTS "cachedelement_image_id" ON "elements" ("image_id")',
    'CREATE TABLE IF NOT EXISTS "classifications" ("id" TEXT NOT NULL PRIMARY KEY, '
    '"element_id" TEXT NOT NULL, "class_name" TEXT NOT NULL, "confidence" REAL NOT NULL, '
    '"state" VARCHAR(10) NOT NULL, "worker_run_id" TEXT, '
    'FOREIGN KEY ("element_id") REFERENCES "elements" ("id"))',
    'CREATE INDEX IF NOT EXISTS "cachedclassification_element_id" '
    'ON "classifications" ("element_id")',
    'CREATE TABLE IF NOT EXISTS "datasets" ("id" TEXT NOT NULL PRIMARY KEY, '
    '"name" VARCHAR(255) NOT NULL, "state" VARCHAR(255) NOT NULL DEFAULT \'open\', '
    '"sets" TEXT NOT NULL)',
    'CREATE TABLE IF NOT EXISTS "dataset_elements" ("id" TEXT NOT NULL PRIMARY KEY, '
    '"element_id" TEXT NOT NULL, "dataset_id" TEXT NOT NULL, "set_name" VARCHAR(255) NOT NULL, '
    'FOREIGN KEY ("element_id") REFERENCES "elements" ("id"), '
    'FOREIGN KEY ("dataset_id") REFERENCES "datasets" ("id"))',
    'CREATE INDEX IF NOT EXISTS "cacheddatasetelement_element_id" '
    'ON "dataset_elements" ("element_id")',
    'CREATE INDEX IF NOT EXISTS "cacheddatasetelement_dataset_id" '
    'ON "dataset_elements" ("dataset_id")',
    'CREATE TABLE IF NOT EXISTS "entities" ("id" TEXT NOT NULL PRIMARY KEY, '
    '"type" VARCHAR(50) NOT NULL, "name" TEXT NOT NULL, "validated" INTEGER NOT NULL, '
    '"metas" text, "worker_run_id" TEXT)',
    'CREATE TABLE IF NOT EXISTS "transcriptions" ("id" TEXT NOT NULL PRIMARY KEY, '
    '"element_id" TEXT NOT NULL, "text" TEXT NOT NULL, "confidence" REAL, '
    '"orientation" VARCHAR(50) NOT NULL, "worker_version_id" TEXT, "worker_run_id" TEXT, '
    'FOREIGN KEY ("element_id") REFERENCES "elements" ("id"))',
    'CREATE INDEX IF NOT EXISTS "cachedtranscription_element_id" ON "transcriptions" ("element_id")',
    'CREATE TABLE IF NOT EXISTS "transcription_entities" ("transcription_id" TEXT NOT NULL, '
    '"entity_id" TEXT NOT NULL, "offset" INTEGER NOT NULL CHECK (offset >= 0), '
    '"length" INTEGER NOT NULL CHECK (length > 0), "worker_run_id" TEXT, "confidence" REAL, '
    'PRIMARY KEY ("transcription_id", "entity_id"), '
    'FOREIGN KEY ("transcription_id") REFERENCES "transcriptions" ("id"), '
    'FOREIGN KEY ("entity_id") REFERENCES "entities" ("id"))',
    'CREATE INDEX IF NOT EXISTS "cachedtranscriptionentity_transcription_id" '
    'ON "transcription_entities" ("transcription_id")',
    'CREATE INDEX IF NOT EXISTS "cachedtranscriptionentity_entity_id" '
    'ON "transcription_entities" ("entity_id")',
)
