UPDATE fullid SET b = 'c'
@@ UPDATE toast SET a = 2
@@ UPDATE dflt SET a = 6 WHERE id = 1
@@ UPDATE uniq SET a = 5
@@ UPDATE pk2 SET a = 7
@@ DELETE FROM pk2
@@ DELETE FROM dflt WHERE id = 1
@@ UPDATE fullid SET a = 99
@@ DELETE FROM fullid
@@ UPDATE dflt SET id = 77
@@ INSERT INTO uniq VALUES (31, 'a'), (32, 'b')
@@ ALTER TABLE uniq ADD COLUMN c int NOT NULL DEFAULT 3
@@ INSERT INTO uniq VALUES (33, 'c', 4)
@@ ALTER TABLE uniq DROP COLUMN b
@@ UPDATE uniq SET c = 5 WHERE a = 33
@@ SELECT pg_logical_emit_message(true, 'note', 'hi')
@@ SELECT pg_logical_emit_message(false, 'note', 'alone')
@@ TRUNCATE nokey
@@ UPDATE toast2 SET a = 2
@@ UPDATE toast2 SET id = 50
@@ UPDATE toast SET id = 50
@@ UPDATE nokeyfull SET n = 2.5
@@ UPDATE nokeyfull SET n = 2.5
@@ DELETE FROM nokeyfull
@@ UPDATE byindex SET t = 'u'
@@ UPDATE byindex SET b = 'c'
@@ UPDATE byindex SET id = 9
@@ DELETE FROM byindex
@@ UPDATE "we-ird.ta ble" SET "1 a-b" = 8
@@ DELETE FROM "we-ird.ta ble"
@@ UPDATE parts SET region = 'b', id = 9 WHERE region = 'a'
@@ DELETE FROM parts WHERE region = 'b' AND id = 9
@@ INSERT INTO parent VALUES (5); INSERT INTO child VALUES (5, 5); SELECT pg_logical_emit_message(true, 'within', '\x00ff'::bytea); UPDATE child SET p = 1 WHERE id = 5; DELETE FROM parent WHERE id = 5
@@ BEGIN; INSERT INTO parent VALUES (6); SAVEPOINT s; INSERT INTO parent VALUES (7); ROLLBACK TO s; INSERT INTO parent VALUES (8); COMMIT
@@ BEGIN; INSERT INTO parent VALUES (9); ROLLBACK
@@ INSERT INTO parent VALUES (10) ON CONFLICT DO NOTHING; INSERT INTO parent VALUES (10) ON CONFLICT (id) DO UPDATE SET id = 11; DELETE FROM parent WHERE id = 11; INSERT INTO parent VALUES (11)
@@ BEGIN; INSERT INTO parent VALUES (12); PREPARE TRANSACTION 'two'
@@ COMMIT PREPARED 'two'
@@ TRUNCATE parent, child RESTART IDENTITY
@@ ALTER TABLE shaped ADD COLUMN c numeric(6,2) NOT NULL DEFAULT 1.25, ADD COLUMN d timestamptz
@@ INSERT INTO shaped VALUES (3, 2, 'x', 3.5, '2024-02-29 10:00+00')
@@ ALTER TABLE shaped RENAME COLUMN b TO e
@@ UPDATE shaped SET e = 'y' WHERE id = 3
@@ ALTER TABLE shaped ALTER a TYPE bigint, ALTER c TYPE numeric(9,4), ALTER d SET DEFAULT now()
@@ UPDATE shaped SET a = 3 WHERE id = 3
@@ ALTER TABLE shaped DROP CONSTRAINT shaped_pkey, ADD PRIMARY KEY (id, a)
@@ UPDATE shaped SET a = 4 WHERE id = 3
@@ ALTER TABLE shaped ALTER c DROP NOT NULL, ALTER c DROP DEFAULT
@@ DELETE FROM shaped WHERE id = 3
@@ ALTER TYPE mood ADD VALUE 'new'
@@ INSERT INTO "we-ird.ta ble" VALUES (10, 'x', 'new', 2)
@@ CREATE TABLE later (id int PRIMARY KEY, md mood DEFAULT 'new')
@@ INSERT INTO later VALUES (1)
@@ DROP TABLE later
