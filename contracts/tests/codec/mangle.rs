//! Rewrites a record into another valid encoding of the same value, as another client, or a later version, might write it.
//!
//! Fields change places (repeated ones keep their order among themselves), fields no reader of today knows are strewn
//! in at every depth, varints are written longer than they need be, and packed lists are sometimes taken apart.

/// Which fields of a message are messages, and the first number that no version has used.
pub(crate) struct Schema {
    nested: &'static [(u64, &'static Schema)],
    packed: &'static [u64],
    unused: u64,
}

const fn leaf(unused: u64) -> Schema {
    Schema { nested: &[], packed: &[], unused }
}

const fn node(nested: &'static [(u64, &'static Schema)], unused: u64) -> Schema {
    Schema { nested, packed: &[], unused }
}

pub(crate) static COMMAND_BATCH: Schema = node(&[(4, &COMMAND)], 16);
static COMMAND: Schema = node(
    &[
        (1, &RESERVE),
        (2, &ABOUT),
        (3, &CONFIRM),
        (4, &ABOUT),
        (5, &EXTEND),
        (6, &SET_STOCK),
        (7, &ADJUST_STOCK),
        (8, &DEFINE_SALE),
        (9, &SALE),
        (10, &PAUSE_SALE),
        (11, &SALE),
        (12, &TICK),
        (13, &ACTIVATE_RULES),
    ],
    14,
);
static RESERVE: Schema = node(&[(3, &LINE)], 6);
static LINE: Schema = leaf(3);
static ABOUT: Schema = leaf(3);
static CONFIRM: Schema = leaf(4);
static EXTEND: Schema = leaf(5);
static SET_STOCK: Schema = leaf(8);
static ADJUST_STOCK: Schema = leaf(7);
static DEFINE_SALE: Schema = Schema { nested: &[(3, &TERMS)], packed: &[4], unused: 5 };
static TERMS: Schema = leaf(11);
static SALE: Schema = leaf(2);
static PAUSE_SALE: Schema = leaf(3);
static TICK: Schema = leaf(3);
static ACTIVATE_RULES: Schema = leaf(4);

pub(crate) static DECISION_BATCH: Schema = node(&[(7, &EVENT), (8, &DECISION), (9, &ONE_NUMBER)], 16);
static DECISION: Schema = node(
    &[
        (3, &RESERVED),
        (4, &WAITING),
        (5, &REFUSED),
        (6, &MOVED),
        (7, &STOCK_CHANGED),
        (8, &SALE_CHANGED),
        (9, &ONE_NUMBER),
    ],
    10,
);
static RESERVED: Schema = node(&[(2, &GRANTED)], 6);
static GRANTED: Schema = leaf(4);
static WAITING: Schema = node(&[(1, &GRANTED)], 6);
static REFUSED: Schema = leaf(4);
static MOVED: Schema = node(&[(3, &GRANTED)], 6);
static STOCK_CHANGED: Schema = leaf(9);
static SALE_CHANGED: Schema = leaf(3);
static ONE_NUMBER: Schema = leaf(2);
static EVENT: Schema = node(&[(3, &EXPIRED), (4, &OFFERED), (5, &ONE_NUMBER), (6, &ONE_NUMBER)], 7);
static EXPIRED: Schema = node(&[(1, &GRANTED)], 3);
static OFFERED: Schema = node(&[(2, &GRANTED)], 3);

/// A small generator of numbers, so that a record is mangled the same way each time a failure is replayed.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

#[derive(Clone, Copy)]
enum Value<'a> {
    Varint(u64),
    Fixed(&'a [u8]),
    Bytes(&'a [u8]),
}

/// Another encoding of the same message.
pub(crate) fn mangle(message: &[u8], schema: &Schema, dice: &mut Dice) -> Vec<u8> {
    let mut fields = Vec::new();
    let mut rest = message;
    while !rest.is_empty() {
        let tag = varint(&mut rest);
        let value = match tag & 7 {
            0 => Value::Varint(varint(&mut rest)),
            1 => Value::Fixed(take(&mut rest, 8)),
            2 => {
                let len = varint(&mut rest);
                Value::Bytes(take(&mut rest, usize::try_from(len).expect("a length of our own")))
            }
            _ => panic!("the record to mangle has wire type {}", tag & 7),
        };
        fields.push((tag >> 3, value));
    }
    let mut out = Vec::new();
    while !fields.is_empty() {
        if dice.one_in(6) {
            put_unknown(&mut out, schema, dice);
        }
        let any = usize::try_from(dice.below(fields.len() as u64)).expect("an index");
        let number = fields[any].0;
        let first = fields.iter().position(|field| field.0 == number).expect("it is there");
        let (_, value) = fields.remove(first);
        put_field(&mut out, number, value, schema, dice);
    }
    if dice.one_in(6) {
        put_unknown(&mut out, schema, dice);
    }
    out
}

fn put_field(out: &mut Vec<u8>, number: u64, value: Value<'_>, schema: &Schema, dice: &mut Dice) {
    match value {
        Value::Varint(n) => {
            put_varint(out, number << 3, dice);
            put_varint(out, n, dice);
        }
        Value::Fixed(bytes) => {
            put_varint(out, number << 3 | 1, dice);
            out.extend_from_slice(bytes);
        }
        Value::Bytes(bytes) => {
            if schema.packed.contains(&number) && dice.one_in(2) {
                let mut rest = bytes;
                while !rest.is_empty() {
                    put_varint(out, number << 3, dice);
                    put_varint(out, varint(&mut rest), dice);
                }
                return;
            }
            let nested = schema.nested.iter().find(|(of, _)| *of == number);
            let body = nested.map_or_else(|| bytes.to_vec(), |(_, schema)| mangle(bytes, schema, dice));
            put_varint(out, number << 3 | 2, dice);
            put_varint(out, body.len() as u64, dice);
            out.extend_from_slice(&body);
        }
    }
}

fn put_unknown(out: &mut Vec<u8>, schema: &Schema, dice: &mut Dice) {
    let number =
        schema.unused + [0, 1, 100, 5_000, 100_000][usize::try_from(dice.below(5)).expect("an index")];
    let wire_type = [0, 1, 2, 5][usize::try_from(dice.below(4)).expect("an index")];
    put_varint(out, number << 3 | wire_type, dice);
    match wire_type {
        0 => {
            let n = dice.below(u64::MAX);
            put_varint(out, n, dice);
        }
        1 => out.extend_from_slice(&[7; 8]),
        2 => {
            let len = dice.below(200);
            put_varint(out, len, dice);
            out.resize(out.len() + usize::try_from(len).expect("a length"), 0xa5);
        }
        _ => out.extend_from_slice(&[7; 4]),
    }
}

/// Writes a varint, now and then with zero bits to spare.
fn put_varint(out: &mut Vec<u8>, mut n: u64, dice: &mut Dice) {
    while n >= 0x80 {
        out.push(n.to_le_bytes()[0] | 0x80);
        n >>= 7;
    }
    let last = n.to_le_bytes()[0];
    if n < 0x80 && out.last().is_none_or(|byte| *byte < 0x80) && dice.one_in(10) {
        out.extend_from_slice(&[last | 0x80, 0x80, 0]);
    } else {
        out.push(last);
    }
}

fn varint(rest: &mut &[u8]) -> u64 {
    let mut n = 0;
    for shift in (0..).step_by(7) {
        let byte = rest[0];
        *rest = &rest[1..];
        n |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    n
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> &'a [u8] {
    let (head, tail) = rest.split_at(len);
    *rest = tail;
    head
}
