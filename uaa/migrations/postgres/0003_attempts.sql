-- Attempts at passwords by the hash of the name, whether anybody has it or not: counted before they are tested. Times are unix microseconds.
-- What stands in uaa_users (failures, locked_until) is not used any more.
-- PostgreSQL's text.
CREATE TABLE uaa_attempts (
    account       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    counted       BIGINT NOT NULL,
    locked_until  BIGINT NOT NULL,
    last_at       BIGINT NOT NULL
);
CREATE INDEX uaa_attempts_last ON uaa_attempts (last_at);
