-- Users, signing keys and refresh tokens. Times are unix microseconds.
-- PostgreSQL's text. COLLATE "C": names and guids are ordered by their bytes, as in SQLite.
CREATE TABLE uaa_users (
    id            TEXT    NOT NULL PRIMARY KEY,
    username      TEXT    NOT NULL,
    username_key  TEXT    NOT NULL UNIQUE,
    password_hash TEXT    NOT NULL,
    email         TEXT    NOT NULL,
    given_name    TEXT    NOT NULL,
    family_name   TEXT    NOT NULL,
    groups_list   TEXT    NOT NULL,
    failures      BIGINT  NOT NULL,
    locked_until  BIGINT  NOT NULL,
    created_at    BIGINT  NOT NULL
);
CREATE TABLE uaa_keys (
    kid         TEXT   NOT NULL PRIMARY KEY,
    pkcs8       TEXT   NOT NULL,
    created_at  BIGINT NOT NULL
);
CREATE TABLE uaa_refresh_tokens (
    token_hash  TEXT   NOT NULL PRIMARY KEY,
    family      TEXT   NOT NULL,
    user_id     TEXT   NOT NULL,
    client_id   TEXT   NOT NULL,
    scope       TEXT   NOT NULL,
    expires_at  BIGINT NOT NULL,
    used_at     BIGINT
);
CREATE INDEX uaa_refresh_tokens_family ON uaa_refresh_tokens (family);
CREATE INDEX uaa_refresh_tokens_user ON uaa_refresh_tokens (user_id);
