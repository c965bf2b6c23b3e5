//! That a chain of the array is what the DSP48E2 has cascade wires for: every slice one DSP48E2,
//! PCOUT to PCIN, nothing between.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// Checks the netlist of one `fqbert_cascade`; gives the DSPs of the chain.
///
/// # Errors
/// A slice is not one DSP48E2, a sum takes another way than the cascade, or there is logic between.
pub fn check(netlist: &Value) -> Result<usize> {
    let module = netlist["modules"]
        .get("fqbert_cascade")
        .context("no module `fqbert_cascade` in the netlist")?;
    let cells = module["cells"].as_object().context("no cells")?;
    let (dsps, others): (Vec<_>, Vec<_>) =
        cells.values().partition(|cell| cell["type"] == "DSP48E2");
    let others: Vec<&str> = others.iter().filter_map(|c| c["type"].as_str()).collect();
    ensure!(
        others.is_empty(),
        "a cascade has {others:?} beside its DSPs"
    );
    let pins = |cell: &Value, port: &str| cell["connections"][port].clone();
    let first: Vec<_> = dsps
        .iter()
        .filter(|cell| bits(&pins(cell, "PCIN")).all(|bit| bit == "0"))
        .collect();
    ensure!(first.len() == 1, "{} chains, not one", first.len());
    let mut last = **first.first().context("no first slice")?;
    let mut length = 1;
    while let Some(next) = dsps.iter().find(|cell| {
        pins(cell, "PCIN") == pins(last, "PCOUT") && bits(&pins(cell, "PCIN")).count() == 48
    }) {
        last = next;
        length += 1;
        ensure!(length <= dsps.len(), "the cascade is a ring");
    }
    ensure!(
        length == dsps.len(),
        "the cascade has {length} of {} DSPs",
        dsps.len()
    );
    ensure!(
        pins(last, "P") == module["ports"]["p_o"]["bits"],
        "the last sum is not the module's output"
    );
    Ok(length)
}

/// The bits of a connection: numbers of nets, or the strings of constants.
fn bits(connection: &Value) -> impl Iterator<Item = &Value> {
    connection.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn nets(from: usize) -> Vec<usize> {
        (from..from + 48).collect()
    }

    fn chain() -> Value {
        let slice = |pcin: Value, pcout: usize, p: usize| {
            let connections = json!({"PCIN": pcin, "PCOUT": nets(pcout), "P": nets(p)});
            json!({"type": "DSP48E2", "connections": connections})
        };
        json!({"modules": {"fqbert_cascade": {
            "ports": {"p_o": {"bits": nets(900)}},
            "cells": {
                "a": slice(json!(vec!["0"; 48]), 100, 500),
                "b": slice(json!(nets(100)), 200, 600),
                "c": slice(json!(nets(200)), 300, 900),
            }
        }}})
    }

    #[test]
    fn a_chain_is_followed_to_its_end() {
        assert_eq!(check(&chain()).unwrap(), 3);
    }

    #[test]
    fn a_broken_chain_or_logic_between_is_an_error() {
        let mut broken = chain();
        broken["modules"]["fqbert_cascade"]["cells"]["c"]["connections"]["PCIN"][7] = json!(1);
        assert!(check(&broken).is_err());
        let mut logic = chain();
        logic["modules"]["fqbert_cascade"]["cells"]["d"] = json!({"type": "LUT2"});
        assert!(check(&logic).is_err());
        let mut output = chain();
        output["modules"]["fqbert_cascade"]["ports"]["p_o"]["bits"] = json!(nets(500));
        assert!(check(&output).is_err());
    }
}
