//! Arrays that may be bigger than memory should be: small ones live on the heap, big ones in a mapped file
//! without a name.
//!
//! What is mapped counts as memory of the process only while it is touched. [`Scratch::at`] notes where an
//! array is touched, and gives its memory back to the page cache when it was touched in many places; the
//! kernel writes that out and drops it when memory is short.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};

use bytemuck::Pod;
use memmap2::{MmapMut, UncheckedAdvice};
use rustix::fs::{FallocateFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Context, Error};

/// Bytes up to which an array that is gone through in some order stays on the heap.
pub(crate) const COLD: usize = 512 << 10;
/// The same for one that is touched everywhere all the time: each touch of what is not mapped takes a page
/// fault.
pub(crate) const HOT: usize = 28 << 20;
/// The kernel maps that much around a place that is touched, as a power of two.
const AROUND: u32 = 16;
/// Places an array is touched in until its memory is given back: 4 MiB.
const TOUCHES: u32 = 64;

/// A growable array. Of elements without destructor and padding; more than `u32::MAX` are refused.
#[derive(Debug)]
pub(crate) struct Scratch<T> {
    /// Where its file goes; `None`: it stays on the heap whatever its size.
    dir: Option<PathBuf>,
    /// Bytes from which on it lives there.
    spill: usize,
    heap: Vec<T>,
    mapped: Option<Mapped>,
    of: PhantomData<T>,
}

#[derive(Debug)]
struct Mapped {
    file: File,
    map: MmapMut,
    /// Elements.
    len: usize,
    /// A bit for each place that was touched since the last release, and how many there are.
    touched: Vec<Cell<u64>>,
    touches: Cell<u32>,
}

impl<T: Pod> Scratch<T> {
    /// An array that stays on the heap up to `spill` bytes: [`COLD`] or [`HOT`].
    pub(crate) fn new(dir: Option<&Path>, spill: usize) -> Scratch<T> {
        Scratch { dir: dir.map(Path::to_owned), spill, heap: Vec::new(), mapped: None, of: PhantomData }
    }

    /// An element that is there.
    pub(crate) fn at(&self, i: u32) -> &T {
        self.touch(i as usize);
        &self[i as usize]
    }

    /// The same to be changed.
    pub(crate) fn at_mut(&mut self, i: u32) -> &mut T {
        self.touch(i as usize);
        &mut self[i as usize]
    }

    /// Notes that this element is about to be touched.
    pub(crate) fn touch(&self, i: usize) {
        let Some(mapped) = &self.mapped else { return };
        let place = (i * size_of::<T>()) >> AROUND;
        let Some(word) = mapped.touched.get(place / 64) else { return };
        let bit = 1 << (place % 64);
        if word.get() & bit == 0 {
            if mapped.touches.get() >= TOUCHES {
                self.release();
            }
            word.set(word.get() | bit);
            mapped.touches.set(mapped.touches.get() + 1);
        }
    }

    /// Adds an element; its position.
    pub(crate) fn push(&mut self, element: T) -> Result<u32, Error> {
        self.extend(std::slice::from_ref(&element))
    }

    /// Adds elements; the position of the first.
    ///
    /// # Errors
    /// The host's, and [`Error::Limit`].
    pub(crate) fn extend(&mut self, elements: &[T]) -> Result<u32, Error> {
        let at = self.len();
        let len = at.checked_add(elements.len()).filter(|&len| len < u32::MAX as usize);
        let len = len.ok_or_else(|| Error::Limit("the image has too many files".into()))?;
        if self.mapped.is_none() {
            if self.dir.is_none() || len * size_of::<T>() <= self.spill {
                self.heap.extend_from_slice(elements);
                return Ok(at as u32);
            }
            self.spill()?;
        }
        self.reserve(len)?;
        if let Some(mapped) = &mut self.mapped {
            mapped.len = len;
        }
        self.touch(at);
        self[at..].copy_from_slice(elements);
        Ok(at as u32)
    }

    /// Gives its memory back to the page cache; nothing is lost.
    #[allow(unsafe_code)]
    pub(crate) fn release(&self) {
        if let Some(mapped) = &self.mapped {
            // SAFETY: the mapping is a shared one of a file, so its contents stay in the page cache and are
            // there again at the next access.
            let result = unsafe { mapped.map.unchecked_advise(UncheckedAdvice::DontNeed) };
            if let Err(e) = result {
                tracing::debug!("memory is kept: {e}");
            }
            mapped.touched.iter().for_each(|w| w.set(0));
            mapped.touches.set(0);
        }
    }

    /// Moves the elements from the heap to a file.
    fn spill(&mut self) -> Result<(), Error> {
        let Some(dir) = &self.dir else { return Ok(()) };
        let file = nameless(dir)?;
        let map =
            grow(&file, (self.spill * 2).next_multiple_of(64 << 10)).context("enlarging a file in", dir)?;
        let heap = std::mem::take(&mut self.heap);
        let touched = bits(map.len());
        self.mapped = Some(Mapped { file, map, len: heap.len(), touched, touches: Cell::new(0) });
        self.copy_from_slice(&heap);
        Ok(())
    }

    /// Makes room for `len` elements in all.
    fn reserve(&mut self, len: usize) -> Result<(), Error> {
        let (Some(mapped), Some(dir)) = (&mut self.mapped, &self.dir) else { return Ok(()) };
        let (wanted, present) = (len * size_of::<T>(), mapped.map.len());
        if wanted > present {
            let size = wanted.max(present + present / 2).next_multiple_of(64 << 10);
            mapped.map = grow(&mapped.file, size).context("enlarging a file in", dir)?;
            // A fresh mapping has nothing in memory.
            mapped.touched = bits(size);
            mapped.touches.set(0);
        }
        Ok(())
    }
}

impl<T: Pod> Deref for Scratch<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match &self.mapped {
            // A mapping begins at a page, and its length was made for `len` elements.
            Some(m) => bytemuck::cast_slice(&m.map[..m.len * size_of::<T>()]),
            None => &self.heap,
        }
    }
}

impl<T: Pod> DerefMut for Scratch<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        match &mut self.mapped {
            Some(m) => bytemuck::cast_slice_mut(&mut m.map[..m.len * size_of::<T>()]),
            None => &mut self.heap,
        }
    }
}

fn bits(bytes: usize) -> Vec<Cell<u64>> {
    vec![Cell::new(0); (bytes >> AROUND) / 64 + 1]
}

/// A file that goes with its descriptor.
fn nameless(dir: &Path) -> Result<File, Error> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR;
    match rustix::fs::open(dir, flags | OFlags::TMPFILE, mode) {
        Ok(fd) => Ok(fd.into()),
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT | Errno::INVAL) => {
            let path = dir.join(format!("s-{:016x}", rand::random::<u64>()));
            let file = rustix::fs::open(&path, flags | OFlags::CREATE | OFlags::EXCL, mode);
            let file = file.context("creating", &path)?.into();
            std::fs::remove_file(&path).context("unlinking", &path)?;
            Ok(file)
        }
        Err(e) => Err(Error::io("creating a file in", dir, e)),
    }
}

/// Makes the file that long and maps it. Its blocks are reserved: writing to a hole of a mapped file when the disk is full
/// would end the process with SIGBUS.
#[allow(unsafe_code)]
fn grow(file: &File, size: usize) -> io::Result<MmapMut> {
    let old = file.metadata()?.len();
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, size as u64) {
        Ok(()) => {}
        Err(Errno::OPNOTSUPP) => {
            use std::io::{Read, Seek, Write};
            let mut end = file;
            end.seek(io::SeekFrom::End(0))?;
            io::copy(&mut io::repeat(0).take(size as u64 - old), &mut end)?;
            end.flush()?;
        }
        Err(e) => return Err(e.into()),
    }
    // SAFETY: the file has no name and its descriptor is not handed out, so nobody else changes or truncates
    // it; the one mapping before this is dropped by the caller before it uses the new one.
    unsafe { MmapMut::map_mut(file) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_stays_in_memory_or_not() {
        let dir = tempfile::tempdir().unwrap();
        for place in [Some(dir.path()), None] {
            let mut array: Scratch<u64> = Scratch::new(place, COLD);
            for i in 0..300_000u64 {
                assert_eq!(array.push(i * 3).unwrap(), i as u32);
                if i % 50_000 == 0 {
                    array.release();
                }
            }
            *array.at_mut(7) = 1;
            array.release();
            assert_eq!(array.mapped.is_some(), place.is_some());
            assert_eq!((array.len(), array[7], array[299_999]), (300_000, 1, 899_997));
            assert!(array.iter().enumerate().all(|(i, &v)| i == 7 || v == i as u64 * 3));
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
