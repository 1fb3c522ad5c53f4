//! JSON: written by hand into one buffer, read strictly.

use std::fmt;
use std::marker::PhantomData;

use bytes::{BufMut, BytesMut};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_path_to_error::Segment;
use smallvec::SmallVec;

use crate::problem::Problem;

/// Reads a body, which must be an object. Unknown and repeated members are refused where the type says so.
pub(crate) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Problem> {
    // Finding out where it went wrong costs, so it is done only when it did.
    let read = serde_json::from_slice(body).map_err(|error| explain::<Object<T>>(body, &error));
    read.map(|Object(read)| read)
}

/// A JSON object. A derived struct alone would also be read from a list of its members without their names.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members))
            }
        }

        from.deserialize_map(Members(PhantomData)).map(Self)
    }
}

/// Reads a list of objects, for a member of a body.
pub(crate) fn objects<'de, D, T>(from: D) -> Result<SmallVec<[T; 2]>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Elements<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Elements<T> {
        type Value = SmallVec<[T; 2]>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of objects")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
            let mut read = SmallVec::new();
            while let Some(Object(element)) = elements.next_element()? {
                read.push(element);
            }
            Ok(read)
        }
    }

    from.deserialize_seq(Elements(PhantomData))
}

fn explain<'a, T: Deserialize<'a>>(body: &'a [u8], error: &serde_json::Error) -> Problem {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
        Ok(_) => Problem::at("", error.to_string()),
        Err(error) => Problem::at(pointer(error.path()), error.inner().to_string()),
    }
}

/// RFC 6901.
fn pointer(path: &serde_path_to_error::Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } | Segment::Enum { variant: key } => {
                pointer.push('/');
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            Segment::Unknown => {}
        }
    }
    pointer
}

/// Writes JSON. Members and elements are separated by whoever calls, since nearly all of it is fixed text.
pub(crate) trait Write {
    fn text(&mut self, text: &str);
    fn number(&mut self, number: impl itoa::Integer);
    /// A string with its quotes.
    fn string(&mut self, string: &str);
}

impl Write for BytesMut {
    fn text(&mut self, text: &str) {
        self.put_slice(text.as_bytes());
    }

    fn number(&mut self, number: impl itoa::Integer) {
        self.put_slice(itoa::Buffer::new().format(number).as_bytes());
    }

    fn string(&mut self, string: &str) {
        self.put_u8(b'"');
        for byte in string.bytes() {
            match byte {
                b'"' | b'\\' => self.put_slice(&[b'\\', byte]),
                0..=0x1f => self.put_slice(format!("\\u{byte:04x}").as_bytes()),
                _ => self.put_u8(byte),
            }
        }
        self.put_u8(b'"');
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[test]
    fn whatever_string_is_written_reads_back() {
        for string in ["", "A1", "quote \" and \\", "line\nfeed\u{1}", "ünïcode 🎟"] {
            let mut out = BytesMut::new();
            out.string(string);
            assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), string);
        }
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only read")]
    struct Outer {
        #[serde(deserialize_with = "objects")]
        lines: SmallVec<[Inner; 2]>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only read")]
    struct Inner {
        quantity: u32,
    }

    #[track_caller]
    fn points_to(body: &str, pointer: &str) {
        let problem = read::<Outer>(body.as_bytes()).unwrap_err();
        assert_eq!(problem.faults[0].pointer, pointer, "{problem:?}");
    }

    #[test]
    fn a_mistake_is_pointed_to() {
        points_to(r#"{"lines":[{"quantity":1},{"quantity":1.5}]}"#, "/lines/1/quantity");
        points_to(r#"{"lines":[{"quantity":1,"a/b~":2}]}"#, "/lines/0/a~1b~0");
        // Of a repeated member the object around it is named.
        points_to(r#"{"lines":[{"quantity":1,"quantity":2}]}"#, "/lines/0");
        points_to(r#"{"lines":[{"quantity":-1}]}"#, "/lines/0/quantity");
        points_to(r#"{"lines":{}}"#, "/lines");
        points_to(r#"{"lines":[]} {}"#, "");
        // A list is no object, even if it has all that the object would have.
        points_to(r#"[[{"quantity":1}]]"#, "");
        points_to(r#"{"lines":[{"quantity":1},[1]]}"#, "/lines/1");
    }
}
