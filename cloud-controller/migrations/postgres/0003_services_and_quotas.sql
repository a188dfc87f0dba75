-- Services, quotas of spaces, domains shared between organizations. (Number 2 is uaa's, in its own crate.)
-- PostgreSQL's text. COLLATE "C": names and guids are ordered by their bytes, as in SQLite.
-- kind: 'user_provided' today; room for 'managed'. Credentials and drain addresses hold secrets: both are sealed.
CREATE TABLE service_instances (
    id BIGINT, guid TEXT COLLATE "C" NOT NULL UNIQUE, kind TEXT NOT NULL, name TEXT NOT NULL, name_key TEXT COLLATE "C" NOT NULL,
    space_guid TEXT COLLATE "C" NOT NULL REFERENCES spaces (guid), credentials_sealed TEXT NOT NULL, syslog_drain_sealed TEXT,
    tags TEXT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT, UNIQUE (space_guid, name_key)
);
CREATE TABLE service_bindings (
    id BIGINT, guid TEXT COLLATE "C" NOT NULL UNIQUE, app_guid TEXT COLLATE "C" NOT NULL REFERENCES apps (guid) ON DELETE CASCADE,
    service_instance_guid TEXT COLLATE "C" NOT NULL REFERENCES service_instances (guid),
    created_at BIGINT NOT NULL, updated_at BIGINT, UNIQUE (app_guid, service_instance_guid)
);
CREATE INDEX service_bindings_instance ON service_bindings (service_instance_guid);
CREATE TABLE space_quota_definitions (
    id BIGINT, guid TEXT COLLATE "C" NOT NULL UNIQUE, name TEXT NOT NULL, name_key TEXT COLLATE "C" NOT NULL,
    organization_guid TEXT COLLATE "C" NOT NULL REFERENCES organizations (guid), non_basic_services_allowed BOOLEAN NOT NULL,
    total_services BIGINT NOT NULL, total_routes BIGINT NOT NULL, memory_limit BIGINT NOT NULL,
    instance_memory_limit BIGINT NOT NULL, app_instance_limit BIGINT NOT NULL,
    created_at BIGINT NOT NULL, updated_at BIGINT, UNIQUE (organization_guid, name_key)
);
ALTER TABLE spaces ADD COLUMN space_quota_definition_guid TEXT COLLATE "C" REFERENCES space_quota_definitions (guid);
-- A private domain lent to organizations that do not own it.
CREATE TABLE domain_shares (
    domain_guid TEXT COLLATE "C" NOT NULL REFERENCES domains (guid) ON DELETE CASCADE,
    organization_guid TEXT COLLATE "C" NOT NULL REFERENCES organizations (guid) ON DELETE CASCADE,
    PRIMARY KEY (domain_guid, organization_guid)
);
