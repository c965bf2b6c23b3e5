//! Outputs of every kind, and digests.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::sys::stat::Mode;

use super::*;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, mode: u32) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        path
    }

    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<String> = names
            .map(|f| f.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn put(path: &Path, text: &'static str) -> io::Result<()> {
    write_atomically(path, move |out| out.write_all(text.as_bytes()))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

#[test]
fn a_file_is_replaced_as_a_whole_or_left_alone() {
    let folder = Folder::new();
    let path = folder.path("a.txt");
    put(&path, "first").unwrap();
    put(&path, "second").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "second");
    assert_eq!(mode(&path), 0o644);

    let failed = write_atomically(&path, |out| {
        out.write_all(b"half")?;
        Err(io::Error::other("the writer gave up"))
    });
    assert_eq!(failed.unwrap_err().to_string(), "the writer gave up");
    assert_eq!(fs::read_to_string(&path).unwrap(), "second");
    assert_eq!(folder.names(), ["a.txt"], "nothing is left");
}

#[test]
fn permissions_owner_and_links_stay() {
    let folder = Folder::new();
    for bits in [0o600, 0o640, 0o755, 0o400] {
        let path = folder.file(&format!("{bits:o}"), bits);
        let before = fs::metadata(&path).unwrap();
        put(&path, "new").unwrap();
        let after = fs::metadata(&path).unwrap();
        assert_eq!((mode(&path), after.uid()), (bits, before.uid()));
    }
    let given = folder.file("given", 0o600);
    // Only root can tell: others may not give files away.
    if std::os::unix::fs::chown(&given, Some(12345), Some(12345)).is_ok() {
        put(&given, "new").unwrap();
        let after = fs::metadata(&given).unwrap();
        assert_eq!(
            (after.uid(), after.gid(), mode(&given)),
            (12345, 12345, 0o600)
        );
    }

    let target = folder.file("target", 0o600);
    symlink("target", folder.path("link")).unwrap();
    symlink(folder.path("link"), folder.path("second")).unwrap();
    put(&folder.path("second"), "through").unwrap();
    assert_eq!(fs::read_to_string(&target).unwrap(), "through");
    assert_eq!(mode(&target), 0o600);
    for link in ["link", "second"] {
        assert!(folder.path(link).is_symlink());
    }
    symlink("made", folder.path("dangling")).unwrap();
    put(&folder.path("dangling"), "made").unwrap();
    assert!(folder.path("dangling").is_symlink());
    assert_eq!(fs::read_to_string(folder.path("made")).unwrap(), "made");
}

#[test]
fn what_a_file_must_not_replace_is_refused_first() {
    let folder = Folder::new();
    nix::unistd::mkfifo(&folder.path("fifo"), Mode::S_IRWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(folder.path("socket")).unwrap();
    fs::create_dir(folder.path("sub")).unwrap();
    symlink("circle", folder.path("circle")).unwrap();
    symlink("/dev/full", folder.path("full")).unwrap();
    let file = folder.file("file", 0o644);
    let open = File::create(folder.path("open")).unwrap();
    let descriptor = PathBuf::from(format!("/dev/fd/{}", open.as_raw_fd()));
    let before = folder.names();
    for (path, what, text_too) in [
        (folder.path("fifo"), "it is a pipe", true),
        (folder.path("socket"), "it is a socket", true),
        (folder.path("sub"), "it is a folder", true),
        (folder.path("sub/.."), "the name of a folder", true),
        (folder.path("circle"), "a circle of symbolic links", true),
        (folder.path("full"), "it is a character device", true),
        (folder.path("no/file"), "does not exist", true),
        (file.join("x"), "Not a directory", true),
        ("/dev/null".into(), "it is a character device", false),
        ("/dev/stdout".into(), "it is an open descriptor", false),
        ("/proc/self/fd/2".into(), "it is an open descriptor", false),
        (descriptor, "it is an open descriptor", false),
        ("".into(), "the name of a folder", true),
    ] {
        let said = Output::whole(&path).unwrap_err().to_string();
        assert!(said.contains(what), "{}: {said}", path.display());
        match Output::text(&path) {
            Ok(_) => assert!(!text_too, "{}", path.display()),
            Err(e) => assert!(text_too, "{e}"),
        }
    }
    assert_eq!(folder.names(), before);
    assert!(
        fs::metadata("/dev/null")
            .unwrap()
            .file_type()
            .is_char_device()
    );
}

#[test]
fn text_goes_through_pipes_and_descriptors() {
    let folder = Folder::new();
    let (mut reader, writer) = io::pipe().unwrap();
    let path = PathBuf::from(format!("/dev/fd/{}", writer.as_raw_fd()));
    let output = Output::text(&path).unwrap();
    drop(writer);
    // More than a pipe holds: the writer waits for its reader.
    let long = "x".repeat(1 << 18);
    let writing = std::thread::spawn(move || {
        output.write(|out| out.write_all(long.as_bytes())).unwrap();
    });
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    writing.join().unwrap();
    assert_eq!(text.len(), 1 << 18);

    // A descriptor of a file is appended to.
    let file = folder.path("file");
    let mut open = File::create(&file).unwrap();
    open.write_all(b"before ").unwrap();
    let path = PathBuf::from(format!("/dev/fd/{}", open.as_raw_fd()));
    let written = Output::text(&path).unwrap();
    written.write(|out| out.write_all(b"after")).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "before after");
    let null = Output::text(Path::new("/dev/null")).unwrap();
    null.write(|out| out.write_all(b"nothing")).unwrap();
}

#[test]
fn outputs_are_no_inputs_and_not_each_other() {
    let folder = Folder::new();
    let input = folder.file("input", 0o644);
    symlink(&input, folder.path("link")).unwrap();
    fs::hard_link(&input, folder.path("hard")).unwrap();
    symlink(folder.0.path(), folder.path("here")).unwrap();
    let mut outputs = Outputs::default();
    outputs.reads(&input);
    outputs.reads(&folder.path("missing"));
    for name in [
        "input",
        "link",
        "hard",
        "here/input",
        "./input",
        "missing",
        "here/missing",
    ] {
        let e = outputs.whole(&folder.path(name)).unwrap_err();
        assert!(matches!(e, OutputError::IsInput { .. }), "{name}: {e}");
    }
    outputs.whole(&folder.path("a")).unwrap();
    outputs.text(&folder.path("b")).unwrap();
    outputs.folder(&folder.path("c")).unwrap();
    for name in ["a", "here/b", "c"] {
        let e = outputs.text(&folder.path(name)).unwrap_err();
        assert!(matches!(e, OutputError::Twice { .. }), "{name}: {e}");
    }
    assert!(
        outputs
            .folder(&input)
            .unwrap_err()
            .to_string()
            .contains("a regular file")
    );
    let open = File::options().append(true).open(&input).unwrap();
    let descriptor = format!("/dev/fd/{}", open.as_raw_fd());
    assert!(outputs.text(Path::new(&descriptor)).is_err());
    outputs.text(Path::new("/dev/null")).unwrap();
    outputs.text(Path::new("/dev/null")).unwrap();
    assert_eq!(fs::read_to_string(&input).unwrap(), "old");
}

#[test]
fn room_is_looked_for() {
    let folder = Folder::new();
    let output = Output::whole(&folder.path("a")).unwrap();
    output.has_room(1).unwrap();
    let said = output.has_room(u64::MAX - 1).unwrap_err().to_string();
    assert!(
        said.contains("18446744073709551614 bytes or more"),
        "{said}"
    );
}

#[test]
fn digests_are_those_of_the_standard() {
    // FIPS 180-4's example.
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(sha256_hex([&b"abc"[..]]), abc);
    assert_eq!(sha256_hex([&b"a"[..], b"bc"]), abc);
    assert_eq!(hex(&[0, 0x1f, 0xff]), "001fff");
    let written = sha256_of(|out| out.write_all(b"a").and_then(|()| out.write_all(b"bc")));
    assert_eq!(written.unwrap(), abc);
    assert!(sha256_of(|_| Err::<(), _>(io::Error::other("no"))).is_err());
}
