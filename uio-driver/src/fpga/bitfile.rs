//! Vivado's `.bit`: a header of tagged fields, then the configuration stream.
//!
//! ```text
//! 00 09  0f f0 0f f0 0f f0 0f f0 00   length and preamble
//! 00 01                               number of the next key's length, as the format has it
//! 'a' len16 "design;UserID=...;Version=2023.2\0"
//! 'b' len16 "xczu9eg-ffvb1156-2-e\0"
//! 'c' len16 "2026/01/31\0"            date
//! 'd' len16 "12:34:56\0"              time
//! 'e' len32 stream                    32-bit big-endian words, sync word AA 99 55 66
//! ```
//!
//! The FPGA manager wants the words in the CPU's byte order, the sync word as `66 55 99 AA`
//! (`drivers/fpga/zynq-fpga.c` looks for it; bootgen's `-process_bitstream bin` makes it so).

use super::{FpgaError, Part};

const PREAMBLE: [u8; 13] = [
    0, 9, 0x0f, 0xf0, 0x0f, 0xf0, 0x0f, 0xf0, 0x0f, 0xf0, 0, 0, 1,
];
const SYNC: [u8; 4] = [0xAA, 0x99, 0x55, 0x66];
/// "Write one word to register IDCODE" (UG570, configuration packets).
const WRITE_IDCODE: [u8; 4] = [0x30, 0x01, 0x80, 0x01];
/// The sync word comes after dummy words and the bus-width pattern, within a few hundred bytes.
const SYNC_WITHIN: usize = 64 << 10;
/// The IDCODE is written soon after; what looks like it far into the frames is data.
const IDCODE_WITHIN: usize = 4 << 10;
/// No part of the family comes near it.
const STREAM_BYTES_MAX: u64 = 1 << 30;

/// A parsed `.bit`, borrowing the file's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bitfile<'a> {
    /// Name of the top design.
    pub design: String,
    /// The part it was made for.
    pub part: Part,
    /// `2026/01/31`.
    pub date: String,
    /// `12:34:56`.
    pub time: String,
    /// `UserID` of the header, if it is a hexadecimal number.
    pub user_id: Option<u32>,
    /// Version of the tool, if noted.
    pub tool: Option<String>,
    /// Device IDCODE that the stream itself checks while loading, if found.
    pub idcode: Option<u32>,
    /// The configuration stream, a whole number of big-endian words.
    stream: &'a [u8],
}

/// Takes bytes off the front; every take is checked.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, len: usize, what: &str) -> Result<&'a [u8], FpgaError> {
        let have = self.0.len();
        let (head, rest) = self
            .0
            .split_at_checked(len)
            .ok_or_else(|| FpgaError::NotABitfile {
                reason: format!("{what} needs {len} bytes, {have} are left"),
            })?;
        self.0 = rest;
        Ok(head)
    }

    /// A big-endian number of up to four bytes.
    fn number(&mut self, bytes: usize, what: &str) -> Result<usize, FpgaError> {
        Ok(self
            .take(bytes, what)?
            .iter()
            .fold(0, |value, &byte| value << 8 | usize::from(byte)))
    }

    fn key(&mut self, key: u8) -> Result<(), FpgaError> {
        let what = format!("field '{}'", char::from(key));
        match self.take(1, &what)? {
            [found] if *found == key => Ok(()),
            found => Err(FpgaError::NotABitfile {
                reason: format!("{found:02x?} where {what} belongs"),
            }),
        }
    }

    /// A tagged string without its terminator; printable ASCII only.
    fn text(&mut self, key: u8) -> Result<&'a str, FpgaError> {
        self.key(key)?;
        let what = format!("field '{}'", char::from(key));
        let len = self.number(2, &what)?;
        let bytes = self.take(len, &what)?;
        let bytes = bytes.strip_suffix(&[0]).unwrap_or(bytes);
        match std::str::from_utf8(bytes) {
            Ok(text) if bytes.iter().all(|b| (0x20..0x7f).contains(b)) => Ok(text),
            _ => Err(FpgaError::NotABitfile {
                reason: format!("{what} is no printable text"),
            }),
        }
    }
}

impl<'a> Bitfile<'a> {
    /// Parses a file. Bytes behind the announced stream are refused too: the file is not what its
    /// header says.
    ///
    /// # Errors
    /// [`FpgaError::NotABitfile`], [`FpgaError::Truncated`], [`FpgaError::BadPart`].
    pub fn parse(file: &'a [u8]) -> Result<Self, FpgaError> {
        let mut cursor = Cursor(file);
        if cursor.take(PREAMBLE.len(), "the preamble")? != PREAMBLE {
            return Err(FpgaError::NotABitfile {
                reason: "the preamble is another".to_owned(),
            });
        }
        let notes = cursor.text(b'a')?;
        let part = cursor.text(b'b')?.parse()?;
        let date = cursor.text(b'c')?.to_owned();
        let time = cursor.text(b'd')?.to_owned();
        cursor.key(b'e')?;
        let announced = cursor.number(4, "the length of the stream")? as u64;
        let have = cursor.0.len() as u64;
        if announced > have {
            return Err(FpgaError::Truncated { announced, have });
        }
        if announced < have || announced > STREAM_BYTES_MAX || !announced.is_multiple_of(4) {
            let reason = format!(
                "the stream has {have} bytes where {announced} are announced; whole words and at \
                 most {STREAM_BYTES_MAX} are legal"
            );
            return Err(FpgaError::NotABitfile { reason });
        }
        let stream = cursor.0;
        let sync = find_word(stream, SYNC, SYNC_WITHIN).ok_or_else(|| FpgaError::NotABitfile {
            reason: "no sync word AA995566 on a word boundary at the start of the stream"
                .to_owned(),
        })?;
        let after = stream.get(sync..).unwrap_or_default();
        let idcode = find_word(after, WRITE_IDCODE, IDCODE_WITHIN)
            .and_then(|at| after.get(at + 4..at + 8)?.try_into().ok())
            .map(u32::from_be_bytes);
        let mut notes = notes.split(';');
        let design = notes.next().unwrap_or_default().to_owned();
        let mut bitfile = Self {
            design,
            part,
            date,
            time,
            user_id: None,
            tool: None,
            idcode,
            stream,
        };
        for note in notes {
            match note.split_once('=') {
                Some(("UserID", id)) => {
                    let digits = id.trim_start_matches("0x").trim_start_matches("0X");
                    bitfile.user_id = u32::from_str_radix(digits, 16).ok();
                }
                Some(("Version", version)) => bitfile.tool = Some(version.to_owned()),
                _ => {}
            }
        }
        Ok(bitfile)
    }

    /// Bytes of the stream.
    pub fn stream_len(&self) -> usize {
        self.stream.len()
    }

    /// The stream in the byte order that the FPGA manager wants: each 32-bit word swapped.
    pub fn to_manager_order(&self) -> Vec<u8> {
        let (words, _whole) = self.stream.as_chunks::<4>();
        words
            .iter()
            .flat_map(|&[a, b, c, d]| [d, c, b, a])
            .collect()
    }
}

/// Offset of a word, on word boundaries, in the first `within` bytes.
fn find_word(stream: &[u8], word: [u8; 4], within: usize) -> Option<usize> {
    let (words, _) = stream.as_chunks::<4>();
    words
        .iter()
        .take(within / 4)
        .position(|candidate| *candidate == word)
        .map(|index| index * 4)
}
