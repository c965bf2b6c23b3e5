//! Device memory as two images: what the CPU's caches hold and what DMA sees.
//!
//! Pages are shared by reference between the images after a sync and copied by the first write to
//! either, so a synced buffer costs its bytes once and a sync of whole pages copies nothing. A page
//! that was never written reads as a fixed pattern, another one in each image: a missing sync gives
//! the same wrong bytes on every run.

use std::sync::Arc;

use rayon::prelude::*;

use crate::ddr::{AxiFault, Ddr, Lent, PAGE, Refusal};

/// A transfer is cut into pieces of this size for the threads of a pool, if it is longer than two:
/// weights come out of memory faster to several cores.
const PIECE: usize = 16384;
/// What the CPU reads where neither it nor a sync has written.
const CPU_POISON: u8 = 0xc3;
/// What DMA reads where neither it nor a sync has written.
const DEVICE_POISON: u8 = 0xd7;

type Page = [u8; PAGE];

/// What DMA reads of a page that was never written.
static POISONED: Page = [DEVICE_POISON; PAGE];

/// One image of the memory.
#[derive(Debug)]
pub(crate) struct Image {
    pages: Vec<Option<Arc<Page>>>,
    poison: u8,
}

impl Image {
    fn new(poison: u8) -> Self {
        Self {
            pages: Vec::new(),
            poison,
        }
    }

    fn page(&self, index: usize) -> Option<&Arc<Page>> {
        self.pages.get(index)?.as_ref()
    }

    fn slot(&mut self, index: usize) -> &mut Option<Arc<Page>> {
        if self.pages.len() <= index {
            self.pages.resize(index + 1, None);
        }
        &mut self.pages[index]
    }

    fn page_mut(&mut self, index: usize) -> &mut Page {
        let poison = self.poison;
        Arc::make_mut(
            self.slot(index)
                .get_or_insert_with(|| Arc::new([poison; PAGE])),
        )
    }

    /// Copies the bytes from `start` on.
    pub(crate) fn read(&self, start: u64, out: &mut [u8]) {
        for (piece, range) in pieces(start, out.len()) {
            let out = &mut out[range];
            match self.page(piece.page) {
                Some(page) => out.copy_from_slice(&page[piece.offset..][..out.len()]),
                None => out.fill(self.poison),
            }
        }
    }

    /// Replaces the bytes from `start` on.
    pub(crate) fn write(&mut self, start: u64, data: &[u8]) {
        for (piece, range) in pieces(start, data.len()) {
            let data = &data[range];
            match data.as_array::<PAGE>() {
                Some(whole) => *self.slot(piece.page) = Some(Arc::new(*whole)),
                None => {
                    self.page_mut(piece.page)[piece.offset..][..data.len()].copy_from_slice(data)
                }
            }
        }
    }

    /// Makes the bytes of a range those of `source`. `end` is where the buffer ends: the rest of
    /// its last page belongs to nobody.
    fn sync_from(&mut self, source: &Image, start: u64, length: usize, end: u64) {
        for (piece, range) in pieces(start, length) {
            let count = range.len();
            let last = piece.page as u64 * PAGE as u64 + (piece.offset + count) as u64;
            let whole = piece.offset == 0 && (count == PAGE || last == end);
            match source.page(piece.page) {
                Some(page) if whole => *self.slot(piece.page) = Some(Arc::clone(page)),
                Some(page) => {
                    let already = self
                        .page(piece.page)
                        .is_some_and(|own| Arc::ptr_eq(own, page));
                    if !already {
                        self.page_mut(piece.page)[piece.offset..][..count]
                            .copy_from_slice(&page[piece.offset..][..count]);
                    }
                }
                None => self.page_mut(piece.page)[piece.offset..][..count].fill(source.poison),
            }
        }
    }

    fn forget(&mut self, start: u64, length: u64) {
        let pages = start as usize / PAGE..(start + length) as usize / PAGE;
        let known = pages.start.min(self.pages.len())..pages.end.min(self.pages.len());
        self.pages[known].fill(None);
    }
}

/// A part of a range inside one page.
struct Piece {
    page: usize,
    offset: usize,
}

/// The parts of a range page by page, each with the bytes of the range it holds.
fn pieces(start: u64, length: usize) -> impl Iterator<Item = (Piece, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == length {
            return None;
        }
        let at = start as usize + done;
        let offset = at % PAGE;
        let count = (PAGE - offset).min(length - done);
        let range = done..done + count;
        done += count;
        Some((
            Piece {
                page: at / PAGE,
                offset,
            },
            range,
        ))
    })
}

/// The memory of a simulated accelerator. Offsets are from its first byte; callers have checked
/// them against its size.
#[derive(Debug)]
pub struct Dram {
    base: u64,
    total: u64,
    /// The CPU's image.
    pub(crate) cpu: Image,
    device: Image,
    refusals: Vec<Refusal>,
}

impl Dram {
    /// A memory of `total` bytes at device address `base`.
    pub fn new(base: u64, total: u64) -> Self {
        Self {
            base,
            total,
            cpu: Image::new(CPU_POISON),
            device: Image::new(DEVICE_POISON),
            refusals: Vec::new(),
        }
    }

    /// Makes the CPU's bytes of a range visible to DMA; `end` is where the buffer ends.
    pub(crate) fn sync_to_device(&mut self, start: u64, length: usize, end: u64) {
        self.device.sync_from(&self.cpu, start, length, end);
    }

    /// Makes DMA's bytes of a range visible to the CPU; `end` is where the buffer ends.
    pub(crate) fn sync_to_cpu(&mut self, start: u64, length: usize, end: u64) {
        self.cpu.sync_from(&self.device, start, length, end);
    }

    /// Returns whole pages to the never-written state.
    pub(crate) fn forget(&mut self, start: u64, length: u64) {
        self.cpu.forget(start, length);
        self.device.forget(start, length);
    }

    /// Makes the memory refuse transfers of DMA: these and no others.
    pub(crate) fn refuse(&mut self, refusals: Vec<Refusal>) {
        self.refusals = refusals;
    }

    /// Offset of a transfer that lies inside the memory and is not refused.
    fn locate(&self, address: u64, length: usize, reads: bool) -> Result<u64, AxiFault> {
        if let Some(refusal) = self
            .refusals
            .iter()
            .find(|r| r.hits(address, length, reads))
        {
            return Err(refusal.fault);
        }
        let offset = address.checked_sub(self.base).ok_or(AxiFault::Decerr)?;
        let end = offset.checked_add(length as u64).ok_or(AxiFault::Decerr)?;
        if end <= self.total {
            Ok(offset)
        } else {
            Err(AxiFault::Decerr)
        }
    }
}

/// DMA reaches the whole memory, allocated or not, as it would on a board; there is none elsewhere.
impl Ddr for Dram {
    fn read(&self, address: u64, out: &mut [u8]) -> Result<(), AxiFault> {
        let offset = self.locate(address, out.len(), true)?;
        if out.len() <= 2 * PIECE || rayon::current_thread_index().is_none() {
            self.device.read(offset, out);
        } else {
            let pieces = out.par_chunks_mut(PIECE).enumerate().with_max_len(1);
            pieces.for_each(|(at, out)| self.device.read(offset + (at * PIECE) as u64, out));
        }
        Ok(())
    }

    fn write(&mut self, address: u64, data: &[u8]) -> Result<(), AxiFault> {
        let offset = self.locate(address, data.len(), false)?;
        self.device.write(offset, data);
        Ok(())
    }

    fn lend(&self, address: u64, length: usize) -> Result<Option<Lent<'_>>, AxiFault> {
        let offset = self.locate(address, length, true)?;
        let pages = pieces(offset, length)
            .map(|(piece, _)| self.device.page(piece.page).map_or(&POISONED, Arc::as_ref))
            .collect();
        Ok(Some(Lent::new(pages, offset as usize % PAGE)))
    }

    fn lends(&self, address: u64, length: usize) -> Result<bool, AxiFault> {
        self.locate(address, length, true).map(|_| true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn images_differ_until_synced() {
        let mut m = Dram::new(0x1000, 1 << 16);
        let mut seen = [0; 4];
        m.cpu.write(4094, &[1, 2, 3, 4]);
        Ddr::read(&m, 0x1000 + 4094, &mut seen).unwrap();
        assert_eq!(seen, [DEVICE_POISON; 4]);
        m.sync_to_device(4095, 2, 8192);
        Ddr::read(&m, 0x1000 + 4094, &mut seen).unwrap();
        assert_eq!(seen, [DEVICE_POISON, 2, 3, DEVICE_POISON]);
        Ddr::write(&mut m, 0x1000 + 4094, &[9; 4]).unwrap();
        m.cpu.read(4094, &mut seen);
        assert_eq!(seen, [1, 2, 3, 4]);
        m.sync_to_cpu(4094, 4, 8192);
        m.cpu.read(4094, &mut seen);
        assert_eq!(seen, [9; 4]);
    }

    #[test]
    fn no_memory_elsewhere() {
        let mut m = Dram::new(0x1000, 0x1000);
        for (address, length) in [(0xfff, 1), (0x2000, 1), (0x1fff, 2), (u64::MAX, 2), (0, 16)] {
            let mut bytes = vec![0; length];
            assert_eq!(Ddr::read(&m, address, &mut bytes), Err(AxiFault::Decerr));
            assert_eq!(Ddr::write(&mut m, address, &bytes), Err(AxiFault::Decerr));
        }
    }

    #[test]
    fn refusals_are_of_a_direction_and_leave_memory_as_it_was() {
        let mut m = Dram::new(0x1000, 0x1000);
        let refusal = |range, fault, reads| Refusal {
            range,
            fault,
            reads,
        };
        m.refuse(vec![
            refusal(0x1100..0x1101, AxiFault::Slverr, true),
            refusal(0x1200..0x1300, AxiFault::Decerr, false),
        ]);
        let mut bytes = [0; 16];
        assert_eq!(
            Ddr::read(&m, 0x10f8, &mut bytes),
            Err(AxiFault::Slverr),
            "a read that reaches the range"
        );
        assert_eq!(Ddr::read(&m, 0x10f0, &mut bytes), Ok(()));
        assert_eq!(Ddr::read(&m, 0x1101, &mut bytes), Ok(()));
        assert_eq!(Ddr::write(&mut m, 0x10f8, &[1; 16]), Ok(()));
        assert_eq!(Ddr::write(&mut m, 0x11f1, &[2; 16]), Err(AxiFault::Decerr));
        Ddr::read(&m, 0x11f1, &mut bytes).unwrap();
        assert_eq!(bytes, [DEVICE_POISON; 16]);
        m.refuse(Vec::new());
        assert_eq!(Ddr::write(&mut m, 0x11f1, &[2; 16]), Ok(()));
    }

    proptest! {
        /// Against two plain byte arrays.
        #[test]
        fn pages_are_an_implementation_detail(
            steps in proptest::collection::vec(
                (0u8..4, 0usize..16384, 0usize..9000, any::<u8>()),
                1..40,
            ),
        ) {
            const SIZE: usize = 16384;
            let mut m = Dram::new(0, SIZE as u64);
            let (mut cpu, mut device) = (vec![CPU_POISON; SIZE], vec![DEVICE_POISON; SIZE]);
            for (what, start, length, value) in steps {
                let range = start..(start + length).min(SIZE);
                let (at, length) = (start as u64, range.len());
                let data: Vec<u8> = (0..length).map(|i| value.wrapping_add(i as u8)).collect();
                match what {
                    0 => { m.cpu.write(at, &data); cpu[range].copy_from_slice(&data); }
                    1 => { m.device.write(at, &data); device[range].copy_from_slice(&data); }
                    2 => {
                        m.sync_to_device(at, length, SIZE as u64);
                        device[range.clone()].copy_from_slice(&cpu[range]);
                    }
                    _ => {
                        m.sync_to_cpu(at, length, SIZE as u64);
                        cpu[range.clone()].copy_from_slice(&device[range]);
                    }
                }
                let mut seen = vec![0; SIZE];
                m.cpu.read(0, &mut seen);
                prop_assert!(seen == cpu);
                m.device.read(0, &mut seen);
                prop_assert!(seen == device);
                let lent = m.lend(at, length).unwrap().unwrap();
                let seen = lent.parts(0, length).collect::<Vec<_>>().concat();
                prop_assert!(seen == device[start.min(SIZE)..][..length]);
                prop_assert_eq!(m.lends(at, length), Ok(true));
            }
        }
    }
}
