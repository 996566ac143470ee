//! One document, or one item of a list, read key by key: items are handed on while the list is read, and of an object that nobody
//! asks for nothing is kept.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};

use super::reading::{Reading, Stopped};

/// What a kind ends with whose objects are lists.
const LIST: &str = "List";

/// Reads one node of a stream; what it is goes to the reading.
pub(super) struct Node<'a, 'r> {
    pub(super) reading: &'a mut Reading<'r>,
    /// What the list says that this is an item of, for items that do not say it.
    pub(super) typed: Option<(&'a str, &'a str)>,
}

/// What `items` of an object were.
enum Items {
    Absent,
    Null,
    /// Handed on, but for those that do not say what they are, each with its number.
    Read(Vec<(Option<usize>, Value)>),
    /// No list.
    Odd(&'static str),
}

impl<'de> DeserializeSeed<'de> for Node<'_, '_> {
    type Value = Option<Value>;

    /// An item that says neither kind nor version is given back, as long as its list has not said them.
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Value>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

macro_rules! other {
    ($($visit:ident($type:ty) => $what:expr;)*) => {
        $(fn $visit<E: serde::de::Error>(self, _: $type) -> Result<Self::Value, E> {
            self.other($what)
        })*
    };
}

impl Node<'_, '_> {
    fn other<E: serde::de::Error>(self, what: &'static str) -> Result<Option<Value>, E> {
        self.reading.add_other(what).map_err(stop)?;
        Ok(None)
    }

    /// Whether nobody asks for what this is, as far as it is known.
    fn is_foreign(&self, object: &Map<String, Value>) -> bool {
        let text = |field| object.get(field).and_then(Value::as_str);
        let (Some(api_version), Some(kind)) = (text("apiVersion"), text("kind")) else { return false };
        !kind.ends_with(LIST) && !is_answer(kind) && !self.reading.is_wanted(api_version, kind)
    }
}

impl<'de> Visitor<'de> for Node<'_, '_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<Value>, A::Error> {
        let (mut object, mut items, mut is_foreign) = (Map::new(), Items::Absent, false);
        while let Some(key) = map.next_key::<String>()? {
            if is_foreign {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            if object.contains_key(&key) || key == "items" && !matches!(items, Items::Absent) {
                return Err(duplicate(&key));
            }
            let kind = object.get("kind").and_then(Value::as_str);
            if key == "items" && kind.is_none_or(|kind| kind.ends_with(LIST)) {
                items = map.next_value_seed(ItemsOf { reading: &mut *self.reading, list: &object })?;
            } else {
                let value = map.next_value_seed(Plain { is_metadata: key == "metadata" })?;
                let is_head = key == "kind" || key == "apiVersion";
                // The client of Python writes what the items of a list do not say.
                if !(is_head && value.is_null()) {
                    object.insert(key, value);
                    is_foreign = is_head && self.is_foreign(&object);
                }
            }
        }
        if let Some((api_version, kind)) = self.typed {
            if !object.contains_key("kind") {
                object.insert("kind".to_owned(), kind.into());
            }
            object.entry("apiVersion").or_insert_with(|| api_version.into());
        } else if self.reading.is_in_list() && !object.contains_key("kind") && !object.contains_key("apiVersion") {
            return Ok(Some(object.into()));
        }
        let reading = self.reading;
        finish(reading, object, items).map_err(stop)?;
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Option<Value>, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        self.other("it is a list")
    }

    // Templates often render to nothing but a comment.
    fn visit_unit<E: serde::de::Error>(self) -> Result<Option<Value>, E> {
        if self.reading.is_in_list() { self.other("it is null") } else { Ok(None) }
    }

    other! {
        visit_bool(bool) => "it is a boolean";
        visit_i64(i64) => "it is a number";
        visit_u64(u64) => "it is a number";
        visit_f64(f64) => "it is a number";
        visit_str(&str) => "it is text";
    }
}

/// Hands an object on when all of it is known.
fn finish(reading: &mut Reading<'_>, mut object: Map<String, Value>, items: Items) -> Result<(), Stopped> {
    let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let has_name = object.get("metadata").is_some_and(|metadata| !metadata["name"].is_null());
    let is_list = match &items {
        Items::Absent | Items::Null => !has_name,
        Items::Read(_) | Items::Odd(_) => true,
    } && kind.ends_with(LIST);
    match items {
        Items::Odd(what) if is_list => reading.refuse(&object, format!("items is not a list but {what}")),
        Items::Read(_) if is_list && is_wanted_list(reading, &api_version, &kind) && rest_of_list(&object).is_some() => {
            reading.refuse(&object, rest_of_list(&object).unwrap_or_default())
        }
        Items::Read(unnamed) if is_list => {
            let of = kind.strip_suffix(LIST).unwrap_or_default();
            let outer = reading.begin_list();
            for (number, mut item) in unnamed {
                reading.place.item = number;
                if let Some(entries) = item.as_object_mut().filter(|_| !of.is_empty()) {
                    entries.insert("kind".to_owned(), of.into());
                    entries.insert("apiVersion".to_owned(), api_version.as_str().into());
                }
                reading.add_object(item)?;
            }
            reading.end_list(outer);
            Ok(())
        }
        _ if is_list => Ok(()),
        Items::Read(_) | Items::Odd(_) if !kind.is_empty() && reading.is_wanted(&api_version, &kind) => {
            reading.refuse(&object, "it has items, and is no list".to_owned())
        }
        Items::Null => {
            object.insert("items".to_owned(), Value::Null);
            reading.add_object(object.into())
        }
        _ => reading.add_object(object.into()),
    }
}

/// Whether a kind is that of an answer of the server without objects in it, or may mean a list.
fn is_answer(kind: &str) -> bool {
    matches!(kind, "Status" | "Table") || kind.eq_ignore_ascii_case(LIST)
}

/// Whether somebody wants what a list may have in it.
fn is_wanted_list(reading: &Reading<'_>, api_version: &str, kind: &str) -> bool {
    let of = kind.strip_suffix(LIST).unwrap_or_default();
    of.is_empty() || reading.is_wanted(api_version, of)
}

/// What a list says of objects that are not in it, because the server was asked for a part only.
fn rest_of_list(list: &Map<String, Value>) -> Option<String> {
    let metadata = list.get("metadata")?;
    let count = metadata["remainingItemCount"].as_u64().filter(|count| *count > 0);
    let has_more = metadata["continue"].as_str().is_some_and(|text| !text.is_empty());
    let missing =
        count.map(|count| format!("{count} more are missing")).or(has_more.then(|| "more are missing".to_owned()))?;
    Some(format!("it is a part of a list, and {missing}: write all of it, with kubectl get and without a limit"))
}

/// Reads the items of a list.
struct ItemsOf<'a, 'r> {
    reading: &'a mut Reading<'r>,
    list: &'a Map<String, Value>,
}

impl<'de> DeserializeSeed<'de> for ItemsOf<'_, '_> {
    type Value = Items;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Items, D::Error> {
        deserializer.deserialize_any(self)
    }
}

macro_rules! odd {
    ($($visit:ident($type:ty) => $what:expr;)*) => {
        $(fn $visit<E>(self, _: $type) -> Result<Items, E> {
            Ok(Items::Odd($what))
        })*
    };
}

impl<'de> Visitor<'de> for ItemsOf<'_, '_> {
    type Value = Items;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Items, A::Error> {
        let text = |field| self.list.get(field).and_then(Value::as_str);
        let typed = text("apiVersion").zip(text("kind").and_then(|kind| kind.strip_suffix(LIST)));
        let typed = typed.filter(|(_, kind)| !kind.is_empty());
        let (reading, mut unnamed) = (self.reading, Vec::new());
        let outer = reading.begin_list();
        loop {
            reading.next_item();
            let Some(item) = items.next_element_seed(Node { reading: &mut *reading, typed })? else { break };
            unnamed.extend(item.map(|item| (reading.place.item, item)));
        }
        reading.end_list(outer);
        Ok(Items::Read(unnamed))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Items, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Items::Odd("an object"))
    }

    fn visit_unit<E>(self) -> Result<Items, E> {
        Ok(Items::Null)
    }

    odd! {
        visit_bool(bool) => "a boolean";
        visit_i64(i64) => "a number";
        visit_u64(u64) => "a number";
        visit_f64(f64) => "a number";
        visit_str(&str) => "text";
    }
}

/// Reads any value, in which no key stands twice.
#[derive(Clone, Copy, Default)]
struct Plain {
    /// Managed fields are the server's book-keeping, and half of many objects.
    is_metadata: bool,
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
        while let Some(item) = items.next_element_seed(Self::default())? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if self.is_metadata && key == "managedFields" {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            match object.entry(key) {
                Entry::Occupied(entry) => return Err(duplicate(entry.key())),
                Entry::Vacant(entry) => drop(entry.insert(map.next_value_seed(Self::default())?)),
            }
        }
        Ok(object.into())
    }
}

fn duplicate<E: serde::de::Error>(key: &str) -> E {
    E::custom(format_args!("key {key:?} stands twice"))
}

fn stop<E: serde::de::Error>(_: Stopped) -> E {
    E::custom("not read to its end")
}
