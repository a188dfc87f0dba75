-- Pages are in the order of creation; without these each page sorts the whole collection.
CREATE INDEX apps_order ON apps (id, guid);
CREATE INDEX routes_order ON routes (id, guid);
