-- Apps in the order of their names are not sorted for each page; routes of one space are found without a look at all others.
CREATE INDEX apps_name ON apps (name_key, guid);
CREATE INDEX routes_space ON routes (space_guid);
