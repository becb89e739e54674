//! Where records are kept: small documents under (bucket, key), behind a trait, so that the whole engine can run on memory
//! in a test, or on a shared store for a fleet.
//!
//! [`Redb`] survives a `kill -9` of the daemon at any instant: each put is a committed transaction. It does not wait for
//! the disk: a power failure may lose the last moments, never the file's consistency.

use super::error::{Error, Result};
use parking_lot::Mutex;
use redb::{Database, DatabaseError, Durability, ReadableTable, TableDefinition};
use std::collections::BTreeMap;
use std::path::Path;

/// How long the file may stay locked before another daemon is suspected.
const LOCK_TIME: std::time::Duration = std::time::Duration::from_secs(2);

/// A kind of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bucket {
    Containers,
    Volumes,
    Networks,
    /// Facts about the installation, such as its id.
    Meta,
}

impl Bucket {
    fn name(self) -> &'static str {
        match self {
            Bucket::Containers => "containers",
            Bucket::Volumes => "volumes",
            Bucket::Networks => "networks",
            Bucket::Meta => "meta",
        }
    }
}

/// A transactional map. Puts are atomic each.
pub trait Store: Send + Sync + std::fmt::Debug {
    fn put(&self, bucket: Bucket, key: &str, value: &[u8]) -> Result<()>;
    fn delete(&self, bucket: Bucket, key: &str) -> Result<()>;
    fn get(&self, bucket: Bucket, key: &str) -> Result<Option<Vec<u8>>>;
    fn list(&self, bucket: Bucket) -> Result<Vec<(String, Vec<u8>)>>;
}

/// The store in one file.
#[derive(Debug)]
pub struct Redb {
    db: Database,
}

fn failed(e: impl Into<redb::Error>) -> Error {
    Error::internal(format!("the state store failed: {}", e.into()))
}

impl Redb {
    /// Opens or creates the file. Fails when another process has it open.
    pub fn open(path: &Path) -> Result<Redb> {
        let begun = std::time::Instant::now();
        let db = loop {
            match Database::create(path) {
                Ok(db) => break db,
                // A child that a killed daemon was just starting holds the lock until it executes its program.
                Err(DatabaseError::DatabaseAlreadyOpen) if begun.elapsed() < LOCK_TIME => {
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
                Err(DatabaseError::DatabaseAlreadyOpen) => {
                    return Err(Error::internal(format!(
                        "another daemon uses this data root ({} is locked)",
                        path.display()
                    )));
                }
                Err(e) => return Err(Error::internal(format!("cannot open {}: {e}", path.display()))),
            }
        };
        let tx = db.begin_write().map_err(failed)?;
        for bucket in [Bucket::Containers, Bucket::Volumes, Bucket::Networks, Bucket::Meta] {
            tx.open_table(table(bucket)).map_err(failed)?;
        }
        tx.commit().map_err(failed)?;
        Ok(Redb { db })
    }
}

fn table(bucket: Bucket) -> TableDefinition<'static, &'static str, &'static [u8]> {
    TableDefinition::new(bucket.name())
}

impl Store for Redb {
    fn put(&self, bucket: Bucket, key: &str, value: &[u8]) -> Result<()> {
        let mut tx = self.db.begin_write().map_err(failed)?;
        tx.set_durability(Durability::Eventual);
        tx.open_table(table(bucket)).map_err(failed)?.insert(key, value).map_err(failed)?;
        tx.commit().map_err(failed)
    }

    fn delete(&self, bucket: Bucket, key: &str) -> Result<()> {
        let mut tx = self.db.begin_write().map_err(failed)?;
        tx.set_durability(Durability::Eventual);
        tx.open_table(table(bucket)).map_err(failed)?.remove(key).map_err(failed)?;
        tx.commit().map_err(failed)
    }

    fn get(&self, bucket: Bucket, key: &str) -> Result<Option<Vec<u8>>> {
        let tx = self.db.begin_read().map_err(failed)?;
        let table = tx.open_table(table(bucket)).map_err(failed)?;
        Ok(table.get(key).map_err(failed)?.map(|v| v.value().to_vec()))
    }

    fn list(&self, bucket: Bucket) -> Result<Vec<(String, Vec<u8>)>> {
        let tx = self.db.begin_read().map_err(failed)?;
        let table = tx.open_table(table(bucket)).map_err(failed)?;
        let mut all = Vec::new();
        for row in table.iter().map_err(failed)? {
            let (key, value) = row.map_err(failed)?;
            all.push((key.value().to_string(), value.value().to_vec()));
        }
        Ok(all)
    }
}

/// The store in memory, for tests and for what needs no records.
#[derive(Debug, Default)]
pub struct Memory {
    rows: Mutex<BTreeMap<(Bucket, String), Vec<u8>>>,
}

impl Store for Memory {
    fn put(&self, bucket: Bucket, key: &str, value: &[u8]) -> Result<()> {
        self.rows.lock().insert((bucket, key.to_string()), value.to_vec());
        Ok(())
    }

    fn delete(&self, bucket: Bucket, key: &str) -> Result<()> {
        self.rows.lock().remove(&(bucket, key.to_string()));
        Ok(())
    }

    fn get(&self, bucket: Bucket, key: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.rows.lock().get(&(bucket, key.to_string())).cloned())
    }

    fn list(&self, bucket: Bucket) -> Result<Vec<(String, Vec<u8>)>> {
        let rows = self.rows.lock();
        Ok(rows.iter().filter(|((b, _), _)| *b == bucket).map(|((_, k), v)| (k.clone(), v.clone())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exercise(store: &dyn Store) {
        store.put(Bucket::Volumes, "a", b"1").unwrap();
        store.put(Bucket::Volumes, "b", b"2").unwrap();
        store.put(Bucket::Networks, "a", b"3").unwrap();
        store.delete(Bucket::Volumes, "b").unwrap();
        assert_eq!(store.get(Bucket::Volumes, "a").unwrap().as_deref(), Some(&b"1"[..]));
        assert_eq!(store.list(Bucket::Volumes).unwrap(), vec![("a".to_string(), b"1".to_vec())]);
        assert_eq!(store.get(Bucket::Volumes, "b").unwrap(), None);
    }

    #[test]
    fn both_stores_agree() {
        exercise(&Memory::default());
        let dir = std::env::temp_dir().join(format!("carrack-store-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("state.redb");
        exercise(&Redb::open(&path).unwrap());
        let again = Redb::open(&path).unwrap();
        assert_eq!(again.get(Bucket::Volumes, "a").unwrap().as_deref(), Some(&b"1"[..]));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
