//! Whether device memory still holds what was written there.
//!
//! What is promised: with [`Scrub::Every`] run, an answer is given only if, after its run, code,
//! constants and input were read back from memory as they were written; otherwise what differs is
//! written again and the run repeated. With every N-th run a flip is found N runs later at most,
//! and [`ScrubReport::runs_before`] says how many answers may be wrong. Whatever the option says,
//! memory is read back after a failed attempt, since a flipped word can be what failed it. Nothing
//! runs during a scrub.

use std::num::NonZeroU32;

use fqbert_contract::Bytes;
use fqbert_contract::registers as regs;
use tracing::{info_span, warn};

use super::Session;
use crate::batch::Extent;
use crate::damage::{Content, Damage};
use crate::error::{Doing, SessionError};

/// When device memory is read back and compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scrub {
    /// Only when asked for ([`Session::scrub`]).
    #[default]
    Never,
    /// After every so many runs, before the last one's answer is given.
    Every(NonZeroU32),
}

/// What a scrub found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScrubReport {
    /// Bytes read back.
    pub bytes: Bytes,
    /// What differed, and has been written again.
    pub damage: Vec<Damage>,
    /// Runs answered since memory was last read back in full. Where something differs, any of them
    /// may have been computed from it.
    pub runs_before: u64,
}

impl Session {
    /// Reads code and constants back from device memory and writes again what differs.
    ///
    /// # Errors
    /// A call on the device; [`SessionError::Stuck`] for memory that does not hold what is written;
    /// [`SessionError::SourceChanged`] if the model in the host's memory is not what it was. The
    /// next run scrubs first then.
    pub fn scrub(&mut self) -> Result<ScrubReport, SessionError> {
        let report = self.read_back();
        // A device that failed may have lost its registers.
        self.unsettled |= report.is_err();
        report
    }

    fn read_back(&mut self) -> Result<ScrubReport, SessionError> {
        let status = self.device.read32(regs::STATUS).doing("reading STATUS")?;
        if self.unsettled || status & regs::status::BUSY != 0 {
            self.recover()?;
        }
        let _span = info_span!("scrub").entered();
        self.unchecked = true;
        let (bytes, damage) =
            self.programs
                .scrub(self.device.as_mut(), &self.model, &self.geometry)?;
        self.unchecked = false;
        self.statistics.scrubs += 1;
        let runs_before = std::mem::take(&mut self.runs_since_scrub);
        if !damage.is_empty() && runs_before > 0 {
            warn!(
                runs_before,
                "answers were given since device memory was last known to be intact"
            );
        }
        Ok(ScrubReport {
            bytes,
            damage,
            runs_before,
        })
    }

    /// Scrubs after a failed attempt, and after a scrub that did not come to its end.
    pub(super) fn scrub_if_unchecked(&mut self) -> Result<(), SessionError> {
        if self.unchecked {
            self.scrub()?;
        }
        Ok(())
    }

    /// After a proven run: the first damage of what it was computed from, if it is time to look.
    pub(super) fn damage_after(
        &mut self,
        extent: Extent,
        images: &[Vec<u8>; 3],
    ) -> Result<Option<Damage>, SessionError> {
        let Scrub::Every(runs) = self.options.scrub else {
            self.runs_since_scrub += 1;
            return Ok(None);
        };
        if self.runs_since_scrub + 1 < u64::from(runs.get()) {
            self.runs_since_scrub += 1;
            return Ok(None);
        }
        let report = self.scrub()?;
        let damage = match report.damage.first() {
            Some(damage) => Some(*damage),
            None => {
                let damage = self.damaged_input(extent, images);
                self.unsettled |= damage.is_err();
                damage?
            }
        };
        if damage.is_none() {
            self.record.scrubbed += 1;
        }
        Ok(damage)
    }

    /// Compares the input in device memory with what was written.
    fn damaged_input(
        &mut self,
        extent: Extent,
        images: &[Vec<u8>; 3],
    ) -> Result<Option<Damage>, SessionError> {
        let device = self.device.as_mut();
        let loaded = self
            .programs
            .get(device, &self.model, &self.geometry, extent)?;
        let program = &loaded.program;
        let spans = [program.input_x8, program.input_x16, program.input_ranges];
        for (span, image) in spans.iter().zip(images) {
            let mut found = vec![0; image.len()];
            loaded
                .input
                .fetch(device, Bytes(span.offset), &mut found)
                .doing("reading the input back")?;
            if found != *image {
                let content = Content::Input(extent);
                let buffer = loaded.input.allocation();
                let damage = Damage::between(content, buffer, span.offset, image, &found);
                self.statistics.damaged += 1;
                warn!("{damage}: it is written again and the run repeated");
                return Ok(Some(damage));
            }
        }
        Ok(None)
    }
}
