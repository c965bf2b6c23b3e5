//! Inputs of text, where a pipe is natural: `fqbert eval --data <(zcat rows.gz)`.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::input::{InputError, Stamp, io_error, open_without_waiting};
use crate::kind::Kind;

/// Time between two looks at a pipe through which nothing comes.
const STEP: Duration = Duration::from_millis(100);

/// How long to wait for what may never come.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// For a FIFO's first writer.
    writer: Duration,
    /// For bytes.
    silence: Duration,
}

impl Patience {
    const USUAL: Self = Self {
        writer: Duration::from_secs(2),
        silence: Duration::from_secs(30),
    };
}

/// A regular file, a pipe or standard input, read from the beginning to the end, with a bound on
/// its size and one on the time in which nothing comes.
#[derive(Debug)]
pub struct TextInput {
    file: File,
    path: PathBuf,
    limit: u64,
    left: u64,
    /// Whether a read of it waits for bytes.
    blocks: bool,
    from: Origin,
}

#[derive(Debug)]
enum Origin {
    /// A regular file, as it was opened.
    File(Stamp),
    /// A pipe, or whatever standard input is.
    Pipe(Patience),
    /// A person, who may think.
    Terminal,
}

impl TextInput {
    /// Opens a regular file or a pipe, or for `-` standard input, of which at most `limit` bytes
    /// are read. A FIFO that nobody has opened for writing is waited for for 2 s.
    ///
    /// # Errors
    /// It cannot be opened, is a folder, a device or a socket, or is larger.
    pub fn open(path: &Path, limit: u64) -> Result<Self, InputError> {
        Self::open_with(path, limit, Patience::USUAL)
    }

    fn open_with(path: &Path, limit: u64, patience: Patience) -> Result<Self, InputError> {
        let standard = path == Path::new("-");
        let named = PathBuf::from(if standard {
            Path::new("standard input")
        } else {
            path
        });
        let io = io_error("open", &named);
        let file = if standard {
            let descriptor = io::stdin().as_fd().try_clone_to_owned().map_err(&io)?;
            descriptor.into()
        } else {
            match Kind::of(std::fs::metadata(path).map_err(&io)?.file_type()) {
                Kind::Regular | Kind::Pipe => open_without_waiting(path)?,
                found => return Err(InputError::NotRegular { path: named, found }),
            }
        };
        let metadata = file.metadata().map_err(&io)?;
        let from = match Kind::of(metadata.file_type()) {
            Kind::Regular => Origin::File(Stamp::of(&metadata)),
            found @ Kind::Folder => return Err(InputError::NotRegular { path: named, found }),
            _ if io::IsTerminal::is_terminal(&file) => Origin::Terminal,
            _ => Origin::Pipe(patience),
        };
        if metadata.is_file() && metadata.len() > limit {
            return Err(InputError::TooLarge {
                path: named,
                bytes: metadata.len(),
                limit,
            });
        }
        Ok(Self {
            file,
            path: named,
            limit,
            left: limit,
            blocks: standard,
            from,
        })
    }

    /// Reads what there is, and waits for it where there is nothing.
    fn read_pipe(&mut self, buffer: &mut [u8], patience: Patience) -> io::Result<usize> {
        let start = Instant::now();
        loop {
            let ready = self.ready(STEP.min(patience.silence))?;
            let limit = if !ready && self.blocks {
                patience.silence
            } else {
                match self.file.read(buffer) {
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => patience.silence,
                    // Its end is ready too: nobody has opened this FIFO for writing yet.
                    Ok(0) if !ready => patience.writer,
                    read => return read,
                }
            };
            if start.elapsed() >= limit {
                return Err(io::Error::other(InputError::Silent {
                    path: self.path.clone(),
                    seconds: limit.as_secs(),
                }));
            }
        }
    }

    /// Whether there are bytes, or the end, within this time.
    fn ready(&self, within: Duration) -> io::Result<bool> {
        let mut descriptors = [PollFd::new(self.file.as_fd(), PollFlags::POLLIN)];
        let within = PollTimeout::try_from(within).unwrap_or(PollTimeout::MAX);
        match poll(&mut descriptors, within) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::EINTR) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }
}

impl Read for TextInput {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let read = match self.from {
            Origin::Pipe(patience) => self.read_pipe(buffer, patience)?,
            Origin::File(_) | Origin::Terminal => self.file.read(buffer)?,
        };
        if let (0, Origin::File(stamp)) = (read, &self.from) {
            let now = Stamp::of(&self.file.metadata()?);
            if now != *stamp {
                return Err(io::Error::other(InputError::Changed {
                    path: self.path.clone(),
                    before: stamp.length,
                    after: now.length,
                }));
            }
        }
        match self.left.checked_sub(read as u64) {
            Some(left) => self.left = left,
            None => {
                return Err(io::Error::other(InputError::TooLong {
                    path: self.path.clone(),
                    limit: self.limit,
                }));
            }
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write;

    use nix::sys::stat::Mode;

    use super::*;

    const SHORT: Patience = Patience {
        writer: Duration::from_millis(150),
        silence: Duration::from_millis(400),
    };

    fn text(path: &Path, limit: u64) -> Result<String, String> {
        let mut text = String::new();
        let mut input = TextInput::open_with(path, limit, SHORT).map_err(|e| e.to_string())?;
        input.read_to_string(&mut text).map_err(|e| e.to_string())?;
        Ok(text)
    }

    #[test]
    fn pipes_are_read_and_not_waited_for_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fifo");
        nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap();
        // Nobody writes.
        let start = Instant::now();
        let said = text(&path, 100).unwrap_err();
        assert!(said.contains("nothing came for 0 s"), "{said}");
        assert!(start.elapsed() < SHORT.silence + Duration::from_millis(200));

        let write = |parts: &'static [&'static str], pause: u64| {
            let path = path.clone();
            std::thread::spawn(move || {
                let mut pipe = OpenOptions::new().write(true).open(&path).unwrap();
                for part in parts {
                    // The reader may have given up.
                    let _ = pipe.write_all(part.as_bytes());
                    std::thread::sleep(Duration::from_millis(pause));
                }
            })
        };
        // One that is slow, and one that stops for too long.
        let writer = write(&["one\n", "two\n"], 250);
        assert_eq!(text(&path, 100).unwrap(), "one\ntwo\n");
        writer.join().unwrap();
        let writer = write(&["one\n"], 1000);
        assert!(text(&path, 100).unwrap_err().contains("nothing came"));
        writer.join().unwrap();
        // One that is opened and closed is empty, and one without an end has too much.
        let writer = write(&[], 0);
        assert_eq!(text(&path, 100).unwrap(), "");
        writer.join().unwrap();
        let writer = write(&["0123456789"; 11], 0);
        let said = text(&path, 100).unwrap_err();
        assert!(said.contains("more than the 100 bytes"), "{said}");
        writer.join().unwrap();
    }

    #[test]
    fn files_are_read_and_devices_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "text").unwrap();
        assert_eq!(text(&path, 4).unwrap(), "text");
        assert!(
            text(&path, 3)
                .unwrap_err()
                .contains("is 4 bytes, more than")
        );
        for (path, what) in [("/dev/zero", "a character device"), ("/dev", "a folder")] {
            assert!(text(Path::new(path), 9).unwrap_err().contains(what));
        }
        let mut input = TextInput::open(&path, 9).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        fs::write(&path, "TEXT").unwrap();
        let e = input.read_to_end(&mut Vec::new()).unwrap_err();
        assert!(e.to_string().contains("was written to"), "{e}");
    }
}
