-- Which spaces have sent a file of an app themselves: a digest that somebody names proves nothing, what was sent does.
CREATE TABLE resource_owners (
    space_guid TEXT NOT NULL, sha1 TEXT NOT NULL, size BIGINT NOT NULL, PRIMARY KEY (space_guid, sha1)
);
CREATE INDEX resource_owners_sha1 ON resource_owners (sha1);
