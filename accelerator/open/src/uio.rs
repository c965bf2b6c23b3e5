//! `uio:NAME[?memory=NAME&wait=SECONDS&deadline=MS&manager=none&cached=no&manifest=FILE]`.

use std::time::Duration;

use fqbert_uio::{ManagerCheck, UioOptions};

use crate::uri::{Description, UriError};

/// Reads the part of the URI behind `uio:`.
pub(crate) fn options(text: &str) -> Result<UioOptions, UriError> {
    let description = Description::of(text);
    if description.name.is_empty() {
        return Err(UriError::NoName);
    }
    let mut options = UioOptions::new(description.name);
    for option in description.options() {
        match option.name {
            "memory" => {
                options.memory = option.text("the name of a UIO device or u-dma-buf buffer")?;
            }
            "wait" => {
                let seconds = option.number(0..=86_400, "seconds, 0..=86400")?;
                options.wait = Duration::from_secs(seconds);
            }
            "deadline" => {
                let ms = option.number(0..=600_000, "milliseconds, 0..=600000")?;
                options.deadline = Duration::from_millis(ms);
            }
            "manager" if option.value == "none" => options.manager = ManagerCheck::None,
            "manager" => return Err(option.wrong("none")),
            "cached" => {
                options.cached = match option.value {
                    "yes" => true,
                    "no" => false,
                    _ => return Err(option.wrong("yes or no")),
                }
            }
            "manifest" => {
                options.manifest = Some(option.path("the path of a bitstream manifest")?);
            }
            _ => {
                return Err(option.unknown(
                    "uio",
                    "memory=NAME, wait=SECONDS, deadline=MS, manager=none, cached=no and \
                     manifest=FILE",
                ));
            }
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uri::check_errors;

    #[test]
    fn every_option() {
        let all = options(
            "accel?memory=pool&wait=5&deadline=250&manager=none&cached=no\
             &manifest=/lib/firmware/x.toml",
        );
        let expected = UioOptions {
            name: "accel".into(),
            memory: "pool".into(),
            wait: Duration::from_secs(5),
            deadline: Duration::from_millis(250),
            manager: ManagerCheck::None,
            cached: false,
            manifest: Some("/lib/firmware/x.toml".into()),
        };
        assert_eq!(all, Ok(expected));
        let plain = options("fqbert0").unwrap();
        assert_eq!(plain, UioOptions::new("fqbert0"));
        assert_eq!(plain.memory, "fqbert0-dma");
        assert_eq!(options("fqbert0?&"), Ok(plain));
    }

    #[test]
    fn errors_name_the_thing_and_what_there_is() {
        check_errors(
            options,
            &[
                ("", &["uio:fqbert0"]),
                ("?wait=1", &["uio:fqbert0"]),
                ("fqbert0?speed=9", &["speed", "wait=SECONDS"]),
                ("fqbert0?memory=", &["memory", "u-dma-buf"]),
                ("fqbert0?wait=-1", &["wait", "-1", "86400"]),
                ("fqbert0?wait=99999999999999999999", &["wait"]),
                (
                    "fqbert0?deadline=soon",
                    &["deadline", "soon", "milliseconds"],
                ),
                ("fqbert0?manager=fpga0", &["manager", "fpga0", "none"]),
                ("fqbert0?cached", &["cached", "yes or no"]),
                ("fqbert0?manifest", &["manifest", "path"]),
            ],
        );
    }
}
