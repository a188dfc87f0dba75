-- Security groups of single spaces; and what apps used, one row per change of it.
-- PostgreSQL's text. COLLATE "C": names and guids are ordered by their bytes, as in SQLite.
CREATE TABLE security_group_spaces (
    group_guid TEXT COLLATE "C" NOT NULL REFERENCES security_groups (guid) ON DELETE CASCADE,
    space_guid TEXT COLLATE "C" NOT NULL REFERENCES spaces (guid) ON DELETE CASCADE,
    PRIMARY KEY (group_guid, space_guid)
);
CREATE INDEX security_group_spaces_space ON security_group_spaces (space_guid);
-- Names are those of the time: a row outlives its app.
CREATE TABLE app_usage_events (
    id BIGINT NOT NULL, guid TEXT COLLATE "C" NOT NULL UNIQUE, created_at BIGINT NOT NULL, state TEXT NOT NULL,
    memory BIGINT NOT NULL, instances BIGINT NOT NULL, app_guid TEXT COLLATE "C" NOT NULL, app_name TEXT NOT NULL,
    space_guid TEXT COLLATE "C" NOT NULL, space_name TEXT NOT NULL, org_guid TEXT COLLATE "C" NOT NULL,
    buildpack_guid TEXT COLLATE "C", buildpack_name TEXT, package_state TEXT NOT NULL
);
CREATE INDEX app_usage_events_id ON app_usage_events (id);
