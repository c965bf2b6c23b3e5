//! The interrupt line, from the model's level to an input of the guest's GIC.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long QEMU may take to answer. It answers in some 50 us; only while it shuts down it does
/// not.
const PATIENCE: Duration = Duration::from_secs(2);

/// A wire that carries a level.
pub trait IrqLine: Send {
    /// Sets the level, and returns when the other end has it.
    ///
    /// # Errors
    /// The other end is gone or does not answer.
    fn set(&mut self, level: bool) -> io::Result<()>;
}

/// A GIC input driven through QEMU's qtest socket (`-qtest unix:PATH,server=on,wait=off`).
pub struct QtestLine {
    path: PathBuf,
    /// Shared peripheral interrupt number, as in the device tree: GIC id less 32.
    spi: u32,
    stream: Option<BufReader<UnixStream>>,
}

impl QtestLine {
    /// A line to shared peripheral interrupt `spi`. Connects at first use: plugins are loaded
    /// before QEMU opens its sockets.
    pub fn new(path: PathBuf, spi: u32) -> Self {
        Self {
            path,
            spi,
            stream: None,
        }
    }

    fn connect(&mut self) -> io::Result<&mut BufReader<UnixStream>> {
        let start = Instant::now();
        while self.stream.is_none() {
            match UnixStream::connect(&self.path) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(PATIENCE))?;
                    stream.set_write_timeout(Some(PATIENCE))?;
                    self.stream = Some(BufReader::new(stream));
                }
                Err(error) if start.elapsed() > PATIENCE => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        self.stream
            .as_mut()
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl IrqLine for QtestLine {
    fn set(&mut self, level: bool) -> io::Result<()> {
        let command = format!(
            "set_irq_in /machine/soc/gic unnamed-gpio-in {} {}\n",
            self.spi,
            u8::from(level)
        );
        let stream = self.connect()?;
        stream.get_mut().write_all(command.as_bytes())?;
        let mut answer = String::new();
        stream.read_line(&mut answer)?;
        match answer.trim_end() {
            "OK" => Ok(()),
            other => Err(io::Error::other(format!(
                "qtest answered `{other}` to `{}`",
                command.trim_end()
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_level_is_sent_and_its_answer_awaited() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("qtest");
        let listener = UnixListener::bind(&path).unwrap();
        let server = std::thread::spawn(move || {
            let mut peer = BufReader::new(listener.accept().unwrap().0);
            let mut seen = Vec::new();
            for answer in ["OK\n", "FAIL no such irq\n"] {
                let mut line = String::new();
                peer.read_line(&mut line).unwrap();
                seen.push(line);
                peer.get_mut().write_all(answer.as_bytes()).unwrap();
            }
            seen
        });
        let mut line = QtestLine::new(path, 89);
        line.set(true).unwrap();
        assert!(
            line.set(false)
                .unwrap_err()
                .to_string()
                .contains("no such irq")
        );
        let seen = server.join().unwrap();
        assert_eq!(
            seen[0],
            "set_irq_in /machine/soc/gic unnamed-gpio-in 89 1\n"
        );
        assert_eq!(
            seen[1],
            "set_irq_in /machine/soc/gic unnamed-gpio-in 89 0\n"
        );
    }
}
