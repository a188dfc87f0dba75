BEGIN TRANSACTION;
CREATE TABLE _sqlx_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
);
INSERT INTO "_sqlx_migrations" VALUES(1,'controller','2026-11-22 05:36:40',1,X'F0DC7BD64B49D2BE9FE343CB2E16EA042BB7ADC7E7B142C8431DCE928694CD395A00878EFE104C809D3CDD3AD0E18483',3103436);
INSERT INTO "_sqlx_migrations" VALUES(2,'uaa','2026-11-22 05:36:40',1,X'B60AAB0906439F589F82DC8F80FE79399A638202852B40EC02799E6C598A468F368D742C0C4EF14148BE5DB50403CFC1',780338);
INSERT INTO "_sqlx_migrations" VALUES(3,'services and quotas','2026-11-22 05:36:40',1,X'B41F84B6C72EFC6330650DCA10002831F330D0EA3AFC976B4AD46A2F9052C7DDF56926F1B2F07EF7C17507DBFB02646E',1263555);
CREATE TABLE apps (
    id BIGINT, guid TEXT NOT NULL UNIQUE, name TEXT NOT NULL, name_key TEXT NOT NULL,
    space_guid TEXT NOT NULL REFERENCES spaces (guid), stack_guid TEXT NOT NULL REFERENCES stacks (guid),
    production BOOLEAN NOT NULL, buildpack TEXT, detected_buildpack TEXT, environment_sealed TEXT NOT NULL,
    memory BIGINT NOT NULL, disk_quota BIGINT NOT NULL, state TEXT NOT NULL, command TEXT, enable_ssh BOOLEAN NOT NULL,
    health_check_type TEXT NOT NULL, health_check_timeout BIGINT, package_state TEXT NOT NULL, package_hash TEXT,
    package_updated_at BIGINT, staging_task_id TEXT, staging_failed_reason TEXT, staging_failed_description TEXT,
    detected_start_command TEXT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT, UNIQUE (space_guid, name_key)
);
INSERT INTO "apps" VALUES(10,'e73341e3-c7c8-4282-b88a-64d9d30257e9','Old','old','5ad0f957-839f-444c-86b4-429c0c2bd0e0','823de1c4-de69-4807-a66d-5eefbf3e7c6e',0,NULL,NULL,'eTKq6Bt/0e4NWkemuntwDHfPOLbKxC4UldGDtzK51w30wkYmcCkt6BDjUolS',64,1024,'STOPPED',NULL,0,'port',NULL,'PENDING',NULL,NULL,NULL,NULL,NULL,'',1795325807858714,NULL);
CREATE TABLE buildpacks (
    id BIGINT, guid TEXT NOT NULL UNIQUE, name TEXT NOT NULL, name_key TEXT NOT NULL UNIQUE,
    position BIGINT NOT NULL, enabled BOOLEAN NOT NULL, locked BOOLEAN NOT NULL, filename TEXT, sha1 TEXT,
    created_at BIGINT NOT NULL, updated_at BIGINT
);
CREATE TABLE domain_shares (
    domain_guid TEXT NOT NULL REFERENCES domains (guid) ON DELETE CASCADE,
    organization_guid TEXT NOT NULL REFERENCES organizations (guid) ON DELETE CASCADE,
    PRIMARY KEY (domain_guid, organization_guid)
);
CREATE TABLE domains (
    id BIGINT, guid TEXT NOT NULL UNIQUE, name TEXT NOT NULL, name_key TEXT NOT NULL UNIQUE,
    owning_organization_guid TEXT REFERENCES organizations (guid), created_at BIGINT NOT NULL, updated_at BIGINT
);
INSERT INTO "domains" VALUES(3,'952b16a3-3257-4ebb-a8c4-4d9285e87283','apps.example.com','apps.example.com',NULL,1795325803023721,NULL);
CREATE TABLE droplets (
    guid TEXT NOT NULL UNIQUE, app_guid TEXT NOT NULL, sha1 TEXT NOT NULL, size BIGINT NOT NULL, created_at BIGINT NOT NULL
);
CREATE TABLE env_groups (name TEXT NOT NULL UNIQUE, vars_sealed TEXT NOT NULL);
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT, guid TEXT NOT NULL UNIQUE, type TEXT NOT NULL, actor TEXT NOT NULL,
    actor_type TEXT NOT NULL, actor_name TEXT, actee TEXT NOT NULL, actee_type TEXT NOT NULL, actee_name TEXT,
    timestamp BIGINT NOT NULL, metadata TEXT NOT NULL, space_guid TEXT, organization_guid TEXT
);
INSERT INTO "events" VALUES(1,'90a4a4c7-ffab-4b07-b93e-84b63f7a96cd','audit.app.create','f7cd2034-2015-4f17-8da5-7576f492b212','user','admin','e73341e3-c7c8-4282-b88a-64d9d30257e9','app','Old',1795325807858714,'{"request":{"name":"Old","space_guid":"5ad0f957-839f-444c-86b4-429c0c2bd0e0","memory":64,"instances":3,"environment_json":"PRIVATE DATA HIDDEN"}}','5ad0f957-839f-444c-86b4-429c0c2bd0e0','ec0cf893-eaa1-4e62-b92a-eac7bb603c74');
INSERT INTO "events" VALUES(2,'0c7cd015-8a4a-4f0b-b075-986fe7f0f81f','audit.app.map-route','f7cd2034-2015-4f17-8da5-7576f492b212','user','admin','e73341e3-c7c8-4282-b88a-64d9d30257e9','app','Old',1795325810135366,'{"route_guid":"05b4dad5-4aa0-401e-a18a-017f98016b1b"}','5ad0f957-839f-444c-86b4-429c0c2bd0e0','ec0cf893-eaa1-4e62-b92a-eac7bb603c74');
INSERT INTO "events" VALUES(3,'f592ede7-1caa-441d-bd26-242adab303bb','audit.user_provided_service_instance.create','f7cd2034-2015-4f17-8da5-7576f492b212','user','admin','a14362bb-2a8e-49bc-8d9f-84431c52cb9e','user_provided_service_instance','db',1795325810173185,'{"request":{"name":"db","credentials":"[PRIVATE DATA HIDDEN]","syslog_drain_url":null}}','5ad0f957-839f-444c-86b4-429c0c2bd0e0','ec0cf893-eaa1-4e62-b92a-eac7bb603c74');
INSERT INTO "events" VALUES(4,'482a65f7-d4e7-484c-b36d-70852e16ff44','audit.service_binding.create','f7cd2034-2015-4f17-8da5-7576f492b212','user','admin','8998a4c3-13d3-4d0c-a1f9-a97441e86e27','service_binding','db',1795325811164310,'{"request":{"app_guid":"e73341e3-c7c8-4282-b88a-64d9d30257e9","service_instance_guid":"a14362bb-2a8e-49bc-8d9f-84431c52cb9e"}}','5ad0f957-839f-444c-86b4-429c0c2bd0e0','ec0cf893-eaa1-4e62-b92a-eac7bb603c74');
INSERT INTO "events" VALUES(5,'646d44d4-0e6f-4749-9896-bef0f83c4e25','audit.space_quota_definition.create','f7cd2034-2015-4f17-8da5-7576f492b212','user','admin','174d9593-ea3d-490e-9e3d-27758e1eb4cd','space_quota_definition','small',1795325811263933,'{"request":{"name":"small","memory_limit":512,"total_routes":10}}',NULL,'ec0cf893-eaa1-4e62-b92a-eac7bb603c74');
CREATE TABLE feature_flags (name TEXT NOT NULL UNIQUE, enabled BOOLEAN NOT NULL, error_message TEXT);
CREATE TABLE jobs (
    guid TEXT NOT NULL UNIQUE, status TEXT NOT NULL, error_code BIGINT, error_name TEXT, error_text TEXT, created_at BIGINT NOT NULL
);
CREATE TABLE leases (name TEXT NOT NULL UNIQUE, holder TEXT NOT NULL, epoch BIGINT NOT NULL, expires_at BIGINT NOT NULL);
CREATE TABLE organizations (
    id BIGINT, guid TEXT NOT NULL UNIQUE, name TEXT NOT NULL, name_key TEXT NOT NULL UNIQUE,
    quota_definition_guid TEXT NOT NULL REFERENCES quota_definitions (guid), status TEXT NOT NULL,
    created_at BIGINT NOT NULL, updated_at BIGINT
);
INSERT INTO "organizations" VALUES(8,'ec0cf893-eaa1-4e62-b92a-eac7bb603c74','acme','acme','0547e7eb-f49a-4a33-9398-887ef72f88cb','active',1795325803400360,NULL);
CREATE TABLE processes (
    id INTEGER PRIMARY KEY AUTOINCREMENT, guid TEXT NOT NULL UNIQUE,
    app_guid TEXT NOT NULL REFERENCES apps (guid) ON DELETE CASCADE,
    version TEXT NOT NULL, instances BIGINT NOT NULL, droplet_hash TEXT, updated_at BIGINT NOT NULL
);
INSERT INTO "processes" VALUES(1,'e73341e3-c7c8-4282-b88a-64d9d30257e9','e73341e3-c7c8-4282-b88a-64d9d30257e9','e15f8695-5de9-47d8-8464-426b40f5211b',3,NULL,1795325807858714);
CREATE TABLE quota_definitions (
    id BIGINT, guid TEXT NOT NULL UNIQUE, name TEXT NOT NULL, name_key TEXT NOT NULL UNIQUE,
    non_basic_services_allowed BOOLEAN NOT NULL, total_services BIGINT NOT NULL, total_routes BIGINT NOT NULL,
    total_private_domains BIGINT NOT NULL, memory_limit BIGINT NOT NULL, instance_memory_limit BIGINT NOT NULL,
    app_instance_limit BIGINT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT
);
INSERT INTO "quota_definitions" VALUES(1,'0547e7eb-f49a-4a33-9398-887ef72f88cb','default','default',1,100,1000,-1,10240,-1,-1,1795325802995605,NULL);
CREATE TABLE roles (
    user_guid TEXT NOT NULL, kind TEXT NOT NULL, target_guid TEXT NOT NULL,
    PRIMARY KEY (target_guid, kind, user_guid)
);
INSERT INTO "roles" VALUES('f7cd2034-2015-4f17-8da5-7576f492b212','org_user','ec0cf893-eaa1-4e62-b92a-eac7bb603c74');
INSERT INTO "roles" VALUES('f7cd2034-2015-4f17-8da5-7576f492b212','org_manager','ec0cf893-eaa1-4e62-b92a-eac7bb603c74');
INSERT INTO "roles" VALUES('f7cd2034-2015-4f17-8da5-7576f492b212','space_manager','5ad0f957-839f-444c-86b4-429c0c2bd0e0');
INSERT INTO "roles" VALUES('f7cd2034-2015-4f17-8da5-7576f492b212','space_developer','5ad0f957-839f-444c-86b4-429c0c2bd0e0');
CREATE TABLE route_mappings (
    app_guid TEXT NOT NULL REFERENCES apps (guid) ON DELETE CASCADE,
    route_guid TEXT NOT NULL REFERENCES routes (guid) ON DELETE CASCADE,
    created_at BIGINT NOT NULL, PRIMARY KEY (app_guid, route_guid)
);
INSERT INTO "route_mappings" VALUES('e73341e3-c7c8-4282-b88a-64d9d30257e9','05b4dad5-4aa0-401e-a18a-017f98016b1b',1795325810135366);
CREATE TABLE routes (
    id BIGINT, guid TEXT NOT NULL UNIQUE, host TEXT NOT NULL, host_key TEXT NOT NULL, path TEXT NOT NULL, path_key TEXT NOT NULL,
    domain_guid TEXT NOT NULL REFERENCES domains (guid), space_guid TEXT NOT NULL REFERENCES spaces (guid),
    created_at BIGINT NOT NULL, updated_at BIGINT, UNIQUE (domain_guid, host_key, path_key)
);
INSERT INTO "routes" VALUES(11,'05b4dad5-4aa0-401e-a18a-017f98016b1b','old','old','','','952b16a3-3257-4ebb-a8c4-4d9285e87283','5ad0f957-839f-444c-86b4-429c0c2bd0e0',1795325809025809,NULL);
CREATE TABLE row_counter (last BIGINT NOT NULL);
INSERT INTO "row_counter" VALUES(14);
CREATE TABLE security_groups (
    id BIGINT, guid TEXT NOT NULL UNIQUE, name TEXT NOT NULL, name_key TEXT NOT NULL UNIQUE, rules TEXT NOT NULL,
    running_default BOOLEAN NOT NULL, staging_default BOOLEAN NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT
);
INSERT INTO "security_groups" VALUES(4,'100ccb29-1d63-444f-ad41-ad1c404b8b75','public_networks','public_networks','[{"protocol":"all","destination":"0.0.0.0-9.255.255.255"},{"protocol":"all","destination":"11.0.0.0-169.253.255.255"},{"protocol":"all","destination":"169.255.0.0-172.15.255.255"},{"protocol":"all","destination":"172.32.0.0-192.167.255.255"},{"protocol":"all","destination":"192.169.0.0-255.255.255.255"}]',1,1,1795325803091331,NULL);
INSERT INTO "security_groups" VALUES(5,'8e380fbb-d89f-41dc-8680-3c1f4ca4b9a2','dns','dns','[{"protocol":"tcp","destination":"0.0.0.0/0","ports":"53"},{"protocol":"udp","destination":"0.0.0.0/0","ports":"53"}]',1,1,1795325803091331,NULL);
INSERT INTO "security_groups" VALUES(6,'1ed4f5ee-a3ee-4f74-bca4-3dfd3a0c4883','allowed_by_operator','allowed_by_operator','[]',1,1,1795325803091331,NULL);
CREATE TABLE service_bindings (
    id BIGINT, guid TEXT NOT NULL UNIQUE, app_guid TEXT NOT NULL REFERENCES apps (guid) ON DELETE CASCADE,
    service_instance_guid TEXT NOT NULL REFERENCES service_instances (guid),
    created_at BIGINT NOT NULL, updated_at BIGINT, UNIQUE (app_guid, service_instance_guid)
);
INSERT INTO "service_bindings" VALUES(13,'8998a4c3-13d3-4d0c-a1f9-a97441e86e27','e73341e3-c7c8-4282-b88a-64d9d30257e9','a14362bb-2a8e-49bc-8d9f-84431c52cb9e',1795325811164310,NULL);
CREATE TABLE service_instances (
    id BIGINT, guid TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, name TEXT NOT NULL, name_key TEXT NOT NULL,
    space_guid TEXT NOT NULL REFERENCES spaces (guid), credentials_sealed TEXT NOT NULL, syslog_drain_sealed TEXT,
    tags TEXT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT, UNIQUE (space_guid, name_key)
);
INSERT INTO "service_instances" VALUES(12,'a14362bb-2a8e-49bc-8d9f-84431c52cb9e','user_provided','db','db','5ad0f957-839f-444c-86b4-429c0c2bd0e0','iRJ8QVQms6OnbRvCHZSTKXmBfdFVrrXbLWKAJuhmwIrSIm9NBW6B6f6o+2187bg8',NULL,'[]',1795325810173185,NULL);
CREATE TABLE space_quota_definitions (
    id BIGINT, guid TEXT NOT NULL UNIQUE, name TEXT NOT NULL, name_key TEXT NOT NULL,
    organization_guid TEXT NOT NULL REFERENCES organizations (guid), non_basic_services_allowed BOOLEAN NOT NULL,
    total_services BIGINT NOT NULL, total_routes BIGINT NOT NULL, memory_limit BIGINT NOT NULL,
    instance_memory_limit BIGINT NOT NULL, app_instance_limit BIGINT NOT NULL,
    created_at BIGINT NOT NULL, updated_at BIGINT, UNIQUE (organization_guid, name_key)
);
INSERT INTO "space_quota_definitions" VALUES(14,'174d9593-ea3d-490e-9e3d-27758e1eb4cd','small','small','ec0cf893-eaa1-4e62-b92a-eac7bb603c74',1,5,10,512,-1,-1,1795325811263933,NULL);
CREATE TABLE spaces (
    id BIGINT, guid TEXT NOT NULL UNIQUE, name TEXT NOT NULL, name_key TEXT NOT NULL,
    organization_guid TEXT NOT NULL REFERENCES organizations (guid), allow_ssh BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL, updated_at BIGINT, space_quota_definition_guid TEXT REFERENCES space_quota_definitions (guid), UNIQUE (organization_guid, name_key)
);
INSERT INTO "spaces" VALUES(9,'5ad0f957-839f-444c-86b4-429c0c2bd0e0','dev','dev','ec0cf893-eaa1-4e62-b92a-eac7bb603c74',1,1795325803404385,1795325812260303,'174d9593-ea3d-490e-9e3d-27758e1eb4cd');
CREATE TABLE stacks (
    id BIGINT, guid TEXT NOT NULL UNIQUE, name TEXT NOT NULL, name_key TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT
);
INSERT INTO "stacks" VALUES(2,'823de1c4-de69-4807-a66d-5eefbf3e7c6e','host','host','The host''s own system, read-only',1795325803015381,NULL);
CREATE TABLE staging_tasks (
    task_id TEXT NOT NULL UNIQUE, app_guid TEXT NOT NULL, version TEXT NOT NULL, stager_id TEXT NOT NULL,
    state TEXT NOT NULL, deadline BIGINT NOT NULL, created_at BIGINT NOT NULL
);
CREATE TABLE uaa_keys (
    kid         TEXT   NOT NULL PRIMARY KEY,
    pkcs8       TEXT   NOT NULL,
    created_at  BIGINT NOT NULL
);
INSERT INTO "uaa_keys" VALUES('a7eb818a-487c-45f8-ac20-45884529bdb1','sealed:Col0wFhY7OvDudxItMoqczjAX+dtwWDV3HQCByQ2z/WHkShMQBtuWZYUemKpOJ57h6TcHtK9CmXYGo3EiGVKr/+1pFcuTxFECr58yH/i+lYHMQ++rx4d9lzMgGrCukxPqhJ64OkJpf+2NXby/ZaDYqZ0Hx42gdB5lC5vsZe+eu36gXlp8mUXQd9cvgxjGm2M+MllP/isv599wIme5YGzUq0mOHKyFesyIGRUq9Gh4SQstPtg1pSQd163v3nungFoo2TLeLINnsT1j/6q0B3mk2HC3kjdVqgB9sTURGDDI6kRAsr9HF/OPJPC4QTnf6Cx1XwH7OPGpzEqr8Jd07eTdUX5vXOGveeGR+yV0+Duf0pk+49o85SsioQ3U9ntLpmwA0e1W29I+/TOlQV0XAKnUC+oTn8Mjeeim9JpMhrE+GJSLcyP45mn04CHGvarW/2/E7YTYzInx3bGzWmdLXFwKcPdWGEVnYYILHolyzzyxR5gkLTKJ4Ygk4XNaByEYwaUSJ8wcr+G+2qXAqukN5NuInhedZFsYGQ2vmXQX9zhY4Q/MXQY3oBoUTktBNFwX/A4ieVaOv8LarcesUY5a/cd6RWWMcIFdSdy3ABLjDlE1UYxb8f4HeLqvW9ReO+xV/rL7jVr7gebtejzl0ajv10UMd2EMx9ZKfbw/CeflVNH7zJK/eENkIo5EjES76GEpEweYJMncQFKNLTkOEN3TlSNOgbzuteLS0yzPngO3Pgc1WxBrQC1CJ8J/QbQqBn6y4388pjrHz0IKaM6alSAjKy+B1m7k0fyjW4JJupfi03kfMFaWEO52599Fdu/GamTdH4C4XdgPzVkyL/qblLDKY4Uz39oPR1OkzRnJNwcLxmDJCoYqZCh1vJ4sScGHfvTtMmlr2PGEn+3oUl3BIIS79Zj0hYxWgWqH98QZxU/17OY5W52y0A5jfgxh/6CT9nrVmcF7K7PMSe/2CSw+5+VX81jD3d4DRyIr39GTcAweSUn46sZ4dJMuTO4k2JZlU6/OS7uT33MAkLA4avk9dV2wkpBTIaEms6Wx8gNsMmG17q6+qIMzfYd9SDEVKd2O2r9NkOxNObjuFAtz2+eTdB6gWaXyhRjD/bmf8PaPMcKUGCnCcUxNjPI9Qosafl1C81pC5uZgscq4coQvgO3zSjkqk9MaMb6sIu650kMfFkXeAK01ePngnJFxQB93Jng8OTU8JrMRrDVfLvXFhdQf9DtbMEkq4TL8wlPMPujfohtEG13HrZbQX4wdRk7A/VaYNApSzf9kWYsi1k2+I1AEbCuT/UDlhPRMQH0qSjqHAxFSs14GHQ/0gQ3j6bAw7X9rcFd4YbkTnN+PrcMklHHykN8l853aL4vL5suXMMi1GiayqEeCgFKnsL3BvplMCFdzAez5lgO7uyMxieslfML6IEzjsIn5xbKmUoM3S9hsX7bl2qFDSi+GiDanx9ATnjiAGEgh+i348hY9KXHCDA0PGACUDP8YB/oNivYC9puKfpqhsMWk3BaG3LIunUhnixlU6aNc24Ilfb3YY0mlAvuVb19hoG1Ljs5whPZKPBVWkC2ebSgnutNUkADxeSLGNZdmbElqdf1tQE9ZXw+t0MFXagB5ybm66hEYBFC6l+5jiB8lvUYZoCDOF/dWcnOmECG6PuRoTCZ5bvO0ZmdDHiMcq0wkbvcIVUsnCciYtqK59wXSt7cVc9aMyraNjqVhrcjjJMjexfFc04On5/dZ+u3u2AYPnPAOkV+ug0hBrBZr4JBAlsbS/a+jaLLKOOS8PTwfPi03d36FsNEfubaEYy5r3wc9A9N3q1w4sfw0iQGw13cteFHQCdABnO52AS0kkAfK7SdImB/ZEIMbH6ZxEq/j0y9wiS1aqxRzcvCjofJ+ZrsZz/RX9ZC8FClg2F6r2mgJlFfn/Zi/oxTWcxmJIPlma3Hgi6LpdCSMFSqcX48c3Lv+YAISncr6bkY/fztRjnk+BEh/Cvl+4w+9lsGCNdg1j7DUXSi5hvp4sazrAn1T54p0/5t4QRlI3goRFqsJEubGOqimL0xkN6MX67wfFOk8hWk7kk/SrvvWQ3e4Hd4usCGNTX0ZV0sqkcHGwIXxtKZyCE0nqk7m8Dx20F2zeS2Mba2+YMfHHXXXh6W4G1AHFJNf7IB0tmrOolG0xrkeeLbCHS7zwNAh5bSMJtwz5PhZGCxmAkuP3/9Q20=',1795325802435157);
CREATE TABLE uaa_refresh_tokens (
    token_hash  TEXT   NOT NULL PRIMARY KEY,
    family      TEXT   NOT NULL,
    user_id     TEXT   NOT NULL,
    client_id   TEXT   NOT NULL,
    scope       TEXT   NOT NULL,
    expires_at  BIGINT NOT NULL,
    used_at     BIGINT
);
INSERT INTO "uaa_refresh_tokens" VALUES('L_SNwlJ8nwRczTOVEU7i6c_EWpKtb4BMkGxzmu-hxJQ','27e72b7d-9981-4f6d-b006-bef80d9cab4c','f7cd2034-2015-4f17-8da5-7576f492b212','cf','',1797917804189911,NULL);
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
INSERT INTO "uaa_users" VALUES('f7cd2034-2015-4f17-8da5-7576f492b212','admin','admin','$argon2id$v=19$m=19456,t=2,p=1$1t51NxkF0aGBIHe+NqL+jg$BO2nLbH7YhaOWpKsCR8FZkCqrtp3D31rNhqvIRmNz8A','admin','','','openid scim.me cloud_controller.read cloud_controller.write cloud_controller_service_permissions.read password.write scim.userids uaa.user approvals.me oauth.approvals cloud_controller.admin scim.read scim.write',0,0,1795325803364052);
CREATE TABLE users (
    id BIGINT, guid TEXT NOT NULL UNIQUE, username TEXT, admin BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL, updated_at BIGINT
);
INSERT INTO "users" VALUES(7,'f7cd2034-2015-4f17-8da5-7576f492b212','admin',1,1795325803364755,NULL);
CREATE INDEX roles_user ON roles (user_guid, kind);
CREATE INDEX processes_app ON processes (app_guid);
CREATE INDEX droplets_app ON droplets (app_guid, created_at);
CREATE INDEX route_mappings_route ON route_mappings (route_guid);
CREATE INDEX events_actee ON events (actee, timestamp);
CREATE INDEX events_timestamp ON events (timestamp);
CREATE INDEX staging_tasks_app ON staging_tasks (app_guid);
CREATE INDEX uaa_refresh_tokens_family ON uaa_refresh_tokens (family);
CREATE INDEX uaa_refresh_tokens_user ON uaa_refresh_tokens (user_id);
CREATE INDEX service_bindings_instance ON service_bindings (service_instance_guid);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('processes',1);
INSERT INTO "sqlite_sequence" VALUES('events',5);
COMMIT;
