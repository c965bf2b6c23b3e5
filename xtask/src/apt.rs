//! Debian packages, in two ways.
//!
//! *Unpacked*: downloaded and extracted into the cache. Nothing is installed, root is not needed
//! and the system's apt configuration stays as it is: we keep package lists of our own for
//! [`SUITE`], for amd64 and arm64. This is how the cross compiler, the kernel source and the
//! guest's busybox arrive, so they are the same on every Debian-like host.
//!
//! *Installed*: host tools (QEMU, the C cross compiler, dtc). These are only looked for on `PATH`;
//! what is missing is named, and installed with `--install` (root, used by CI).

use crate::host;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

/// The Debian release whose packages are unpacked; rustc-web, linux-source-6.12 and QEMU 10 are
/// all in it (the last from backports).
const SUITE: &str = "bookworm";

/// Package lists older than this are fetched again.
const LISTS_MAX_AGE: Duration = Duration::from_secs(24 * 3600);

/// A host tool, recognised by a program on `PATH` or a file, and the package that brings it.
pub struct Tool {
    /// A program's name, or an absolute path for what is no program.
    pub probe: &'static str,
    /// The Debian package.
    pub package: &'static str,
    /// Taken from backports: the stable version lacks what we need.
    pub backports: bool,
}

impl Tool {
    /// A tool from the stable suite.
    pub const fn stable(probe: &'static str, package: &'static str) -> Self {
        Self {
            probe,
            package,
            backports: false,
        }
    }

    /// A tool from backports.
    pub const fn backports(probe: &'static str, package: &'static str) -> Self {
        Self {
            probe,
            package,
            backports: true,
        }
    }

    fn present(&self) -> bool {
        if self.probe.starts_with('/') {
            Path::new(self.probe).exists()
        } else {
            host::which(self.probe).is_some()
        }
    }
}

/// Checks that `tools` are there; installs what is missing if `install` is set and we are root.
///
/// # Errors
/// Names every missing package, with the commands that install them.
pub fn require(tools: &[Tool], install: bool) -> Result<()> {
    let missing: Vec<&Tool> = tools.iter().filter(|tool| !tool.present()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = |backports: bool| {
        let mut names: Vec<&str> = missing
            .iter()
            .filter(|tool| tool.backports == backports)
            .map(|tool| tool.package)
            .collect();
        names.dedup();
        names
    };
    let (stable, backports) = (names(false), names(true));
    if !install || !nix::unistd::geteuid().is_root() {
        let mut help = format!(
            "missing Debian packages: {}",
            [&stable[..], &backports[..]].concat().join(" ")
        );
        if !stable.is_empty() {
            help += &format!(
                "\n  apt-get install --no-install-recommends {}",
                stable.join(" ")
            );
        }
        if !backports.is_empty() {
            help += &format!(
                "\n  apt-get install --no-install-recommends -t {SUITE}-backports {}",
                backports.join(" ")
            );
        }
        bail!("{help}\nor, as root, run this command again with --install");
    }
    let apt = Apt::open()?;
    apt.install(&stable, None)?;
    apt.install(&backports, Some(&format!("{SUITE}-backports")))?;
    match tools.iter().find(|tool| !tool.present()) {
        None => Ok(()),
        Some(tool) => bail!(
            "installed {}, but {} is still missing",
            tool.package,
            tool.probe
        ),
    }
}

/// apt with lists, sources and archives in our cache.
pub struct Apt {
    dir: PathBuf,
    config: PathBuf,
}

impl Apt {
    /// Sets the private lists up and refreshes them when they are a day old.
    ///
    /// # Errors
    /// No apt on this machine, or the mirror is out of reach.
    pub fn open() -> Result<Self> {
        if host::which("apt-get").is_none() || host::which("dpkg-deb").is_none() {
            bail!(
                "apt-get and dpkg-deb are needed to fetch Debian {SUITE} packages; on another \
                 system run this inside a Debian container, or use `cross` with cross.toml"
            );
        }
        let dir = host::cache()?.join("apt");
        for sub in ["lists/partial", "cache/archives/partial", "debs"] {
            fs::create_dir_all(dir.join(sub))?;
        }
        let apt = Self {
            config: dir.join("apt.conf"),
            dir,
        };
        host::write_atomically(&apt.dir.join("sources.list"), sources()?.as_bytes())?;
        host::write_atomically(&apt.config, apt.configuration().as_bytes())?;
        apt.refresh()?;
        Ok(apt)
    }

    /// apt's settings: ours for lists, sources and archives; the system's for what is installed.
    fn configuration(&self) -> String {
        let dir = self.dir.display();
        format!(
            "Dir::Etc::sourcelist \"{dir}/sources.list\";\n\
             Dir::Etc::sourceparts \"-\";\n\
             Dir::State::lists \"{dir}/lists\";\n\
             Dir::Cache \"{dir}/cache\";\n\
             Dir::State::status \"/var/lib/dpkg/status\";\n\
             APT::Architectures {{ \"amd64\"; \"arm64\"; }};\n\
             APT::Sandbox::User \"root\";\n"
        )
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("APT_CONFIG", &self.config)
            .env("DEBIAN_FRONTEND", "noninteractive");
        command
    }

    fn refresh(&self) -> Result<()> {
        let stamp = self.dir.join("lists.stamp");
        let fresh = fs::metadata(&stamp)
            .and_then(|meta| meta.modified())
            .ok()
            .and_then(|time| SystemTime::now().duration_since(time).ok())
            .is_some_and(|age| age < LISTS_MAX_AGE);
        if fresh {
            return Ok(());
        }
        host::note(format!("fetching the package lists of Debian {SUITE}"));
        let updated = host::run(self.command("apt-get").args(["-qq", "update"]));
        match updated {
            Ok(()) => host::write_atomically(&stamp, b""),
            // Offline with lists from an earlier day: good enough, versions stay what they were.
            Err(error) if stamp.exists() => {
                host::note(format!("keeping the old package lists: {error:#}"));
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn install(&self, packages: &[&str], release: Option<&str>) -> Result<()> {
        if packages.is_empty() {
            return Ok(());
        }
        host::note(format!("installing {}", packages.join(" ")));
        let mut command = self.command("apt-get");
        command.args(["install", "-y", "-qq", "--no-install-recommends"]);
        command.args(release.map(|release| format!("--target-release={release}")));
        // Progress goes to stderr: stdout belongs to the command that is run later.
        let log = host::output(command.args(packages))?;
        if let Some(last) = log.lines().last() {
            host::note(last);
        }
        Ok(())
    }

    /// The newest version of a package (`name` or `name:arch`).
    ///
    /// # Errors
    /// The package is not in the suite.
    pub fn version(&self, package: &str) -> Result<String> {
        self.field(package, "Version")
    }

    /// A control field of the newest version of a package.
    pub fn field(&self, package: &str, field: &str) -> Result<String> {
        let shown =
            host::output(
                self.command("apt-cache")
                    .args(["show", "--no-all-versions", package]),
            )?;
        let prefix = format!("{field}: ");
        shown
            .lines()
            .find_map(|line| line.strip_prefix(prefix.as_str()))
            .map(str::to_owned)
            .with_context(|| format!("package {package} has no field {field}"))
    }

    /// Downloads a package unless this version is already in the cache.
    ///
    /// # Errors
    /// Unknown package, or the mirror is out of reach.
    pub fn download(&self, package: &str) -> Result<PathBuf> {
        let (name, version) = (
            package.split(':').next().unwrap_or(package),
            self.version(package)?,
        );
        let arch = self.field(package, "Architecture")?;
        // apt writes an epoch's colon as %3a.
        let file = format!("{name}_{}_{arch}.deb", version.replace(':', "%3a"));
        let path = self.dir.join("debs").join(&file);
        if !path.exists() {
            host::note(format!("downloading {file}"));
            let exact = format!("{package}={version}");
            host::output(
                self.command("apt-get")
                    .args(["-qq", "download", &exact])
                    .current_dir(self.dir.join("debs")),
            )?;
        }
        if !path.exists() {
            bail!(
                "apt-get download {package} did not leave {}",
                path.display()
            );
        }
        Ok(path)
    }
}

/// Extracts a package's files below `into`.
pub fn unpack(deb: &Path, into: &Path) -> Result<()> {
    fs::create_dir_all(into)?;
    host::run(Command::new("dpkg-deb").arg("-x").arg(deb).arg(into))
}

/// Our sources, signed by Debian's keyring.
///
/// # Errors
/// No mirror is known.
fn sources() -> Result<String> {
    let mirror = mirror()?;
    let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
    let mut text = String::new();
    for (tree, suite) in [
        ("debian", SUITE.to_owned()),
        ("debian", format!("{SUITE}-updates")),
        ("debian", format!("{SUITE}-backports")),
        ("debian-security", format!("{SUITE}-security")),
    ] {
        text += &format!("deb [signed-by={keyring}] {mirror}/{tree} {suite} main\n");
    }
    Ok(text)
}

/// The mirror without its last `/debian`: `$FQBERT_DEBIAN_MIRROR`, else the one that this system
/// installs from.
fn mirror() -> Result<String> {
    let named = std::env::var("FQBERT_DEBIAN_MIRROR").ok();
    let listed = || {
        let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
        if let Ok(folder) = fs::read_dir("/etc/apt/sources.list.d") {
            files.extend(folder.flatten().map(|entry| entry.path()));
        }
        let texts = files
            .iter()
            .filter_map(|file| fs::read_to_string(file).ok());
        texts.into_iter().find_map(|text| mirror_in(&text))
    };
    let mirror = named.or_else(listed).context(
        "no Debian mirror in /etc/apt: name one in FQBERT_DEBIAN_MIRROR, \
         without the trailing /debian",
    )?;
    Ok(mirror.trim_end_matches('/').to_owned())
}

/// The first address that ends in `/debian` in a file of apt sources, of either format.
fn mirror_in(text: &str) -> Option<String> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .flat_map(str::split_whitespace)
        .map(|word| word.trim_end_matches('/'))
        .filter(|word| word.contains("://"))
        .find_map(|word| word.strip_suffix("/debian"))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::mirror_in;

    #[test]
    fn mirrors_of_both_formats() {
        let deb822 =
            "Types: deb\n# http://old/archive/debian/2025\nURIs: http://mirror.example/debian\n";
        assert_eq!(mirror_in(deb822).as_deref(), Some("http://mirror.example"));
        let one_line = "deb [arch=amd64] https://mirror.example/debian/ bookworm main\n";
        assert_eq!(
            mirror_in(one_line).as_deref(),
            Some("https://mirror.example")
        );
        assert_eq!(
            mirror_in("deb http://mirror.example/debian-security x main\n"),
            None
        );
    }
}
