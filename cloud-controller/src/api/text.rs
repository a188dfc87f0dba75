//! One check for every text that a client sends to be kept. It is made on the body itself, before any endpoint reads it, so that a new
//! endpoint cannot forget it: what is not on the list of free texts is a name, and names are printable.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use v2_api::{ApiError, Code};

/// Fields whose texts mean something to somebody else (a shell, an app, a person): they may hold line ends. NUL is refused there as well:
/// no database, environment or command line can carry it.
const FREE: [&str; 4] = [
    "command",
    "credentials",
    "environment_json",
    "error_message",
];
/// Where the whole body is variables.
const VARIABLES: &str = "/v2/config/environment_variable_groups/";

/// Which error a bad text is, by the beginning of the path.
const CODES: [(&str, Code); 14] = [
    ("/v2/apps", Code::AppInvalid),
    ("/v2/organizations", Code::OrganizationInvalid),
    ("/v2/spaces", Code::SpaceInvalid),
    ("/v2/routes", Code::RouteInvalid),
    ("/v2/shared_domains", Code::DomainInvalid),
    ("/v2/private_domains", Code::DomainInvalid),
    ("/v2/buildpacks", Code::BuildpackInvalid),
    ("/v2/quota_definitions", Code::QuotaDefinitionInvalid),
    (
        "/v2/space_quota_definitions",
        Code::SpaceQuotaDefinitionInvalid,
    ),
    ("/v2/security_groups", Code::SecurityGroupInvalid),
    (
        "/v2/user_provided_service_instances",
        Code::ServiceInstanceInvalid,
    ),
    ("/v2/users", Code::UserInvalid),
    ("/v2/config/feature_flags", Code::FeatureFlagInvalid),
    (VARIABLES, Code::EnvironmentVariableGroupInvalid),
];

/// Refuses a body with a text that must not be kept. A body that is not JSON passes: its reader says so.
///
/// # Errors
/// The code of what the endpoint is about, naming the field and the character.
pub(super) fn check(path: &str, json: &[u8]) -> Result<(), ApiError> {
    match first_fault(json, path.starts_with(VARIABLES)) {
        None => Ok(()),
        Some((field, why)) => Err(ApiError::with(
            code(path, &field),
            format!("the field {field:?} {why}"),
        )),
    }
}

fn code(path: &str, field: &str) -> Code {
    if path.starts_with("/v2/routes") && field == "path" {
        return Code::PathInvalid;
    }
    CODES
        .iter()
        .find(|(prefix, _)| path.starts_with(prefix))
        .map_or(Code::MessageParseError, |(_, code)| *code)
}

fn first_fault(json: &[u8], free: bool) -> Option<(String, Unfit)> {
    let mut path = Vec::new();
    let mut fault = None;
    let walk = Walk {
        path: &mut path,
        fault: &mut fault,
        free,
    };
    // What ends the walk early is a fault, which is noted, or no JSON.
    let _ = walk.deserialize(&mut serde_json::Deserializer::from_slice(json));
    fault
}

/// A character that may not stand in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unfit(char);

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let point = u32::from(self.0);
        match self.0 {
            '\0' => f.write_str("holds the character NUL, which cannot be stored; leave it out"),
            c if c.is_control() => {
                write!(f, "holds the control character U+{point:04X}; leave it out")
            }
            _ => write!(
                f,
                "holds the invisible character U+{point:04X}, with which one text looks like another; leave it out"
            ),
        }
    }
}

/// What keeps a text from being a name.
pub(crate) fn unfit_name(text: &str) -> Option<Unfit> {
    text.chars()
        .find(|c| c.is_control() || is_invisible(*c))
        .map(Unfit)
}

fn unfit(text: &str, free: bool) -> Option<Unfit> {
    match free {
        true => text.contains('\0').then_some(Unfit('\0')),
        false => unfit_name(text),
    }
}

/// Characters that show nothing or turn the text around them: Unicode's format characters, its `Default_Ignorable_Code_Point`, line
/// separators, the blank letters of Hangul and Braille.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}'
        | '\u{8e2}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Goes through a JSON text and keeps nothing of it.
struct Walk<'a> {
    path: &'a mut Vec<String>,
    fault: &'a mut Option<(String, Unfit)>,
    free: bool,
}

impl Walk<'_> {
    fn look_at<E: serde::de::Error>(&mut self, text: &str, free: bool) -> Result<(), E> {
        let Some(why) = unfit(text, free) else {
            return Ok(());
        };
        *self.fault = Some((self.path.join("."), why));
        Err(E::custom(why))
    }

    fn inner(&mut self, free: bool) -> Walk<'_> {
        Walk {
            path: self.path,
            fault: self.fault,
            free,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(mut self, text: &str) -> Result<(), E> {
        let free = self.free;
        self.look_at(text, free)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        let free = self.free;
        while items.next_element_seed(self.inner(free))?.is_some() {}
        Ok(())
    }

    /// Keys are names wherever they stand: those of variables too.
    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<(), A::Error> {
        while let Some(key) = entries.next_key::<Cow<'de, str>>()? {
            let free = self.free || self.path.is_empty() && FREE.contains(&&*key);
            self.path.push(key.chars().take(100).collect());
            self.look_at::<A::Error>(&key, false)?;
            entries.next_value_seed(self.inner(free))?;
            self.path.pop();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(path: &str, json: &str) -> Result<(), (u32, String)> {
        check(path, json.as_bytes()).map_err(|error| (error.row().code, error.description))
    }

    #[test]
    fn names_hold_no_control_and_no_invisible_characters() {
        for bad in [
            "\\u0000",
            "\\u0007",
            "\\r\\n",
            "\\t",
            "\\u007f",
            "\\u0085",
            "\\u00ad",
            "\\u200b",
            "\\u200d",
            "\\u2028",
            "\u{202e}",
            "\\u2066",
            "\\u2069",
            "\\ufeff",
            "\\udb40\\udc41",
            "\\u3164",
            "\\ufe0f",
            "\\u061c",
            "\\u2800",
        ] {
            let (code, text) =
                verdict("/v2/apps", &format!("{{\"name\":\"a{bad}b\"}}")).expect_err("refused");
            assert_eq!(code, 100_001, "{bad:?}");
            assert!(text.contains("\"name\""), "{text}");
        }
        for good in [
            "web",
            "Grüße aus Köln",
            "日本語",
            "🚀 app",
            "a\\\\u0000b",
            "x\\/y",
        ] {
            assert_eq!(
                verdict("/v2/apps", &format!("{{\"name\":\"{good}\"}}")),
                Ok(())
            );
        }
    }

    #[test]
    fn free_texts_hold_anything_but_nul() {
        for (path, body) in [
            ("/v2/apps/x", r#"{"command":"a\nb\t\u001b[0m"}"#),
            (
                "/v2/apps/x",
                r#"{"environment_json":{"A":"x\r\n\u202e","B":{"c":["\n"]}}}"#,
            ),
            (
                "/v2/user_provided_service_instances",
                r#"{"credentials":{"pem":"-\n-"}}"#,
            ),
            ("/v2/config/feature_flags/x", r#"{"error_message":"a\nb"}"#),
            (
                "/v2/config/environment_variable_groups/running",
                r#"{"A":"x\ny"}"#,
            ),
            // The reader of the body says what is wrong with these.
            ("/v2/apps", r#"{"name":"#),
            ("/v2/apps", "\u{0}"),
        ] {
            assert_eq!(verdict(path, body), Ok(()), "{body}");
        }
        for (path, body, code, field) in [
            (
                "/v2/apps/x",
                r#"{"command":"a\u0000b"}"#,
                100_001,
                "command",
            ),
            (
                "/v2/apps/x",
                r#"{"environment_json":{"A":"\u0000"}}"#,
                100_001,
                "environment_json.A",
            ),
            (
                "/v2/apps/x",
                r#"{"environment_json":{"A\nB":"1"}}"#,
                100_001,
                "A\\nB",
            ),
            (
                "/v2/apps/x",
                r#"{"environment_json":{"A":{"b":["\u0000"]}}}"#,
                100_001,
                "A.b",
            ),
            (
                "/v2/config/environment_variable_groups/staging",
                r#"{"A":"\u0000"}"#,
                380_001,
                "\"A\"",
            ),
            ("/v2/routes", r#"{"path":"/a\r\nb"}"#, 130_004, "path"),
            ("/v2/routes", r#"{"host":"a\u202eb"}"#, 210_001, "host"),
            (
                "/v2/something/new",
                r#"{"x":{"command":"\n"}}"#,
                1001,
                "x.command",
            ),
            ("/v2/resource_match", r#"["a\u0000"]"#, 1001, "NUL"),
        ] {
            let (found, text) = verdict(path, body).expect_err(body);
            assert_eq!(found, code, "{body}");
            assert!(text.contains(field), "{text}");
        }
    }

    #[test]
    fn every_endpoint_that_takes_a_body_has_a_code_of_its_own_or_the_general_one() {
        for (prefix, expected) in CODES {
            assert_eq!(code(prefix, "name").row().code, expected.row().code);
        }
    }
}
