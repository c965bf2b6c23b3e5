//! What was written to device memory and has to stay: its digests, block by block, and writing
//! again what differs.
//!
//! The digest is XXH3 of 64 bits. What it is to find are random flips, of which it misses one in
//! 2^64; nobody forges them, so it need not be cryptographic, and it is as fast as the memory where
//! SHA-256 in software would take longer than a run. There is no second copy of what was written:
//! the constants come from the model again, the code from its program.

use fqbert_contract::device::{Allocation, Device, DeviceBuffer};
use fqbert_contract::{Bytes, DeviceAddress};
use tracing::warn;
use twox_hash::XxHash3_64;

use crate::damage::{Content, Damage};
use crate::error::{Doing, SessionError};

/// Most bytes that share a digest: what is read back and written again at a time.
const BLOCK: usize = 64 << 10;

/// A run of bytes with one digest.
#[derive(Clone, Copy)]
struct Block {
    offset: u64,
    length: usize,
    digest: u64,
}

/// Digests of what was written to a buffer.
#[derive(Default)]
pub(crate) struct Digests(Vec<Block>);

impl Digests {
    /// Takes the digests of a part as it is written.
    pub fn add(&mut self, offset: u64, part: &[u8]) {
        self.0
            .extend(cut(offset, part).map(|(offset, bytes)| Block {
                offset,
                length: bytes.len(),
                digest: XxHash3_64::oneshot(bytes),
            }));
    }
}

/// A part in pieces of at most [`BLOCK`] bytes, with their offsets.
fn cut(offset: u64, part: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let offsets = (offset..).step_by(BLOCK);
    offsets.zip(part.chunks(BLOCK))
}

/// A buffer whose contents have to stay as they were written.
pub(crate) struct Kept {
    pub buffer: DeviceBuffer,
    pub digests: Digests,
    pub content: Content,
}

impl Kept {
    /// Where it lies.
    pub fn allocation(&self) -> Allocation {
        self.buffer.allocation()
    }

    /// Bytes that have a digest.
    pub fn bytes(&self) -> u64 {
        self.digests.0.iter().map(|b| b.length as u64).sum()
    }

    /// Reads everything back from where the accelerator would read it, and writes again the blocks
    /// that differ, from what `again` makes: the parts as they were written first. Nothing may run.
    ///
    /// # Errors
    /// A call on the device, memory that does not hold what is written, or a part that is not what
    /// it was.
    pub fn repair(
        &mut self,
        device: &mut dyn Device,
        again: impl FnOnce(
            &mut dyn FnMut(u64, &[u8]) -> Result<(), SessionError>,
        ) -> Result<(), SessionError>,
    ) -> Result<Vec<Damage>, SessionError> {
        let bad = self.differing(device)?;
        let mut damage = Vec::with_capacity(bad.len());
        if bad.is_empty() {
            return Ok(damage);
        }
        again(&mut |offset, part| {
            for (offset, bytes) in cut(offset, part) {
                if let Some(block) = bad.iter().find(|b| b.offset == offset) {
                    damage.push(self.restore(device, *block, bytes)?);
                }
            }
            Ok(())
        })?;
        Ok(damage)
    }

    /// Blocks that are read back otherwise than they were written.
    fn differing(&self, device: &mut dyn Device) -> Result<Vec<Block>, SessionError> {
        let mut bytes = vec![0; BLOCK];
        let mut bad = Vec::new();
        for block in &self.digests.0 {
            let bytes = &mut bytes[..block.length];
            fetch(&self.buffer, device, block.offset, bytes)?;
            if XxHash3_64::oneshot(bytes) != block.digest {
                bad.push(*block);
            }
        }
        Ok(bad)
    }

    /// Writes a block again and looks whether it stays.
    fn restore(
        &mut self,
        device: &mut dyn Device,
        block: Block,
        bytes: &[u8],
    ) -> Result<Damage, SessionError> {
        let content = self.content;
        if XxHash3_64::oneshot(bytes) != block.digest {
            return Err(SessionError::SourceChanged { content });
        }
        let at = self.allocation();
        let mut found = vec![0; bytes.len()];
        fetch(&self.buffer, device, block.offset, &mut found)?;
        let damage = Damage::between(content, at, block.offset, bytes, &found);
        warn!(
            what = %content,
            offset = damage.offset.0,
            address = %damage.address,
            bytes = damage.bytes,
            expected = format_args!("{:#04x}", damage.expected),
            got = format_args!("{:#04x}", damage.found),
            "device memory is damaged: it is written again"
        );
        self.buffer
            .put(device, Bytes(block.offset), bytes)
            .doing("writing damaged memory again")?;
        fetch(&self.buffer, device, block.offset, &mut found)?;
        if found == bytes {
            return Ok(damage);
        }
        let last = bytes.iter().zip(&found).rposition(|(e, f)| e != f);
        let end = block.offset + last.unwrap_or(0) as u64 + 1;
        Err(SessionError::Stuck {
            damage: Damage::between(content, at, block.offset, bytes, &found),
            end: DeviceAddress(at.address.0 + end),
        })
    }
}

/// Reads from memory, not from what the CPU wrote: the range is synced first.
fn fetch(
    buffer: &DeviceBuffer,
    device: &mut dyn Device,
    offset: u64,
    out: &mut [u8],
) -> Result<(), SessionError> {
    buffer
        .fetch(device, Bytes(offset), out)
        .doing("reading device memory back")
}

#[cfg(test)]
mod tests {
    use fqbert_contract::device::CpuBuffer;

    use super::*;

    /// A buffer of three blocks and a bit, and what was written to it.
    fn kept(device: &mut dyn Device) -> (Kept, Vec<u8>) {
        let bytes: Vec<u8> = (0..3 * BLOCK + 100).map(|i| (i * 7 / 3) as u8).collect();
        let mut digests = Digests::default();
        let mut buffer = CpuBuffer::allocate(device, Bytes(bytes.len() as u64)).unwrap();
        // In two parts, as a model's constants come in many.
        let (first, second) = bytes.split_at(BLOCK + 64);
        for (offset, part) in [(0, first), (first.len() as u64, second)] {
            digests.add(offset, part);
            buffer.write(device, Bytes(offset), part).unwrap();
        }
        let buffer = buffer.into_device(device).unwrap();
        let content = Content::Constants;
        let kept = Kept {
            buffer,
            digests,
            content,
        };
        assert_eq!(kept.bytes(), bytes.len() as u64);
        (kept, bytes)
    }

    fn repair(
        kept: &mut Kept,
        device: &mut dyn Device,
        bytes: &[u8],
    ) -> Result<Vec<Damage>, SessionError> {
        let (first, second) = bytes.split_at(BLOCK + 64);
        kept.repair(device, |write| {
            write(0, first)?;
            write(first.len() as u64, second)
        })
    }

    #[test]
    fn each_damaged_block_is_named_and_written_again() {
        let mut device = fqbert_open::open_device("emu:tiny?threads=1").unwrap();
        let (mut kept, bytes) = kept(device.as_mut());
        assert_eq!(repair(&mut kept, device.as_mut(), &bytes).unwrap(), []);
        // Two bytes of one block, and the last of all.
        let last = bytes.len() as u64 - 1;
        for at in [9, 3000, last] {
            let flipped = [bytes[at as usize] ^ 0x10];
            let buffer = &mut kept.buffer;
            buffer.put(device.as_mut(), Bytes(at), &flipped).unwrap();
        }
        let damage = repair(&mut kept, device.as_mut(), &bytes).unwrap();
        let found: Vec<_> = damage.iter().map(|d| (d.offset.0, d.bytes)).collect();
        assert_eq!(found, [(9, 2), (last, 1)]);
        assert_eq!(damage[0].expected ^ damage[0].found, 0x10);
        let address = kept.allocation().address.0 + 9;
        assert_eq!(damage[0].address.0, address);
        let text = damage[0].to_string();
        for part in [
            "2 bytes",
            "constants",
            "offset 9 ",
            &format!("{address:#x}"),
        ] {
            assert!(text.contains(part), "{text}");
        }
        assert_eq!(repair(&mut kept, device.as_mut(), &bytes).unwrap(), []);
    }

    #[test]
    fn nothing_is_written_from_a_source_that_has_changed() {
        let mut device = fqbert_open::open_device("emu:tiny?threads=1").unwrap();
        let (mut kept, mut bytes) = kept(device.as_mut());
        kept.buffer
            .put(device.as_mut(), Bytes(70), &[0xff])
            .unwrap();
        bytes[80] ^= 1;
        let error = repair(&mut kept, device.as_mut(), &bytes).unwrap_err();
        assert!(
            matches!(error, SessionError::SourceChanged { .. }),
            "{error}"
        );
        assert!(
            error.to_string().contains("open the model again"),
            "{error}"
        );
    }
}
