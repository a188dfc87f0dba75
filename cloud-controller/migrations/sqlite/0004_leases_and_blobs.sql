-- Stagings have a driver: the controller that talks to the stager. While it lives it renews its lease; a dead one's are taken over.
ALTER TABLE staging_tasks ADD COLUMN driver TEXT NOT NULL DEFAULT '';
ALTER TABLE staging_tasks ADD COLUMN driven_until BIGINT NOT NULL DEFAULT 0;
-- Blobs of app files that no package holds. Nobody is told any more that we have them; later they are deleted.
CREATE TABLE condemned_blobs (sha1 TEXT NOT NULL UNIQUE, since BIGINT NOT NULL);
