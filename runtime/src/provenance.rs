//! What an answer was computed by, so that it can be said again later which model, program,
//! contract and device gave it.

use fqbert_contract::CONTRACT_SHA256;
use fqbert_contract::isa::{CONTRACT_MAJOR, CONTRACT_MINOR};
use fqbert_session::RunRecord;

/// What the last answers were computed by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// SHA-256 of the model's file ([`crate::QuantizedModel::sha256`]).
    pub model_sha256: String,
    /// Version of the contract that program and accelerator share, such as `1.0`.
    pub contract: String,
    /// SHA-256 of the contract's sources.
    pub contract_sha256: &'static str,
    /// URI of the device that answered; `None` for a session that was opened otherwise.
    pub device: Option<String>,
    /// Geometry, programs, runs, and why a fallback answered if it did.
    pub run: RunRecord,
}

impl Provenance {
    /// The kind of device: the scheme of its URI, such as `emu` or `uio`.
    pub fn kind(&self) -> Option<&str> {
        let uri = self.device.as_deref()?;
        uri.split_once(':').map(|(scheme, _)| scheme)
    }
}

/// The URIs a session was opened with.
pub(crate) struct Uris {
    pub first: String,
    pub fallback: Option<String>,
}

/// Puts together what answered.
pub(crate) fn provenance(model_sha256: &str, uris: Option<&Uris>, run: &RunRecord) -> Provenance {
    let device = uris.and_then(|uris| match run.fallback {
        Some(_) => uris.fallback.clone(),
        None => Some(uris.first.clone()),
    });
    Provenance {
        model_sha256: model_sha256.to_owned(),
        contract: format!("{CONTRACT_MAJOR}.{CONTRACT_MINOR}"),
        contract_sha256: CONTRACT_SHA256,
        device,
        run: run.clone(),
    }
}
