//! What answers were computed by, beside them in the JSON.

use fqbert_runtime::Provenance;
use serde::Serialize;

#[derive(Serialize)]
struct Device<'a> {
    uri: Option<&'a str>,
    kind: Option<&'a str>,
    geometry: &'static str,
    build: u32,
}

#[derive(Serialize)]
struct Source<'a> {
    model_sha256: &'a str,
    contract: &'a str,
    contract_sha256: &'a str,
    programs_sha256: Vec<&'a str>,
    device: Device<'a>,
    runs: u64,
    attempts: u64,
    /// Of the runs, those after which memory was found intact before they answered.
    scrubbed: u64,
    /// Why the fallback answered.
    fallback: Option<&'a str>,
}

#[derive(Serialize)]
struct WithSource<'a, T: Serialize> {
    #[serde(flatten)]
    answer: &'a T,
    provenance: Source<'a>,
}

/// Prints an answer's JSON object with the key `provenance` added.
pub fn json(answer: &impl Serialize, p: &Provenance) -> anyhow::Result<()> {
    let run = &p.run;
    crate::output::json(&WithSource {
        answer,
        provenance: Source {
            model_sha256: &p.model_sha256,
            contract: &p.contract,
            contract_sha256: p.contract_sha256,
            programs_sha256: run.programs.iter().map(AsRef::as_ref).collect(),
            device: Device {
                uri: p.device.as_deref(),
                kind: p.kind(),
                geometry: run.geometry,
                build: run.build,
            },
            runs: run.runs,
            attempts: run.attempts,
            scrubbed: run.scrubbed,
            fallback: run.fallback.as_deref(),
        },
    })
}
