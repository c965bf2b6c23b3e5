//! The memory a device's DMA reaches.

/// How a memory refuses a transfer (AXI4 response codes, Arm IHI 0022).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AxiFault {
    /// SLVERR: the memory was reached and failed.
    #[error("the memory answered SLVERR")]
    Slverr,
    /// DECERR: no memory has the address.
    #[error("the interconnect answered DECERR: no memory at the address")]
    Decerr,
}

/// Bytes that a memory refuses to move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Device addresses.
    pub range: std::ops::Range<u64>,
    /// The response of a transfer that touches them.
    pub fault: AxiFault,
    /// Whether reads are refused, or writes.
    pub reads: bool,
}

impl Refusal {
    /// Whether it refuses a transfer of `length` bytes from `address` on.
    pub fn hits(&self, address: u64, length: usize, reads: bool) -> bool {
        let end = address.saturating_add(length as u64);
        self.reads == reads && self.range.start < end && address < self.range.end
    }
}

/// Memory behind the device's AXI ports, by physical address.
///
/// The device has checked its window before it calls: an implementation sees aligned transfers of
/// whole beats only. A transfer that is refused must leave memory as it was.
pub trait Ddr {
    /// Fills `out` with the bytes from `address` on.
    ///
    /// # Errors
    /// The response of the bus, if not OKAY.
    fn read(&self, address: u64, out: &mut [u8]) -> Result<(), AxiFault>;

    /// Writes `data` to the bytes from `address` on.
    ///
    /// # Errors
    /// The response of the bus, if not OKAY.
    fn write(&mut self, address: u64, data: &[u8]) -> Result<(), AxiFault>;

    /// The bytes of a transfer where they lie, so that a device need not copy what it reads once;
    /// none from a memory that has them nowhere.
    ///
    /// # Errors
    /// As those of [`Ddr::read`], which an implementation of both must agree with.
    fn lend(&self, address: u64, length: usize) -> Result<Option<Lent<'_>>, AxiFault> {
        let _ = (address, length);
        Ok(None)
    }

    /// Whether [`Ddr::lend`] gives something, without making it.
    ///
    /// # Errors
    /// As those of [`Ddr::lend`].
    fn lends(&self, address: u64, length: usize) -> Result<bool, AxiFault> {
        Ok(self.lend(address, length)?.is_some())
    }
}

/// Bytes of a page of lent memory.
pub const PAGE: usize = 4096;

/// A range of bytes where they lie, page by page.
#[derive(Clone, Debug)]
pub struct Lent<'a> {
    pages: Vec<&'a [u8; PAGE]>,
    /// Of the first byte in its page.
    offset: usize,
}

impl<'a> Lent<'a> {
    /// The bytes from `offset` of the first of `pages` on.
    pub fn new(pages: Vec<&'a [u8; PAGE]>, offset: usize) -> Self {
        Self { pages, offset }
    }

    /// `length` bytes from `at` on in the parts that lie in one page each; what lies behind the
    /// last page is missing.
    pub fn parts(&self, at: usize, length: usize) -> impl Iterator<Item = &'a [u8]> {
        let (start, end) = (self.offset + at, self.offset + at + length);
        let pages = self.pages.iter().enumerate().skip(start / PAGE);
        pages.map_while(move |(index, page)| {
            let from = start.max(index * PAGE);
            let to = end.min((index + 1) * PAGE);
            (from < to).then(|| &page[from - index * PAGE..to - index * PAGE])
        })
    }

    /// `N` bytes from `at` on, which may lie in two pages; zeros behind the last one.
    #[inline]
    pub fn get<const N: usize>(&self, at: usize) -> [u8; N] {
        let at = self.offset + at;
        let whole = self.pages.get(at / PAGE).map(|page| &page[at % PAGE..]);
        match whole.and_then(|bytes| bytes.first_chunk()) {
            Some(bytes) => *bytes,
            None => self.across(at),
        }
    }

    /// Gives `take` the number of each of `count` runs of `N` bytes, `step` bytes apart, and its
    /// bytes.
    #[inline(always)]
    pub fn each<const N: usize>(
        &self,
        at: usize,
        step: usize,
        count: usize,
        mut take: impl FnMut(usize, &[u8; N]),
    ) {
        let mut at = self.offset + at;
        for run in 0..count {
            let whole = self.pages.get(at / PAGE).map(|page| &page[at % PAGE..]);
            match whole.and_then(|bytes| bytes.first_chunk()) {
                Some(bytes) => take(run, bytes),
                None => take(run, &self.across(at)),
            }
            at += step;
        }
    }

    /// [`Lent::get`] from a byte of the first page on.
    #[cold]
    fn across<const N: usize>(&self, at: usize) -> [u8; N] {
        std::array::from_fn(|i| {
            let page = self.pages.get((at + i) / PAGE);
            page.map_or(0, |page| page[(at + i) % PAGE])
        })
    }
}
