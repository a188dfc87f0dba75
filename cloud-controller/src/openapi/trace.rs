//! The schema of a type, asked of its own `Deserialize`: it is given a thing of whatever kind it wishes for, and the wish is noted.

use std::fmt;

use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess,
    SeqAccess, Unexpected, VariantAccess, Visitor,
};
use serde_json::{Value, json};

/// JSON schema (as of OpenAPI 3.0) of what a type is read from.
pub(crate) fn schema_of<T: DeserializeOwned>() -> Value {
    let mut schema = json!({});
    // A type that refuses what it is given has said what it wished for by then.
    let _ = T::deserialize(Tracer::new(&mut schema));
    let required = required::<T>();
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

/// Fields without which the type is not read.
fn required<T: DeserializeOwned>() -> Vec<&'static str> {
    let mut given = Vec::new();
    loop {
        let mut ignored = json!({});
        let tracer = Tracer {
            schema: &mut ignored,
            only: Some(&given),
        };
        match T::deserialize(tracer) {
            Err(Refusal::Missing(field)) if !given.contains(&field) => given.push(field),
            _ => return given,
        }
    }
}

/// Why a type refused.
#[derive(Debug)]
enum Refusal {
    Missing(&'static str),
    Other,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("refused")
    }
}

impl std::error::Error for Refusal {}

impl de::Error for Refusal {
    fn custom<T: fmt::Display>(_: T) -> Refusal {
        Refusal::Other
    }

    fn invalid_type(_: Unexpected<'_>, _: &dyn de::Expected) -> Refusal {
        Refusal::Other
    }

    fn missing_field(field: &'static str) -> Refusal {
        Refusal::Missing(field)
    }
}

/// Gives, and notes.
struct Tracer<'a> {
    schema: &'a mut Value,
    /// Of an object, these fields only; all of them when absent.
    only: Option<&'a [&'static str]>,
}

impl<'a> Tracer<'a> {
    fn new(schema: &'a mut Value) -> Tracer<'a> {
        Tracer { schema, only: None }
    }
}

macro_rules! plain {
    ($($method:ident $visit:ident($($value:expr)?) $schema:tt;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
            *self.schema = json!($schema);
            visitor.$visit($($value)?)
        })*
    };
}

impl<'de> Deserializer<'de> for Tracer<'_> {
    type Error = Refusal;

    plain! {
        deserialize_any visit_unit() {};
        deserialize_ignored_any visit_unit() {};
        deserialize_unit visit_unit() {};
        deserialize_bool visit_bool(false) {"type": "boolean"};
        deserialize_i8 visit_i64(0) {"type": "integer"};
        deserialize_i16 visit_i64(0) {"type": "integer"};
        deserialize_i32 visit_i64(0) {"type": "integer", "format": "int32"};
        deserialize_i64 visit_i64(0) {"type": "integer", "format": "int64"};
        deserialize_u8 visit_u64(0) {"type": "integer", "minimum": 0};
        deserialize_u16 visit_u64(0) {"type": "integer", "minimum": 0};
        deserialize_u32 visit_u64(0) {"type": "integer", "minimum": 0};
        deserialize_u64 visit_u64(0) {"type": "integer", "minimum": 0};
        deserialize_f32 visit_f64(0.0) {"type": "number"};
        deserialize_f64 visit_f64(0.0) {"type": "number"};
        deserialize_char visit_char('a') {"type": "string"};
        deserialize_str visit_str("") {"type": "string"};
        deserialize_string visit_str("") {"type": "string"};
        deserialize_identifier visit_str("") {"type": "string"};
        deserialize_bytes visit_bytes(b"") {"type": "string", "format": "binary"};
        deserialize_byte_buf visit_bytes(b"") {"type": "string", "format": "binary"};
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        let read = visitor.visit_some(Tracer::new(self.schema));
        self.schema["nullable"] = json!(true);
        read
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        *self.schema = json!({"type": "array", "items": {}});
        visitor.visit_seq(Items {
            schema: &mut self.schema["items"],
            left: 1,
        })
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        *self.schema =
            json!({"type": "array", "items": {}, "minItems": length, "maxItems": length});
        visitor.visit_seq(Items {
            schema: &mut self.schema["items"],
            left: length,
        })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.deserialize_tuple(length, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        *self.schema = json!({"type": "object", "additionalProperties": {}});
        visitor.visit_map(Entry {
            schema: &mut self.schema["additionalProperties"],
            is_given: false,
        })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        *self.schema = json!({"type": "object", "properties": {}});
        visitor.visit_map(Fields {
            properties: &mut self.schema["properties"],
            fields: fields.iter(),
            only: self.only,
            field: "",
        })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        *self.schema = json!({"type": "string", "enum": variants});
        visitor.visit_enum(Variant(variants.first().copied().unwrap_or_default()))
    }
}

/// The members of an array, all of one schema.
struct Items<'a> {
    schema: &'a mut Value,
    left: usize,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Refusal;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Refusal> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        seed.deserialize(Tracer::new(self.schema)).map(Some)
    }
}

/// The one entry of an object whose keys are data.
struct Entry<'a> {
    schema: &'a mut Value,
    is_given: bool,
}

impl<'de> MapAccess<'de> for Entry<'_> {
    type Error = Refusal;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Refusal> {
        if std::mem::replace(&mut self.is_given, true) {
            return Ok(None);
        }
        seed.deserialize("key".into_deserializer()).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Refusal> {
        seed.deserialize(Tracer::new(self.schema))
    }
}

/// The fields of a struct, one after the other.
struct Fields<'a> {
    properties: &'a mut Value,
    fields: std::slice::Iter<'static, &'static str>,
    only: Option<&'a [&'static str]>,
    field: &'static str,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Refusal;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Refusal> {
        let only = self.only;
        let is_wanted = |field: &&&'static str| only.is_none_or(|only| only.contains(*field));
        let Some(field) = self.fields.find(is_wanted) else {
            return Ok(None);
        };
        self.field = field;
        seed.deserialize((*field).into_deserializer()).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Refusal> {
        seed.deserialize(Tracer::new(&mut self.properties[self.field]))
    }
}

/// A variant without content.
struct Variant(&'static str);

impl<'de> EnumAccess<'de> for Variant {
    type Error = Refusal;
    type Variant = Variant;

    fn variant_seed<T: DeserializeSeed<'de>>(
        self,
        seed: T,
    ) -> Result<(T::Value, Variant), Refusal> {
        let read = seed.deserialize(self.0.into_deserializer())?;
        Ok((read, self))
    }
}

impl<'de> VariantAccess<'de> for Variant {
    type Error = Refusal;

    fn unit_variant(self) -> Result<(), Refusal> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, Refusal> {
        Err(Refusal::Other)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Refusal> {
        Err(Refusal::Other)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Refusal> {
        Err(Refusal::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    #[allow(dead_code)]
    enum State {
        Up,
        Down,
    }

    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Sent {
        name: String,
        memory: Option<i64>,
        #[serde(rename = "fn", default)]
        path: String,
        tags: Option<Vec<String>>,
        vars: Option<serde_json::Map<String, Value>>,
        rules: Vec<Rule>,
        state: Option<State>,
        anything: Option<Value>,
    }

    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Rule {
        ports: u32,
    }

    #[test]
    fn a_types_own_reader_tells_its_schema() {
        let expected = json!({
            "type": "object",
            "required": ["name", "rules"],
            "properties": {
                "name": {"type": "string"},
                "memory": {"type": "integer", "format": "int64", "nullable": true},
                "fn": {"type": "string"},
                "tags": {"type": "array", "items": {"type": "string"}, "nullable": true},
                "vars": {"type": "object", "additionalProperties": {}, "nullable": true},
                "rules": {"type": "array", "items": {"type": "object", "properties": {
                    "ports": {"type": "integer", "minimum": 0},
                }}},
                "state": {"type": "string", "enum": ["up", "down"], "nullable": true},
                "anything": {"nullable": true},
            },
        });
        assert_eq!(schema_of::<Sent>(), expected);
    }

    #[test]
    fn lists_and_free_objects_have_schemas_too() {
        assert_eq!(
            schema_of::<Vec<Value>>(),
            json!({"type": "array", "items": {}})
        );
        assert_eq!(
            schema_of::<serde_json::Map<String, Value>>(),
            json!({"type": "object", "additionalProperties": {}})
        );
    }
}
