//! What a command reads and what it writes, none of it in another's place.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::kind::Kind;
use crate::output::{Output, OutputError, Place};

/// A command's inputs and outputs. Inputs are named first, then each output is opened, all of it
/// before the work begins.
#[derive(Debug, Default)]
pub struct Outputs {
    inputs: Vec<Known>,
    outputs: Vec<Known>,
}

/// A file, by what it is and by where it is: of two hard links the first is the same, of a file
/// that does not exist yet there is only the second.
#[derive(Debug)]
struct Known {
    /// As it was named.
    path: PathBuf,
    /// Device and inode.
    file: Option<(u64, u64)>,
    /// Folder, without links, and name.
    place: Option<(PathBuf, OsString)>,
}

impl Known {
    fn of(path: &Path) -> Self {
        let resolved = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        let folder = match resolved.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let place = folder.canonicalize().ok().zip(resolved.file_name());
        Self {
            path: path.to_path_buf(),
            file: fs::metadata(path).ok().as_ref().map(number),
            place: place.map(|(folder, name)| (folder, name.to_owned())),
        }
    }

    fn is(&self, other: &Self) -> bool {
        let same_file = self.file.is_some() && self.file == other.file;
        same_file || (self.place.is_some() && self.place == other.place)
    }
}

fn number(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

impl Outputs {
    /// The command reads this file, or would if it were there.
    pub fn reads(&mut self, path: &Path) {
        self.inputs.push(Known::of(path));
    }

    /// An output as by [`Output::whole`].
    ///
    /// # Errors
    /// Those of [`Output::whole`]; it is an input or another output.
    pub fn whole(&mut self, path: &Path) -> Result<Output, OutputError> {
        let output = Output::whole(path)?;
        self.take(&output)?;
        Ok(output)
    }

    /// An output as by [`Output::text`].
    ///
    /// # Errors
    /// Those of [`Output::text`]; it is an input or another output.
    pub fn text(&mut self, path: &Path) -> Result<Output, OutputError> {
        let output = Output::text(path)?;
        self.take(&output)?;
        Ok(output)
    }

    /// A folder that the command makes files in, and makes if it is not there.
    ///
    /// # Errors
    /// It is something else than a folder, or another output.
    pub fn folder(&mut self, path: &Path) -> Result<(), OutputError> {
        match fs::metadata(path) {
            Ok(found) if !found.is_dir() => {
                return Err(OutputError::NotReplaceable {
                    path: path.to_path_buf(),
                    found: Kind::of(found.file_type()).to_string(),
                    remedy: "a folder is needed there: move it away",
                });
            }
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(source) => {
                return Err(OutputError::Io {
                    doing: "look at",
                    path: path.to_path_buf(),
                    source,
                });
            }
        }
        self.add(Known::of(path))
    }

    fn take(&mut self, output: &Output) -> Result<(), OutputError> {
        let mut known = match output.place() {
            Place::File { target, .. } => Known::of(target),
            Place::Through(file) => match file.metadata() {
                // What is appended to can be an input; pipes and terminals are for both.
                Ok(found) if found.is_file() => Known {
                    path: PathBuf::new(),
                    file: Some(number(&found)),
                    place: None,
                },
                _ => return Ok(()),
            },
        };
        known.path = output.path().to_path_buf();
        self.add(known)
    }

    fn add(&mut self, known: Known) -> Result<(), OutputError> {
        let path = || known.path.clone();
        if let Some(input) = self.inputs.iter().find(|input| input.is(&known)) {
            return Err(OutputError::IsInput {
                path: path(),
                input: input.path.clone(),
            });
        }
        if let Some(other) = self.outputs.iter().find(|other| other.is(&known)) {
            return Err(OutputError::Twice {
                path: path(),
                other: other.path.clone(),
            });
        }
        self.outputs.push(known);
        Ok(())
    }
}
