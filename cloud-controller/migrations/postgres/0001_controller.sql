-- The desired state. Times are unix microseconds; *_key columns are lower-cased names; *_sealed columns are encrypted.
-- PostgreSQL's text. COLLATE "C": names and guids are ordered by their bytes, as in SQLite.
CREATE TABLE quota_definitions (
    id BIGINT, guid TEXT COLLATE "C" NOT NULL UNIQUE, name TEXT NOT NULL, name_key TEXT COLLATE "C" NOT NULL UNIQUE,
    non_basic_services_allowed BOOLEAN NOT NULL, total_services BIGINT NOT NULL, total_routes BIGINT NOT NULL,
    total_private_domains BIGINT NOT NULL, memory_limit BIGINT NOT NULL, instance_memory_limit BIGINT NOT NULL,
    app_instance_limit BIGINT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT
);
CREATE TABLE organizations (
    id BIGINT, guid TEXT COLLATE "C" NOT NULL UNIQUE, name TEXT NOT NULL, name_key TEXT COLLATE "C" NOT NULL UNIQUE,
    quota_definition_guid TEXT COLLATE "C" NOT NULL REFERENCES quota_definitions (guid), status TEXT NOT NULL,
    created_at BIGINT NOT NULL, updated_at BIGINT
);
CREATE TABLE spaces (
    id BIGINT, guid TEXT COLLATE "C" NOT NULL UNIQUE, name TEXT NOT NULL, name_key TEXT COLLATE "C" NOT NULL,
    organization_guid TEXT COLLATE "C" NOT NULL REFERENCES organizations (guid), allow_ssh BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL, updated_at BIGINT, UNIQUE (organization_guid, name_key)
);
CREATE TABLE users (
    id BIGINT, guid TEXT COLLATE "C" NOT NULL UNIQUE, username TEXT, admin BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL, updated_at BIGINT
);
CREATE TABLE roles (
    user_guid TEXT COLLATE "C" NOT NULL, kind TEXT NOT NULL, target_guid TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (target_guid, kind, user_guid)
);
CREATE INDEX roles_user ON roles (user_guid, kind);
CREATE TABLE domains (
    id BIGINT, guid TEXT COLLATE "C" NOT NULL UNIQUE, name TEXT NOT NULL, name_key TEXT COLLATE "C" NOT NULL UNIQUE,
    owning_organization_guid TEXT COLLATE "C" REFERENCES organizations (guid), created_at BIGINT NOT NULL, updated_at BIGINT
);
CREATE TABLE stacks (
    id BIGINT, guid TEXT COLLATE "C" NOT NULL UNIQUE, name TEXT NOT NULL, name_key TEXT COLLATE "C" NOT NULL UNIQUE,
    description TEXT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT
);
CREATE TABLE buildpacks (
    id BIGINT, guid TEXT COLLATE "C" NOT NULL UNIQUE, name TEXT NOT NULL, name_key TEXT COLLATE "C" NOT NULL UNIQUE,
    position BIGINT NOT NULL, enabled BOOLEAN NOT NULL, locked BOOLEAN NOT NULL, filename TEXT, sha1 TEXT,
    created_at BIGINT NOT NULL, updated_at BIGINT
);
CREATE TABLE apps (
    id BIGINT, guid TEXT COLLATE "C" NOT NULL UNIQUE, name TEXT NOT NULL, name_key TEXT COLLATE "C" NOT NULL,
    space_guid TEXT COLLATE "C" NOT NULL REFERENCES spaces (guid), stack_guid TEXT COLLATE "C" NOT NULL REFERENCES stacks (guid),
    production BOOLEAN NOT NULL, buildpack TEXT, detected_buildpack TEXT, environment_sealed TEXT NOT NULL,
    memory BIGINT NOT NULL, disk_quota BIGINT NOT NULL, state TEXT NOT NULL, command TEXT, enable_ssh BOOLEAN NOT NULL,
    health_check_type TEXT NOT NULL, health_check_timeout BIGINT, package_state TEXT NOT NULL, package_hash TEXT,
    package_updated_at BIGINT, staging_task_id TEXT, staging_failed_reason TEXT, staging_failed_description TEXT,
    detected_start_command TEXT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT, UNIQUE (space_guid, name_key)
);
-- What runs. An app's first process has the app's guid; a rolling change adds a second row for a while.
CREATE TABLE processes (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, guid TEXT COLLATE "C" NOT NULL UNIQUE,
    app_guid TEXT COLLATE "C" NOT NULL REFERENCES apps (guid) ON DELETE CASCADE,
    version TEXT NOT NULL, instances BIGINT NOT NULL, droplet_hash TEXT, updated_at BIGINT NOT NULL
);
CREATE INDEX processes_app ON processes (app_guid);
CREATE TABLE droplets (
    guid TEXT COLLATE "C" NOT NULL UNIQUE, app_guid TEXT COLLATE "C" NOT NULL, sha1 TEXT NOT NULL, size BIGINT NOT NULL, created_at BIGINT NOT NULL
);
CREATE INDEX droplets_app ON droplets (app_guid, created_at);
CREATE TABLE routes (
    id BIGINT, guid TEXT COLLATE "C" NOT NULL UNIQUE, host TEXT NOT NULL, host_key TEXT COLLATE "C" NOT NULL, path TEXT NOT NULL, path_key TEXT COLLATE "C" NOT NULL,
    domain_guid TEXT COLLATE "C" NOT NULL REFERENCES domains (guid), space_guid TEXT COLLATE "C" NOT NULL REFERENCES spaces (guid),
    created_at BIGINT NOT NULL, updated_at BIGINT, UNIQUE (domain_guid, host_key, path_key)
);
CREATE TABLE route_mappings (
    app_guid TEXT COLLATE "C" NOT NULL REFERENCES apps (guid) ON DELETE CASCADE,
    route_guid TEXT COLLATE "C" NOT NULL REFERENCES routes (guid) ON DELETE CASCADE,
    created_at BIGINT NOT NULL, PRIMARY KEY (app_guid, route_guid)
);
CREATE INDEX route_mappings_route ON route_mappings (route_guid);
CREATE TABLE events (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, guid TEXT COLLATE "C" NOT NULL UNIQUE, type TEXT NOT NULL, actor TEXT NOT NULL,
    actor_type TEXT NOT NULL, actor_name TEXT, actee TEXT NOT NULL, actee_type TEXT NOT NULL, actee_name TEXT,
    timestamp BIGINT NOT NULL, metadata TEXT NOT NULL, space_guid TEXT COLLATE "C", organization_guid TEXT COLLATE "C"
);
CREATE INDEX events_actee ON events (actee, timestamp);
CREATE INDEX events_timestamp ON events (timestamp);
CREATE TABLE jobs (
    guid TEXT COLLATE "C" NOT NULL UNIQUE, status TEXT NOT NULL, error_code BIGINT, error_name TEXT, error_text TEXT, created_at BIGINT NOT NULL
);
-- A staging is a lease: whoever drives it may die, the deadline ends it.
CREATE TABLE staging_tasks (
    task_id TEXT COLLATE "C" NOT NULL UNIQUE, app_guid TEXT COLLATE "C" NOT NULL, version TEXT NOT NULL, stager_id TEXT NOT NULL,
    state TEXT NOT NULL, deadline BIGINT NOT NULL, created_at BIGINT NOT NULL
);
CREATE INDEX staging_tasks_app ON staging_tasks (app_guid);
CREATE TABLE security_groups (
    id BIGINT, guid TEXT COLLATE "C" NOT NULL UNIQUE, name TEXT NOT NULL, name_key TEXT COLLATE "C" NOT NULL UNIQUE, rules TEXT NOT NULL,
    running_default BOOLEAN NOT NULL, staging_default BOOLEAN NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT
);
CREATE TABLE feature_flags (name TEXT NOT NULL UNIQUE, enabled BOOLEAN NOT NULL, error_message TEXT);
CREATE TABLE env_groups (name TEXT NOT NULL UNIQUE, vars_sealed TEXT NOT NULL);
CREATE TABLE leases (name TEXT NOT NULL UNIQUE, holder TEXT NOT NULL, epoch BIGINT NOT NULL, expires_at BIGINT NOT NULL);
-- One counter gives every v2 row its place in the default order, in both databases alike.
CREATE TABLE row_counter (last BIGINT NOT NULL);
INSERT INTO row_counter (last) VALUES (0);
