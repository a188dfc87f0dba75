//! Bounds on outside input; docs/limits.md is made from this file.

use std::time::Duration;

/// One JSON request body of the API. Beyond it: 413, before the body is read further. Tested by: `bounds::a_json_body_is_read_up_to_its_limit`.
pub const JSON_BODY_BYTES: usize = 1024 * 1024;
/// Arrays and objects inside each other in one JSON body, the parser's own bound. Beyond it: 400 / 1001. Tested by: `json_is_read_to_a_stated_depth`.
pub const JSON_LEVELS: usize = 127;
/// A name: of an organization, space, app, quota, security group. Beyond it: 400 with the code of what is named. Tested by: `names_are_bounded_in_bytes`.
pub const NAME_BYTES: usize = 255;
/// The name of a service instance, as the original. Beyond it: 400 / 60009. Tested by: `every_rule_of_the_reference_is_kept_and_a_refusal_changes_nothing`.
pub const SERVICE_NAME_CHARACTERS: usize = 50;
/// Tags of a service instance together, as the original. Beyond it: 400 / 60015. Tested by: `every_rule_of_the_reference_is_kept_and_a_refusal_changes_nothing`.
pub const SERVICE_TAGS_CHARACTERS: usize = 255;
/// The path of a route. Beyond it: 400 / 130004. Tested by: `the_path_of_a_route_is_bounded`.
pub const ROUTE_PATH_BYTES: usize = 128;
/// The host of a route, which is one label of a DNS name. Beyond it: 400 / 210001. Tested by: `the_parts_of_a_route_follow_the_rules`.
pub const HOST_BYTES: usize = 63;
/// The path of an HTTP health check. Beyond it: 400 / 100001. Tested by: `the_path_of_a_health_check_is_bounded`.
pub const HEALTH_CHECK_PATH_BYTES: usize = 255;
/// Rules of one security group. Beyond it: 400 / 300001. Tested by: `rules_of_a_group_are_counted`.
pub const SECURITY_RULES: usize = 1000;

/// The list of files in a resource match, or beside an upload. Beyond it: 413, before more of it is read. Tested by: `bounds::a_list_of_files_is_refused_where_its_bytes_end`.
pub const RESOURCE_LIST_BYTES: usize = 64 * 1024 * 1024;
/// Files in such a list. Beyond it: 413, before anything is looked up. Tested by: `a_list_holds_so_many_files_and_no_more`.
pub const RESOURCES: usize = 200_000;
/// One file of such a list, as JSON. Beyond it: 400, before it is parsed. Tested by: `an_entry_is_bounded_before_it_is_parsed`.
pub const RESOURCE_BYTES: usize = 8 * 1024;
/// Lists of files held in memory for one user at a time. Beyond it: 503 with Retry-After. Tested by: `one_user_cannot_hold_what_is_there_for_all`.
pub const RESOURCE_LISTS_OF_USER_BYTES: usize = 80 * 1024 * 1024;
/// Lists of files held in memory for everybody together. Beyond it: 503 with Retry-After. Tested by: `one_user_cannot_hold_what_is_there_for_all`.
pub const RESOURCE_LISTS_BYTES: usize = 256 * 1024 * 1024;
/// Uploads of one user at a time. Beyond it: 503 with Retry-After, before the body is read. Tested by: `bounds::uploads_of_one_user_are_counted`.
pub const UPLOADS_OF_USER: usize = 32;
/// Uploads of everybody at a time. Beyond it: 503 with Retry-After, before the body is read. Tested by: `one_user_cannot_hold_what_is_there_for_all`.
pub const UPLOADS: usize = 256;
/// What may come in an upload besides its file: part headers and the list of files. Beyond it: 400 / 150001 by the announced length, before the body is read. Tested by: `an_upload_that_announces_too_much_is_refused_before_its_body`.
pub const UPLOAD_BESIDES_BYTES: u64 = 64 * 1024 * 1024;
/// What comes before the content of one part of an upload, which its reader keeps in memory; and a part that nobody asked for. Beyond it: 400 / 160001. Tested by: `bounds::the_head_of_a_part_is_bounded`.
pub const UPLOAD_PART_HEAD_BYTES: u64 = 256 * 1024;

/// Entries of one zip: an app's bits or a buildpack. Beyond it: 400 / 150001. Tested by: `entries_of_a_zip_are_counted_before_they_are_read`.
pub const ZIP_ENTRIES: usize = 200_000;
/// A path inside a zip or a list of files. Beyond it: 400 / 160001. Tested by: `names_inside_archives_are_bounded`.
pub const ZIP_PATH_BYTES: usize = 1024;
/// One part of such a path; no file system takes more. Beyond it: 400 / 160001. Tested by: `names_inside_archives_are_bounded`.
pub const ZIP_PART_BYTES: usize = 255;

/// What the file server of a DEA sends for `files`. Beyond it: 400 / 190001 by the announced length, else the answer breaks off. Tested by: `files::a_file_is_bounded`.
pub const FILE_BYTES: u64 = 1024 * 1024 * 1024;
/// What is read of a refusal of that server. Beyond it: the rest is not read. Tested by: `what_the_file_server_refuses_is_said_in_the_shape_that_clients_read`.
pub const FILE_REFUSAL_BYTES: usize = 4096;
/// The time that server has for a whole answer. Beyond it: 400 / 190001, or the answer breaks off. Tested by: `files::a_file_server_that_never_ends_is_left`.
pub const FILE_SECONDS: Duration = Duration::from_secs(30);
/// The time DEAs have to answer a question. Beyond it: the answer is made without them. Tested by: `a_dea_that_announced_no_address_is_not_asked_for_files`.
pub const DEA_ANSWER_SECONDS: Duration = Duration::from_secs(2);

/// Apps of one page of the bulk API. Beyond it: the page is cut, the client asks for the next. Tested by: `a_page_of_the_bulk_api_is_bounded`.
pub const BULK_APPS: u32 = 5_000;
