//! Any value, as the files have it.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};

/// Reads any value, in which no key stands twice.
#[derive(Clone, Copy)]
pub(super) enum Plain {
    /// A whole object.
    Object,
    /// Its metadata. Managed fields are left out: they are the server's book-keeping, and half of many objects.
    Metadata,
    /// Anything else.
    Value,
}

impl Plain {
    /// Reads a field of an object.
    pub(super) fn field(key: &str) -> Self {
        if key == "metadata" { Self::Metadata } else { Self::Value }
    }

    fn within(self, key: &str) -> Self {
        if matches!(self, Self::Object) { Self::field(key) } else { Self::Value }
    }
}

impl<'de> DeserializeSeed<'de> for Plain {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Plain {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Self::Value)? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if matches!(self, Self::Metadata) && key == "managedFields" {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let seed = self.within(&key);
            match object.entry(key) {
                Entry::Occupied(entry) => return Err(duplicate(entry.key())),
                Entry::Vacant(entry) => drop(entry.insert(map.next_value_seed(seed)?)),
            }
        }
        Ok(object.into())
    }
}

pub(super) fn duplicate<E: serde::de::Error>(key: &str) -> E {
    E::custom(format_args!("key {key:?} stands twice"))
}
