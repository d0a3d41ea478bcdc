//! A folder that goes away with its owner.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

/// A new, empty folder under the system's temporary one; removed on drop.
#[derive(Debug)]
pub struct TempDir(PathBuf);

impl TempDir {
    /// Makes one. Its name carries the process and a serial number, so that
    /// neither threads nor test runs beside each other ever meet.
    pub fn new() -> Self {
        Self::within(&std::env::temp_dir())
    }

    /// Makes one elsewhere.
    pub fn within(parent: &Path) -> Self {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("cache-get-{}-{serial}", process::id()));
        fs::remove_dir_all(&path).ok(); // what a killed process of the same id left behind
        fs::create_dir_all(&path).expect("cannot make a temporary folder");
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Default for TempDir {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}
