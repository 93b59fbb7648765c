//! Tar archives, read as strictly as headquarters writes them: whatever else an archive could say, another
//! program might unpack it to something other than what was verified here.

use std::io::{self, Read};
use std::path::Path;

use endcheck_protocol::bag::is_below;

const BLOCK_BYTES: u64 = 512;

/// A file of the archive: its path below the bag's folder, its size, and its bytes.
pub(super) type Take<'a> = &'a mut dyn FnMut(String, u64, &mut dyn Read) -> io::Result<()>;

/// Reads an archive to its end.
///
/// # Errors
/// The inner error says in words what is no archive of a bag; the outer one that the file cannot be read.
pub(super) fn read(mut archive: impl Read, take: Take<'_>) -> io::Result<Result<(), String>> {
    let mut folder: Option<String> = None;
    loop {
        let mut block = [0; BLOCK_BYTES as usize];
        if !filled(&mut archive, &mut block)? {
            return Ok(Err("the archive ends before its end mark: it was cut off".to_owned()));
        }
        if block.iter().all(|byte| *byte == 0) {
            return end(archive);
        }
        let (path, size_bytes) = match header(&block) {
            Ok(read) => read,
            Err(why) => return Ok(Err(why)),
        };
        let Some((first, below)) = path.split_once('/').filter(|(_, below)| is_below(below)) else {
            return Ok(Err(format!("{path:?} in the archive is no file of a bag")));
        };
        if !is_below(first) || folder.as_deref().is_some_and(|folder| folder != first) {
            return Ok(Err(format!("{path:?} in the archive does not lie in the one folder of the bag")));
        }
        folder.get_or_insert_with(|| first.to_owned());
        let mut content = (&mut archive).take(size_bytes);
        take(below.to_owned(), size_bytes, &mut content)?;
        io::copy(&mut content, &mut io::sink())?;
        if content.limit() > 0 {
            return Ok(Err(format!("the archive ends within {path:?}: it was cut off")));
        }
        let mut padding = Vec::new();
        let rest = size_bytes.next_multiple_of(BLOCK_BYTES) - size_bytes;
        (&mut archive).take(rest).read_to_end(&mut padding)?;
        if padding.len() as u64 != rest {
            return Ok(Err(format!("the archive ends right after {path:?}: it was cut off")));
        }
        if padding.iter().any(|byte| *byte != 0) {
            return Ok(Err(format!("there are bytes hidden after {path:?} in the archive")));
        }
    }
}

/// After the first block of zeros: another one, and nothing but zeros to the end.
fn end(archive: impl Read) -> io::Result<Result<(), String>> {
    let mut rest = 0_u64;
    for byte in io::BufReader::new(archive).bytes() {
        if byte? != 0 {
            return Ok(Err("there are bytes after the end of the archive".to_owned()));
        }
        rest += 1;
    }
    if rest < BLOCK_BYTES {
        return Ok(Err("the archive ends within its end mark: it was cut off".to_owned()));
    }
    Ok(Ok(()))
}

/// Whether the block could be filled; nothing or a part of it means that the archive ends.
fn filled(archive: &mut impl Read, block: &mut [u8]) -> io::Result<bool> {
    match archive.read_exact(block) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// The path and size that a header says, if it says nothing else: the same header, written anew, must be the
/// same bytes. So links, folders, devices, extensions and old formats are all refused.
fn header(block: &[u8; BLOCK_BYTES as usize]) -> Result<(String, u64), String> {
    let found = tar::Header::from_byte_slice(block);
    let path = String::from_utf8(found.path_bytes().into_owned())
        .map_err(|_| "a name in the archive is no text".to_owned())?;
    let unlike = || format!("{path:?} in the archive is no plain file, as bags have");
    let size_bytes = found.size().map_err(|_| unlike())?;
    let mut plain = tar::Header::new_ustar();
    plain.set_path(Path::new(&path)).map_err(|_| unlike())?;
    plain.set_size(size_bytes);
    plain.set_mode(0o644);
    plain.set_mtime(found.mtime().map_err(|_| unlike())?);
    plain.set_entry_type(tar::EntryType::Regular);
    plain.set_cksum();
    if plain.as_bytes() == block { Ok((path, size_bytes)) } else { Err(unlike()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name, its content, and what is odd about its header.
    type Entry<'a> = (&'a str, &'a [u8], fn(&mut tar::Header));

    fn written(files: &[Entry<'_>]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, content, change) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            header.set_entry_type(tar::EntryType::Regular);
            let name = &mut header.as_ustar_mut().unwrap().name;
            name[..path.len()].copy_from_slice(path.as_bytes());
            change(&mut header);
            header.set_cksum();
            builder.append(&header, *content).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn judged(archive: &[u8]) -> Result<Vec<String>, String> {
        let mut paths = Vec::new();
        let came = read(archive, &mut |path, _, content| {
            paths.push(path);
            io::copy(content, &mut io::sink()).map(|_| ())
        });
        came.unwrap().map(|()| paths)
    }

    #[test]
    fn an_archive_is_read_only_as_headquarters_writes_it() {
        let plain: fn(&mut tar::Header) = |_| {};
        let good = written(&[("case/bagit.txt", b"x", plain), ("case/data/a", b"", plain)]);
        assert_eq!(judged(&good).unwrap(), ["bagit.txt", "data/a"]);
        for (what, files) in [
            ("a folder above", &[("../bagit.txt", b"x".as_slice(), plain)][..]),
            ("an absolute name", &[("/case/bagit.txt", b"x", plain)]),
            ("no folder", &[("bagit.txt", b"x", plain)]),
            ("two folders", &[("case/bagit.txt", b"x", plain), ("other/a", b"x", plain)]),
            ("a way out", &[("case/../../a", b"x", plain)]),
            ("a folder", &[("case/data/", b"", |header| header.set_entry_type(tar::EntryType::Directory))]),
            ("a link", &[("case/a", b"", |header| header.set_entry_type(tar::EntryType::Symlink))]),
            ("an extension", &[("case/a", b"x", |header| header.set_entry_type(tar::EntryType::XHeader))]),
            ("a sparse file", &[("case/a", b"x", |header| header.set_entry_type(tar::EntryType::GNUSparse))]),
            ("a long name", &[("case/a", b"x", |header| header.set_entry_type(tar::EntryType::GNULongName))]),
            ("an old file", &[("case/a", b"x", |header| header.as_old_mut().linkflag = [0])]),
            ("a program", &[("case/a", b"x", |header| header.set_mode(0o4755))]),
        ] {
            assert!(judged(&written(files)).is_err(), "{what}");
        }
        assert!(judged(&[good.as_slice(), b"more"].concat()).unwrap_err().contains("after the end"));
        for cut in [0, 100, 512, 513, 1000, 1024, good.len() - 1024, good.len() - 513] {
            assert!(judged(&good[..cut]).unwrap_err().contains("cut off"), "{cut}");
        }
        let mut hidden = good.clone();
        hidden[600] = 1;
        assert!(judged(&hidden).unwrap_err().contains("hidden"));
    }
}
