use std::sync::Mutex;
use std::thread::JoinHandle;

use crossbeam_channel::{TryRecvError, bounded, unbounded};
use holdfast_contracts::LogId;

use super::*;

/// Long enough for a slow machine; nothing waits that long unless it is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// A disk that says what it is told to say.
#[derive(Default)]
struct Disk {
    room: u64,
    /// What the database says to the next flushes.
    flushes: VecDeque<Trouble>,
    looked: u64,
    written: u64,
    flushed: u64,
}

#[derive(Clone)]
struct Fake(Arc<Mutex<Disk>>);

impl Fake {
    fn with<R>(&self, change: impl FnOnce(&mut Disk) -> R) -> R {
        change(&mut self.0.lock().expect("nobody panics with it"))
    }
}

impl Target for Fake {
    fn room(&self) -> u64 {
        self.with(|disk| {
            disk.looked += 1;
            disk.room
        })
    }

    fn ready(&self) -> Result<(), Trouble> {
        Ok(())
    }

    fn write(&self, _: WriteBatch) -> Result<(), Trouble> {
        self.with(|disk| disk.written += 1);
        Ok(())
    }

    fn flush(&self) -> Result<(), Trouble> {
        self.with(|disk| match disk.flushes.pop_front() {
            Some(trouble) => Err(trouble),
            None => {
                disk.flushed = disk.written;
                Ok(())
            }
        })
    }
}

struct Running {
    disk: Fake,
    jobs: Sender<Job>,
    waits_for_room: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Running {
    fn new(room: u64) -> Self {
        let disk = Fake(Arc::new(Mutex::new(Disk { room, ..Disk::default() })));
        let (jobs, inbox) = unbounded();
        let waits_for_room = Arc::new(AtomicBool::new(false));
        let retry = Duration::from_millis(1);
        let writer = Writer::new(disk.clone(), inbox, retry, Arc::clone(&waits_for_room), Spares::new());
        Self { disk, jobs, waits_for_room, thread: std::thread::spawn(move || writer.run()) }
    }

    fn commit(&self, partition: u32) -> Receiver<Result<Anchor, StoreError>> {
        let (done, written) = bounded(1);
        let anchor = Anchor::beginning(LogId::default(), 4);
        let commit = Commit::new(PartitionId(partition), anchor, done);
        self.jobs.send(Job::Write(StoreId(0), Box::new(commit))).expect("the writer is there");
        written
    }

    /// The writer has looked for room a few times more.
    fn wait_for_tries(&self) {
        let since = self.disk.with(|disk| disk.looked);
        let began = std::time::Instant::now();
        while self.disk.with(|disk| disk.looked) < since + 3 {
            assert!(began.elapsed() < PATIENCE, "it does not try again");
            std::thread::yield_now();
        }
    }

    fn end(self) {
        self.jobs.send(Job::End).expect("the writer is there");
        self.thread.join().expect("it does not panic");
    }
}

fn told(written: &Receiver<Result<Anchor, StoreError>>) -> Result<Anchor, StoreError> {
    written.recv_timeout(PATIENCE).expect("it is told")
}

const PLENTY: u64 = 1 << 40;

#[test]
fn a_checkpoint_without_room_waits_until_there_is() {
    let running = Running::new(ROOM_LEFT);
    let written = running.commit(0);
    running.wait_for_tries();
    assert_eq!(written.try_recv().err(), Some(TryRecvError::Empty));
    assert!(running.waits_for_room.load(Ordering::Acquire));
    assert_eq!(running.disk.with(|disk| disk.written), 0, "the log may need the room");
    running.disk.with(|disk| disk.room = PLENTY);
    told(&written).expect("it is written");
    assert_eq!(running.disk.with(|disk| disk.flushed), 1);
    assert!(!running.waits_for_room.load(Ordering::Acquire));
    running.end();
}

#[test]
fn a_flush_that_found_no_room_is_tried_again() {
    let running = Running::new(PLENTY);
    running.disk.with(|disk| disk.flushes.extend([Trouble::Full, Trouble::Full]));
    let written = running.commit(0);
    told(&written).expect("it is written");
    assert_eq!(running.disk.with(|disk| (disk.written, disk.flushed)), (1, 1), "and not written twice");
    running.end();
}

#[test]
fn any_other_error_is_told_at_once_to_all_who_wait() {
    let running = Running::new(ROOM_LEFT);
    let (one, other) = (running.commit(0), running.commit(1));
    running.wait_for_tries();
    running.disk.with(|disk| {
        disk.flushes.push_back(Trouble::Broken(StoreError::Damaged("a test".to_owned())));
        disk.room = PLENTY;
    });
    for written in [one, other] {
        assert!(matches!(told(&written), Err(StoreError::Damaged(_))));
    }
    running.end();
}

#[test]
fn who_loads_a_partition_waits_for_no_room_and_no_older_checkpoint_comes_after() {
    let running = Running::new(0);
    let (one, other) = (running.commit(0), running.commit(1));
    let (done, passed) = bounded(1);
    running.jobs.send(Job::Barrier(PartitionId(0), done)).expect("the writer is there");
    passed.recv_timeout(PATIENCE).expect("it does not wait for the disk");
    told(&one).expect_err("it is given up");
    assert_eq!(other.try_recv().err(), Some(TryRecvError::Empty), "other partitions wait on");
    running.disk.with(|disk| disk.room = PLENTY);
    told(&other).expect("it is written");
    assert_eq!(running.disk.with(|disk| disk.written), 1);
    running.end();
}

#[test]
fn an_end_does_not_wait_for_room() {
    let running = Running::new(0);
    let written = running.commit(0);
    running.end();
    told(&written).expect_err("it was not written");
}
