//! What the inspector does in the drill: random acts, each with a mark that is found again in its record.

use std::path::{Path, PathBuf};

use endcheck_protocol::digest::Sha256;
use endcheck_tests::workspace_root;

/// What a command is about; the kinds between which kills are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Capture,
    Answer,
    Item,
    Note,
    Close,
}

/// A command line, and the marks of the acts that it asks for: one each, in their order.
pub struct Command {
    pub arguments: Vec<String>,
    pub marks: Vec<Mark>,
}

/// By what an act is known again.
#[derive(Debug, Clone)]
pub struct Mark {
    /// A text that stands alone in a field of its record: a note, or the hash of a file.
    pub text: String,
    /// The file that was to be moved in.
    pub moved: Option<PathBuf>,
    pub is_file: bool,
}

/// The visits that there are. Answers, items and closes are for those that are open; the others are sealed.
pub struct Visits<'a> {
    pub all: &'a [String],
    pub open: &'a [String],
}

/// The words by which a capture, an answer and so on are asked for.
pub fn command(kind: Kind, visits: &Visits<'_>, folder: &Path, random: &mut fastrand::Rng) -> Command {
    let fitting = if matches!(kind, Kind::Capture | Kind::Note) { visits.all } else { visits.open };
    let visit = random.choice(fitting).unwrap().clone();
    let text = format!("mark {:016x}", random.u64(..));
    let mut marks = vec![Mark { text: text.clone(), moved: None, is_file: false }];
    let mut arguments: Vec<String> = match kind {
        Kind::Capture => {
            let photo = random.u8(..3) == 0;
            let moved = random.bool();
            let files: Vec<_> = (0..random.usize(1..=3)).map(|_| write(photo, folder, random)).collect();
            marks = files
                .iter()
                .map(|(path, sha256)| Mark {
                    text: sha256.to_string(),
                    moved: moved.then(|| path.clone()),
                    is_file: true,
                })
                .collect();
            let option = |given: bool, name: &str| given.then(|| name.to_owned());
            std::iter::once("capture".to_owned())
                .chain(files.iter().map(|(path, _)| path.display().to_string()))
                .chain(option(!photo, "--document"))
                .chain(option(moved, "--move"))
                .collect()
        }
        Kind::Answer => {
            let answer = *random.choice(["yes", "no", "unknown"].iter()).unwrap();
            ["answer", "host-identity-seen", answer, "--note", &text].map(str::to_owned).to_vec()
        }
        Kind::Item => {
            let item = *random.choice(["i1", "i2"].iter()).unwrap();
            let status = *random.choice(["sighted", "absent", "relocated"].iter()).unwrap();
            ["item", item, status, "--note", &text].map(str::to_owned).to_vec()
        }
        Kind::Note => vec!["note".to_owned(), text],
        Kind::Close => ["close", "partial", "--note", &text].map(str::to_owned).to_vec(),
    };
    arguments.extend(["--visit".to_owned(), visit]);
    if random.bool() {
        arguments.extend(["--at".to_owned(), "51.77868,8.36593,6".to_owned()]);
    }
    Command { arguments, marks }
}

/// Writes a file that there never was before.
fn write(photo: bool, folder: &Path, random: &mut fastrand::Rng) -> (PathBuf, Sha256) {
    let id = random.u64(..);
    let longest = 1 << random.usize(8..=18);
    let mut filler = vec![0; random.usize(8..=longest)];
    random.fill(&mut filler);
    let (name, bytes) = if photo {
        (format!("{id:016x}.jpg"), with_comment(&filler))
    } else {
        (format!("{id:016x}.pdf"), [b"%PDF-1.7\n".as_slice(), &filler].concat())
    };
    let path = folder.join(name);
    std::fs::write(&path, &bytes).unwrap();
    (path, Sha256::of(&bytes))
}

/// A real photo with a comment segment after its first marker.
fn with_comment(comment: &[u8]) -> Vec<u8> {
    let photo = std::fs::read(workspace_root().join("fixtures/photos/03-mast-outside-fence.jpg")).unwrap();
    let comment = &comment[..comment.len().min(60_000)];
    let length = u16::try_from(comment.len() + 2).unwrap().to_be_bytes();
    [&photo[..2], &[0xff, 0xfe], &length, comment, &photo[2..]].concat()
}
