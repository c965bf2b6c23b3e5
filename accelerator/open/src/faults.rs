//! `fault:SEED[,PLAN],URI`.

use fqbert_faults::Plan;

use crate::uri::UriError;

/// The seed, the plan and the URI of the device inside.
pub(crate) fn parts(text: &str) -> Result<(u64, Plan, &str), UriError> {
    let wrong = |what: String| UriError::Faults { what };
    let (seed, rest) = text
        .split_once(',')
        .ok_or_else(|| wrong("no device is named".to_owned()))?;
    let seed = seed
        .parse()
        .map_err(|_| wrong(format!("seed {seed:?} is not a 64-bit number")))?;
    // A plan has no colon, and every URI has one before its first comma.
    let (plan, uri) = match rest.split_once(',') {
        Some((plan, uri)) if !plan.contains(':') => (plan.parse()?, uri),
        _ => (Plan::default(), rest),
    };
    if uri.starts_with("fault:") {
        return Err(wrong("a device with faults inside another one".to_owned()));
    }
    Ok((seed, plan, uri))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uri::check_errors;
    use fqbert_faults::Fault;

    #[test]
    fn every_part() {
        let (seed, plan, uri) = parts("7,lost-doorbell=0.5+gone@3,emu:tiny?seed=1,2").unwrap();
        assert_eq!((seed, uri), (7, "emu:tiny?seed=1,2"));
        let expected = Plan::none()
            .rate(Fault::LostDoorbell, 0.5)
            .at(Fault::Gone, 3);
        assert_eq!(plan, expected);
        assert_eq!(parts("0,emu:a,b").unwrap(), (0, Plan::default(), "emu:a,b"));
    }

    #[test]
    fn errors_name_the_thing_and_what_there_is() {
        check_errors(
            |text| parts(text).map(|(seed, ..)| seed),
            &[
                ("", &["no device", "fault:SEED,URI"]),
                ("7", &["no device"]),
                ("x,emu:tiny", &["\"x\"", "64-bit"]),
                ("7,lost,emu:tiny", &["\"lost\"", "lost-doorbell"]),
                ("7,gone=2,emu:tiny", &["gone=2", "NAME=CHANCE"]),
                ("7,fault:8,emu:tiny", &["inside another"]),
            ],
        );
    }
}
