//! Texts from a stream, one a line, as they come.

use std::io::{self, BufRead, BufReader, Read};

/// One text, or why there is none.
pub struct Item {
    /// Its line, or its place among others, from 1.
    pub number: usize,
    pub text: Result<String, String>,
}

/// Longest line. The tokenizer looks at less of it; this bounds the memory.
const MAX_LINE: u64 = 16 << 20;

/// Lines of a reader with their numbers. A line that is no text is an error of its own; empty lines
/// at the end are not lines.
pub struct Lines<R> {
    reader: BufReader<R>,
    /// Lines read.
    line: usize,
    /// Bytes read.
    offset: usize,
    /// Empty lines before `next` that were not given yet.
    empty: usize,
    /// What follows them.
    next: Option<Item>,
}

impl<R: Read> Lines<R> {
    pub fn new(reader: R) -> Self {
        Self {
            reader: BufReader::with_capacity(1 << 16, reader),
            line: 0,
            offset: 0,
            empty: 0,
            next: None,
        }
    }

    /// At most `most` lines, none at the end. Once there is one, nothing is waited for: answers
    /// come as lines do.
    pub fn chunk(&mut self, most: usize) -> io::Result<Vec<Item>> {
        let mut items = Vec::new();
        while items.len() < most {
            if self.empty > 0 && self.next.is_some() {
                let before = self.next.as_ref().map_or(0, |next| next.number);
                items.push(Item {
                    number: before - self.empty,
                    text: Err("it is empty; give one text a line".into()),
                });
                self.empty -= 1;
                continue;
            }
            if let Some(next) = self.next.take() {
                items.push(next);
                continue;
            }
            if !items.is_empty() && !self.reader.buffer().contains(&b'\n') {
                break;
            }
            match self.read()? {
                None => break,
                Some(item) if matches!(&item.text, Ok(t) if t.trim().is_empty()) => self.empty += 1,
                Some(item) => self.next = Some(item),
            }
        }
        Ok(items)
    }

    /// The next line.
    fn read(&mut self) -> io::Result<Option<Item>> {
        let mut bytes = Vec::new();
        let mut limited = self.reader.by_ref().take(MAX_LINE + 1);
        let read = limited.read_until(b'\n', &mut bytes)?;
        if read == 0 {
            return Ok(None);
        }
        self.line += 1;
        let start = self.offset;
        self.offset += read;
        let text = if bytes.len() as u64 > MAX_LINE && bytes.last() != Some(&b'\n') {
            self.offset += self.reader.skip_until(b'\n')?;
            Err(format!(
                "it is longer than {} MiB; split it",
                MAX_LINE >> 20
            ))
        } else {
            self.text(&bytes, start)
        };
        Ok(Some(Item {
            number: self.line,
            text,
        }))
    }

    fn text(&self, bytes: &[u8], start: usize) -> Result<String, String> {
        let bytes = match self.line {
            1 => fqbert_files::without_bom(bytes),
            _ => bytes,
        };
        let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let text = std::str::from_utf8(line).map_err(|e| {
            format!(
                "it is not UTF-8: bad byte at offset {} of the input; convert it, for example \
                 with iconv",
                start + e.valid_up_to()
            )
        })?;
        Ok(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8], most: usize) -> Vec<(usize, Result<String, String>)> {
        let mut lines = Lines::new(bytes);
        let mut out = Vec::new();
        loop {
            let chunk = lines.chunk(most).unwrap();
            assert!(chunk.len() <= most);
            if chunk.is_empty() {
                return out;
            }
            out.extend(chunk.into_iter().map(|i| (i.number, i.text)));
        }
    }

    #[test]
    fn bad_lines_are_told_apart_from_their_neighbours() {
        let input = b"\xef\xbb\xbfone\r\n\n  \nb\xffd\nlast\n\n\n";
        for most in [1, 2, 100] {
            let lines = all(input, most);
            let numbers: Vec<usize> = lines.iter().map(|l| l.0).collect();
            assert_eq!(numbers, [1, 2, 3, 4, 5]);
            assert_eq!(lines[0].1.as_deref(), Ok("one"));
            assert!(lines[1].1.as_ref().unwrap_err().contains("empty"));
            assert!(lines[2].1.as_ref().unwrap_err().contains("empty"));
            let bad = lines[3].1.as_ref().unwrap_err();
            assert!(bad.contains("UTF-8") && bad.contains("offset 13"), "{bad}");
            assert_eq!(lines[4].1.as_deref(), Ok("last"));
        }
        assert!(all(b"", 3).is_empty() && all(b"\n\n", 3).is_empty());
    }

    #[test]
    fn a_line_without_end_is_one_error() {
        let mut input = vec![b'x'; MAX_LINE as usize + 10];
        input.extend(b"\nshort");
        let lines = all(&input, 10);
        assert!(lines[0].1.as_ref().unwrap_err().contains("16 MiB"));
        assert_eq!(lines[1], (2, Ok("short".into())));
    }

    #[test]
    fn nothing_is_waited_for() {
        /// Gives a line for each read, as a terminal does.
        struct Slow(usize);
        impl Read for Slow {
            fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
                self.0 += 1;
                out[..2].copy_from_slice(b"a\n");
                Ok(2)
            }
        }
        let mut lines = Lines::new(Slow(0));
        assert_eq!(lines.chunk(1000).unwrap().len(), 1);
        assert_eq!(lines.chunk(1000).unwrap()[0].number, 2);
    }
}
