//! The staging folder: `OWNER/open/ID/` while bytes are missing, `OWNER/done/ID/` once complete,
//! each with `info.json` and `bytes`.
//!
//! How much of an upload is here is the length of `bytes`, never a number written elsewhere; but
//! for `unverified`, which while a checksummed chunk arrives says where that chunk began, so that
//! a server killed in the middle forgets what it had not yet checked. Everything here blocks.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use endcheck_protocol::digest::Sha256;
use endcheck_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

/// What is known of an upload beside its bytes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Info {
    pub id: String,
    pub owner: String,
    /// `None` while the client has not said.
    pub size_bytes: Option<u64>,
    /// `Upload-Metadata` as it came.
    pub metadata: Option<String>,
    /// The hash of the whole that the client named.
    pub named_sha256: Option<Sha256>,
    /// When bytes last began to arrive, to the hour.
    pub touched_at: Timestamp,
    pub completed: Option<Completion>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Completion {
    pub sealed_sha256: Sha256,
    pub size_bytes: u64,
    pub completed_at: Timestamp,
}

/// One upload as found on disk.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub info: Info,
    pub place: Place,
    /// Bytes here and checked.
    pub offset_bytes: u64,
}

impl Found {
    /// Every byte is here, though perhaps not yet handed on.
    pub(super) fn is_full(&self) -> bool {
        self.info.size_bytes == Some(self.offset_bytes)
    }
}

/// The folder of one upload.
#[derive(Debug, Clone)]
pub(super) struct Place(PathBuf);

impl Place {
    pub(super) fn bytes(&self) -> PathBuf {
        self.0.join("bytes")
    }

    fn info(&self) -> PathBuf {
        self.0.join("info.json")
    }

    fn unverified(&self) -> PathBuf {
        self.0.join("unverified")
    }

    /// Opens the bytes to append to them, forgetting what was never checked.
    pub(super) fn open_to_append(&self, offset_bytes: u64) -> io::Result<File> {
        let file = OpenOptions::new().append(true).open(self.bytes())?;
        if self.unverified().exists() {
            file.set_len(offset_bytes)?;
            self.trust()?;
        }
        Ok(file)
    }

    /// Notes that what follows `offset_bytes` counts for nothing yet.
    pub(super) fn distrust_after(&self, offset_bytes: u64) -> io::Result<()> {
        let new = self.0.join("unverified.new");
        fs::write(&new, offset_bytes.to_string())?;
        fs::rename(new, self.unverified())
    }

    /// Lets every byte count.
    pub(super) fn trust(&self) -> io::Result<()> {
        unless_missing(fs::remove_file(self.unverified()))
    }

    /// Removes the bytes and keeps the info.
    pub(super) fn remove_bytes(&self) -> io::Result<()> {
        unless_missing(fs::remove_file(self.bytes()))
    }

    /// Removes everything; the info first, without which the rest counts for nothing.
    pub(super) fn remove(&self) -> io::Result<()> {
        unless_missing(fs::remove_file(self.info()))?;
        unless_missing(fs::remove_dir_all(&self.0))
    }

    /// Replaces the info as a whole.
    pub(super) fn write_info(&self, info: &Info) -> io::Result<()> {
        let new = self.0.join("info.json.new");
        fs::write(&new, serde_json::to_vec(info)?)?;
        fs::rename(new, self.info())
    }

    fn read(self) -> io::Result<Option<Found>> {
        let info: Info = match fs::read(self.info()) {
            // A loss of power may leave it empty: then the upload is as good as lost, and is begun anew.
            Ok(text) => match serde_json::from_slice(&text) {
                Ok(info) => info,
                Err(_) => return Ok(None),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let offset_bytes = match &info.completed {
            Some(completion) => completion.size_bytes,
            None => {
                let length = match fs::metadata(self.bytes()) {
                    Ok(metadata) => metadata.len(),
                    // Moved away between the two looks.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                    Err(error) => return Err(error),
                };
                let checked = match fs::read_to_string(self.unverified()) {
                    Ok(text) => text.parse().map_err(io::Error::other)?,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => length,
                    Err(error) => return Err(error),
                };
                length.min(checked)
            }
        };
        Ok(Some(Found { info, place: self, offset_bytes }))
    }
}

/// The whole staging folder.
#[derive(Debug, Clone)]
pub(super) struct Staging(PathBuf);

impl Staging {
    pub(super) fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }

    fn folder(&self, owner: &str, stage: &str) -> PathBuf {
        self.0.join(encoded(owner)).join(stage)
    }

    fn open_place(&self, owner: &str, id: &str) -> Place {
        Place(self.folder(owner, "open").join(id))
    }

    /// Where a completed upload lies.
    pub(super) fn done_place(&self, owner: &str, id: &str) -> Place {
        Place(self.folder(owner, "done").join(id))
    }

    /// Finds an upload of `owner`; another's is not found.
    pub(super) fn find(&self, owner: &str, id: &str) -> io::Result<Option<Found>> {
        match self.open_place(owner, id).read()? {
            Some(found) => Ok(Some(found)),
            None => self.done_place(owner, id).read(),
        }
    }

    /// Makes the folder of a new upload. With `durable` it outlives a loss of power.
    pub(super) fn create(&self, info: Info, durable: bool) -> io::Result<Found> {
        let place = self.open_place(&info.owner, &info.id);
        fs::create_dir_all(&place.0)?;
        let _ = File::create(place.bytes())?;
        place.write_info(&info)?;
        let found = Found { info, place, offset_bytes: 0 };
        if durable {
            self.make_durable(&found.place)?;
        }
        Ok(found)
    }

    /// Flushes the bytes, the info and every name on the way to them.
    pub(super) fn make_durable(&self, place: &Place) -> io::Result<()> {
        File::open(place.bytes())?.sync_data()?;
        File::open(place.info())?.sync_all()?;
        for folder in place.0.ancestors().take_while(|folder| folder.starts_with(&self.0)) {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }

    /// Moves a completed upload out of the open ones.
    pub(super) fn finish(&self, found: Found) -> io::Result<Found> {
        let done = self.done_place(&found.info.owner, &found.info.id);
        found.place.write_info(&found.info)?;
        if let Some(folder) = done.0.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::rename(&found.place.0, &done.0)?;
        Ok(Found { place: done, ..found })
    }

    /// How many uploads of `owner` are open.
    pub(super) fn count_open(&self, owner: &str) -> io::Result<usize> {
        names(&self.folder(owner, "open")).map(|names| names.len())
    }

    /// The open uploads of `owner`.
    pub(super) fn open_of(&self, owner: &str) -> io::Result<Vec<Found>> {
        let names = names(&self.folder(owner, "open"))?;
        names.iter().filter_map(|id| self.open_place(owner, id).read().transpose()).collect()
    }

    /// Every upload there is, by the folder names of owner and id.
    pub(super) fn all(&self) -> io::Result<Vec<(String, String)>> {
        let mut all = Vec::new();
        for name in names(&self.0)? {
            let Some(owner) = decoded(&name) else { continue };
            for stage in ["open", "done"] {
                let ids = names(&self.folder(&owner, stage))?;
                all.extend(ids.into_iter().map(|id| (owner.clone(), id)));
            }
        }
        Ok(all)
    }

    /// Removes what is left of an upload, wherever it lies.
    pub(super) fn remove(&self, owner: &str, id: &str) -> io::Result<()> {
        self.open_place(owner, id).remove()?;
        self.done_place(owner, id).remove()
    }
}

fn unless_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// The names in a folder; none when it does not exist.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    entries.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned())).collect()
}

/// A folder name for any owner: all but letters, digits, `-` and `_` become `%` and two hex digits.
fn encoded(owner: &str) -> String {
    owner.bytes().fold(String::new(), |mut name, byte| {
        if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
            name.push(char::from(byte));
        } else {
            name.push('%');
            name.push_str(&hex::encode([byte]));
        }
        name
    })
}

fn decoded(name: &str) -> Option<String> {
    let mut pieces = name.split('%');
    let mut bytes = pieces.next()?.as_bytes().to_vec();
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2)?;
        bytes.extend(hex::decode(digits).ok()?);
        bytes.extend(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_one_folder_name_and_back() {
        for owner in ["device:0190b3c8-5f4e", "../../etc", "ä/%41\\", "a b"] {
            let name = encoded(owner);
            assert!(!name.contains(['/', '.', '\\', ':']), "{name}");
            assert_eq!(decoded(&name).as_deref(), Some(owner));
        }
        assert_eq!(decoded("a%4"), None);
        assert_eq!(decoded("a%zz"), None);
    }

    #[test]
    fn what_was_never_checked_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let staging = Staging::open(folder.path().join("staging")).unwrap();
        let info = Info {
            id: "one".to_owned(),
            owner: "device:a".to_owned(),
            size_bytes: Some(10),
            metadata: None,
            named_sha256: None,
            touched_at: "2026-05-04T08:00:00Z".parse().unwrap(),
            completed: None,
        };
        let found = staging.create(info, true).unwrap();
        fs::write(found.place.bytes(), b"12345").unwrap();
        assert_eq!(staging.find("device:a", "one").unwrap().unwrap().offset_bytes, 5);
        found.place.distrust_after(3).unwrap();
        let found = staging.find("device:a", "one").unwrap().unwrap();
        assert_eq!(found.offset_bytes, 3);
        let _ = found.place.open_to_append(3).unwrap();
        assert_eq!(fs::read(found.place.bytes()).unwrap(), b"123");
        assert!(staging.find("device:b", "one").unwrap().is_none());
        assert_eq!(staging.all().unwrap(), [("device:a".to_owned(), "one".to_owned())]);
        staging.remove("device:a", "one").unwrap();
        assert_eq!(staging.count_open("device:a").unwrap(), 0);
    }
}
