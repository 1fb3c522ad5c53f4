//! What the client library can do and its Rust crate does not offer: ids of topics, the group's generation, and reading a
//! partition without a consumer group.

#![allow(unsafe_code, reason = "the crate has no safe way to these functions of the library")]

mod reader;

use std::ffi::{CStr, CString, c_char};
use std::ptr;
use std::time::Duration;

use rdkafka::bindings as c;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::types::{RDKafka, RDKafkaErrorCode as Code};

pub(super) use reader::{PartitionReader, RawMessage};

/// An answer that is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: Code,
    pub(super) detail: String,
}

/// A topic as the brokers describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TopicInfo {
    pub(super) name: String,
    /// 128 bits that no other topic has, of whatever name and time.
    pub(super) id: [u8; 16],
    /// The same as Kafka's tools print it.
    pub(super) id_text: String,
    pub(super) partitions: Vec<PartitionInfo>,
}

/// A topic, or its name and why there is no answer about it.
pub(super) type Described = Result<TopicInfo, (String, Refusal)>;

/// A partition as the brokers describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PartitionInfo {
    pub(super) partition: u32,
    pub(super) leader: Option<i32>,
    pub(super) replicas: Vec<i32>,
    pub(super) in_sync: Vec<i32>,
}

/// Something of the library's that is given back when this is dropped.
struct Owned<T> {
    pointer: *mut T,
    give_back: unsafe extern "C" fn(*mut T),
}

impl<T> Owned<T> {
    /// None for a null pointer. The pointer must be the caller's to give back, and `give_back` the function for it.
    fn new(pointer: *mut T, give_back: unsafe extern "C" fn(*mut T)) -> Option<Self> {
        if pointer.is_null() { None } else { Some(Self { pointer, give_back }) }
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: the pointer came from the library, is not null, and is given back this once.
        unsafe { (self.give_back)(self.pointer) }
    }
}

/// A text of the library's, which may be missing.
///
/// # Safety
/// The pointer is null or a text that ends with 0 and lives during the call.
unsafe fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: not null, and a text by the caller's word.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}

/// The elements of an array of the library's.
///
/// # Safety
/// The array has `count` pointers and lives as long as the result is used.
unsafe fn elements<'a, T>(array: *mut *const T, count: usize) -> &'a [*const T] {
    if array.is_null() || count == 0 {
        return &[];
    }
    // SAFETY: not null, and that long by the caller's word.
    unsafe { std::slice::from_raw_parts(array, count) }
}

fn millis(timeout: Duration) -> i32 {
    i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX)
}

fn native<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> *mut RDKafka {
    consumer.client().native_ptr()
}

/// The cluster's id, if a broker says it in time.
pub(super) fn cluster_id<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    timeout: Duration,
) -> Option<String> {
    let client = native(consumer);
    // SAFETY: the client lives as long as the consumer; the text is ours until it is given back below.
    let id = unsafe { c::rd_kafka_clusterid(client, millis(timeout)) };
    if id.is_null() {
        return None;
    }
    // SAFETY: the library returned a text, which is given back once and not used afterwards.
    unsafe {
        let copy = text(id);
        c::rd_kafka_mem_free(client, id.cast());
        Some(copy)
    }
}

/// A consumer's place in its group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GroupPlace {
    /// The group's generation as its coordinator counts it. None while the consumer is not in the group.
    pub(super) generation: Option<u32>,
    /// Whether the group knows the consumer. Not before it has joined, nor after it has asked to leave.
    pub(super) is_member: bool,
}

/// A consumer's place in its group.
pub(super) fn group_place<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> GroupPlace {
    // SAFETY: the client lives as long as the consumer, and the result is ours.
    let metadata = unsafe { c::rd_kafka_consumer_group_metadata(native(consumer)) };
    let Some(metadata) = Owned::new(metadata, c::rd_kafka_consumer_group_metadata_destroy) else {
        return GroupPlace { generation: None, is_member: false };
    };
    // SAFETY: the metadata, and the text in it, live until the end of this function.
    unsafe {
        let generation = c::rd_kafka_consumer_group_metadata_generation_id(metadata.pointer);
        let member = text(c::rd_kafka_consumer_group_metadata_member_id(metadata.pointer));
        GroupPlace { generation: u32::try_from(generation).ok(), is_member: !member.is_empty() }
    }
}

/// Asks the brokers for topics by their names. A topic that does not exist is an answer of its own.
pub(super) fn describe_topics<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    names: &[String],
    timeout: Duration,
) -> Result<Vec<Described>, Refusal> {
    let client = native(consumer);
    let refused = |detail: &str| Refusal { code: Code::Fail, detail: detail.to_owned() };
    let names: Result<Vec<CString>, _> = names.iter().map(|name| CString::new(name.as_str())).collect();
    let names = names.map_err(|_| refused("a name with a zero byte"))?;
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    // SAFETY: the names outlive the call, which copies them; what the calls return is given back by `Owned`.
    let (topics, options, queue) = unsafe {
        (
            c::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len()),
            c::rd_kafka_AdminOptions_new(client, c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS),
            c::rd_kafka_queue_new(client),
        )
    };
    let topics = Owned::new(topics, c::rd_kafka_TopicCollection_destroy);
    let options = Owned::new(options, c::rd_kafka_AdminOptions_destroy);
    let queue = Owned::new(queue, c::rd_kafka_queue_destroy);
    let (Some(topics), Some(options), Some(queue)) = (topics, options, queue) else {
        return Err(refused("the client library has no room"));
    };
    // SAFETY: all of them live until the end of this function. The time-out is within the library's bounds, and without
    // it the library's own would apply. The event is ours, and given back after the last use of what lies in it.
    let event = unsafe {
        c::rd_kafka_AdminOptions_set_request_timeout(options.pointer, millis(timeout), ptr::null_mut(), 0);
        c::rd_kafka_DescribeTopics(client, topics.pointer, options.pointer, queue.pointer);
        c::rd_kafka_queue_poll(queue.pointer, millis(timeout + Duration::from_secs(1)))
    };
    let Some(event) = Owned::new(event, c::rd_kafka_event_destroy) else {
        return Err(Refusal { code: Code::OperationTimedOut, detail: String::new() });
    };
    // SAFETY: the event and everything it holds live until the end of this function.
    unsafe {
        let code = Code::from(c::rd_kafka_event_error(event.pointer));
        if code != Code::NoError {
            return Err(Refusal { code, detail: text(c::rd_kafka_event_error_string(event.pointer)) });
        }
        let result = c::rd_kafka_event_DescribeTopics_result(event.pointer);
        if result.is_null() {
            return Err(refused("an answer to another question"));
        }
        let mut count = 0;
        let described = c::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        Ok(elements(described, count).iter().map(|topic| topic_info(*topic)).collect())
    }
}

/// # Safety
/// The description lives during the call.
unsafe fn topic_info(topic: *const c::rd_kafka_TopicDescription_t) -> Described {
    // SAFETY: everything asked for belongs to the description, which lives by the caller's word. The library returns an
    // error object for every topic, also where there is none to report.
    unsafe {
        let name = text(c::rd_kafka_TopicDescription_name(topic));
        let error = c::rd_kafka_TopicDescription_error(topic);
        if !error.is_null() {
            let code = Code::from(c::rd_kafka_error_code(error));
            if code != Code::NoError {
                return Err((name, Refusal { code, detail: text(c::rd_kafka_error_string(error)) }));
            }
        }
        let uuid = c::rd_kafka_TopicDescription_topic_id(topic);
        let mut id = [0; 16];
        let mut id_text = String::new();
        if !uuid.is_null() {
            id[..8].copy_from_slice(&c::rd_kafka_Uuid_most_significant_bits(uuid).to_be_bytes());
            id[8..].copy_from_slice(&c::rd_kafka_Uuid_least_significant_bits(uuid).to_be_bytes());
            id_text = text(c::rd_kafka_Uuid_base64str(uuid));
        }
        let mut count = 0;
        let partitions = c::rd_kafka_TopicDescription_partitions(topic, &raw mut count);
        let partitions = elements(partitions, count).iter().map(|it| partition_info(*it)).collect();
        Ok(TopicInfo { name, id, id_text, partitions })
    }
}

/// # Safety
/// The description lives during the call.
unsafe fn partition_info(partition: *const c::rd_kafka_TopicPartitionInfo_t) -> PartitionInfo {
    // SAFETY: everything asked for belongs to the description, which lives by the caller's word.
    unsafe {
        let number = c::rd_kafka_TopicPartitionInfo_partition(partition);
        let leader = c::rd_kafka_TopicPartitionInfo_leader(partition);
        let leader = (!leader.is_null()).then(|| c::rd_kafka_Node_id(leader)).filter(|id| *id >= 0);
        let (mut replicas, mut in_sync) = (0, 0);
        let replica_nodes = c::rd_kafka_TopicPartitionInfo_replicas(partition, &raw mut replicas);
        let in_sync_nodes = c::rd_kafka_TopicPartitionInfo_isr(partition, &raw mut in_sync);
        let id = |node: &*const c::rd_kafka_Node_t| c::rd_kafka_Node_id(*node);
        PartitionInfo {
            partition: u32::try_from(number).unwrap_or_default(),
            leader,
            replicas: elements(replica_nodes, replicas).iter().map(id).collect(),
            in_sync: elements(in_sync_nodes, in_sync).iter().map(id).collect(),
        }
    }
}
