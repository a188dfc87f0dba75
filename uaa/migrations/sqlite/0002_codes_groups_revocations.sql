-- Authorization codes (hashes only), groups without members, and how often the tokens of a user or client were revoked.
CREATE TABLE uaa_codes (
    code_hash     TEXT   NOT NULL PRIMARY KEY,
    client_id     TEXT   NOT NULL,
    user_id       TEXT   NOT NULL,
    redirect_uri  TEXT   NOT NULL,
    scope         TEXT   NOT NULL,
    expires_at    BIGINT NOT NULL
);
CREATE TABLE uaa_groups (
    name        TEXT   NOT NULL PRIMARY KEY,
    created_at  BIGINT NOT NULL
);
-- subject: 'user:ID' or 'client:ID'. A token carries the generations it was made in; older ones are refused.
CREATE TABLE uaa_revocations (
    subject     TEXT   NOT NULL PRIMARY KEY,
    generation  BIGINT NOT NULL
);
