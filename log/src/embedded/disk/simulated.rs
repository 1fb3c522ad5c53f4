//! A disk in memory that loses, tears and refuses what a real one may.
//!
//! It knows what was synchronised. A power loss keeps that, and of everything else any sectors in any order: each write
//! that was not synchronised reaches the disk sector by sector or not at all, and the directory goes back to some
//! earlier state. A process that is killed loses nothing, but then nothing more became durable either.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Access, Disk, DiskFile};

/// What a disk writes as a whole or not at all.
pub(in crate::embedded) const SECTOR_BYTES: usize = 512;

/// Chooses a number below the one given.
pub(in crate::embedded) type Choose<'a> = &'a mut dyn FnMut(u64) -> u64;

#[derive(Clone)]
struct File {
    /// What reading returns.
    current: Vec<u8>,
    /// What a power loss certainly leaves.
    durable: Vec<u8>,
    /// Writes since the last synchronisation, oldest first.
    unsynced: Vec<(usize, Vec<u8>)>,
}

#[derive(Clone, Default)]
struct State {
    files: BTreeMap<u64, File>,
    names: BTreeMap<String, u64>,
    /// The names after each change since they were last synchronised, and before the first.
    names_then: Vec<BTreeMap<String, u64>>,
    next_file: u64,
    /// Operations that change something, so far.
    operations: u64,
    fault: Option<Fault>,
    /// Bytes that files may have together.
    capacity: Option<usize>,
    on_operation: Option<Hook>,
}

/// Something that runs before an operation that changes something, with what the disk is then and the number of the
/// operation.
type Hook = Arc<dyn Fn(&SimDisk, u64) + Send + Sync>;

/// The operation that fails, counted from 0, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::embedded) struct Fault {
    pub(in crate::embedded) operation: u64,
    pub(in crate::embedded) kind: io::ErrorKind,
}

#[derive(Clone, Default)]
pub(in crate::embedded) struct SimDisk(Arc<Mutex<State>>);

struct SimFile {
    disk: SimDisk,
    id: u64,
    access: Access,
}

impl SimDisk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The disk as a process finds it that starts after this one was killed.
    pub(in crate::embedded) fn after_kill(&self) -> Self {
        let mut state = self.lock().clone();
        (state.fault, state.on_operation) = (None, None);
        Self(Arc::new(Mutex::new(state)))
    }

    /// The disk as it may be after the power was lost at this moment.
    pub(in crate::embedded) fn after_power_loss(&self, choose: Choose<'_>) -> Self {
        let disk = self.after_kill();
        let mut state = disk.lock();
        for file in state.files.values_mut() {
            file.lose_power(choose);
        }
        let count = state.names_then.len() as u64;
        if count > 0 {
            // The last of them is what stands now.
            let kept = choose(count + 1);
            if kept < count {
                state.names = state.names_then[usize::try_from(kept).unwrap()].clone();
            }
            state.names_then.clear();
        }
        drop(state);
        disk
    }

    /// Fails one operation from now on.
    pub(in crate::embedded) fn set_fault(&self, fault: Option<Fault>) {
        self.lock().fault = fault;
    }

    pub(in crate::embedded) fn set_capacity(&self, bytes: Option<usize>) {
        self.lock().capacity = bytes;
    }

    pub(in crate::embedded) fn set_hook(&self, hook: impl Fn(&Self, u64) + Send + Sync + 'static) {
        self.lock().on_operation = Some(Arc::new(hook));
    }

    pub(in crate::embedded) fn operations(&self) -> u64 {
        self.lock().operations
    }

    pub(in crate::embedded) fn used(&self) -> usize {
        let state = self.lock();
        state.names.values().map(|id| state.files[id].current.len()).sum()
    }

    /// The bytes of a file, to look at.
    pub(in crate::embedded) fn bytes_of(&self, name: &str) -> Vec<u8> {
        let state = self.lock();
        state.files[&state.names[name]].current.clone()
    }

    /// Puts other bytes into a file, durably: damage, or another disk's file. Creates the file if it is not there.
    pub(in crate::embedded) fn set_bytes(&self, name: &str, bytes: Vec<u8>) {
        let mut state = self.lock();
        let file = File { current: bytes.clone(), durable: bytes, unsynced: Vec::new() };
        let id = match state.names.get(name) {
            Some(&id) => id,
            None => state.new_id(),
        };
        state.names.insert(name.to_owned(), id);
        state.files.insert(id, file);
    }

    /// Counts an operation, and fails it if it is the one that fails.
    fn operation(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.lock();
        if let Some(hook) = state.on_operation.clone() {
            let number = state.operations;
            drop(state);
            hook(self, number);
            state = self.lock();
        }
        let number = state.operations;
        state.operations += 1;
        match state.fault {
            Some(fault) if fault.operation == number => Err(fault.kind.into()),
            _ => Ok(state),
        }
    }
}

impl State {
    fn new_id(&mut self) -> u64 {
        self.next_file += 1;
        self.next_file
    }

    fn change_names(&mut self, change: impl FnOnce(&mut BTreeMap<String, u64>)) {
        self.names_then.push(self.names.clone());
        change(&mut self.names);
    }
}

impl File {
    fn lose_power(&mut self, choose: Choose<'_>) {
        for (position, bytes) in std::mem::take(&mut self.unsynced) {
            let mut done = 0;
            while done < bytes.len() {
                let at = position + done;
                let piece = (SECTOR_BYTES - at % SECTOR_BYTES).min(bytes.len() - done);
                if choose(2) == 1 {
                    self.durable[at..at + piece].copy_from_slice(&bytes[done..done + piece]);
                }
                done += piece;
            }
        }
        self.current = self.durable.clone();
    }
}

impl Disk for SimDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.lock().names.keys().cloned().collect())
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.lock();
        let id = *state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(SimFile { disk: self.clone(), id, access }))
    }

    fn create(&self, name: &str, bytes: u32) -> io::Result<Arc<dyn DiskFile>> {
        let used = self.used();
        let mut state = self.operation()?;
        if state.capacity.is_some_and(|capacity| used + bytes as usize > capacity) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let id = state.new_id();
        let zeros = vec![0; bytes as usize];
        state.files.insert(id, File { current: zeros.clone(), durable: zeros, unsynced: Vec::new() });
        state.change_names(|names| {
            names.insert(name.to_owned(), id);
        });
        Ok(Arc::new(SimFile { disk: self.clone(), id, access: Access::Write }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.operation()?;
        let id = *state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        state.change_names(|names| {
            names.remove(from);
            names.insert(to.to_owned(), id);
        });
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.operation()?;
        if !state.names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.change_names(|names| {
            names.remove(name);
        });
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        self.operation()?.names_then.clear();
        Ok(())
    }
}

impl SimFile {
    fn with<T>(&self, state: &mut State, f: impl FnOnce(&mut File) -> T) -> T {
        f(state.files.get_mut(&self.id).expect("files stay as long as they are open"))
    }
}

impl DiskFile for SimFile {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.with(&mut self.disk.lock(), |file| file.current.len() as u64))
    }

    fn read_at(&self, position: u64, out: &mut Vec<u8>) -> io::Result<()> {
        self.with(&mut self.disk.lock(), |file| {
            let start = usize::try_from(position).unwrap().min(file.current.len());
            let end = file.current.len().min(start + out.capacity() - out.len());
            out.extend_from_slice(&file.current[start..end]);
        });
        Ok(())
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        assert_eq!(self.access, Access::Write, "a file that was opened for reading is written");
        let start = usize::try_from(position).unwrap();
        self.with(&mut *self.disk.operation()?, |file| {
            assert!(start + bytes.len() <= file.current.len(), "the log writes inside its files only");
            file.current[start..start + bytes.len()].copy_from_slice(bytes);
            file.unsynced.push((start, bytes.to_vec()));
        });
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        match self.disk.operation() {
            Ok(mut state) => {
                self.with(&mut state, |file| {
                    for (start, bytes) in file.unsynced.drain(..) {
                        file.durable[start..start + bytes.len()].copy_from_slice(&bytes);
                    }
                });
                Ok(())
            }
            Err(error) => {
                // The cruel part: the data stays readable, is not on the disk, and no later synchronisation will put
                // it there.
                self.with(&mut self.disk.lock(), |file| file.unsynced.clear());
                Err(error)
            }
        }
    }
}
