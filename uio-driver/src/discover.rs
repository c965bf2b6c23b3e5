//! UIO devices in sysfs (`/sys/class/uio`, Documentation/driver-api/uio-howto.rst), by name.

use std::path::PathBuf;

use crate::{Error, PhysAddr, Result, Roots, sysfs};

/// One memory map of a UIO device, as `maps/mapN` describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapInfo {
    /// N of `mapN`; `mmap` selects it by the file offset N pages.
    pub index: usize,
    /// Its name, or empty.
    pub name: String,
    /// Physical address of the first mapped byte.
    pub addr: PhysAddr,
    /// Bytes that can be mapped, from `addr`.
    pub size: u64,
    /// Where in the mapping the device's own range begins.
    pub offset: u64,
}

impl MapInfo {
    /// Bytes of the device's own range: the mapping without the lead-in of its first page.
    pub fn usable(&self) -> u64 {
        self.size.saturating_sub(self.offset)
    }

    /// Physical address of the device's own range.
    pub fn start(&self) -> Option<PhysAddr> {
        self.addr.checked_add(self.offset)
    }
}

/// A UIO device as sysfs describes it; nothing is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// N of `/dev/uioN`. Changes from boot to boot: for messages only.
    pub number: u32,
    /// `linux,uio-name` of the device-tree node.
    pub name: String,
    /// `/sys/class/uio/uioN`.
    pub sysfs: PathBuf,
    /// `/dev/uioN`.
    pub dev: PathBuf,
    /// Its maps, by index.
    pub maps: Vec<MapInfo>,
}

/// N of `uioN`.
fn number(entry: &str) -> Option<u32> {
    let digits = entry.strip_prefix("uio")?;
    (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
        .then(|| digits.parse().ok())?
}

/// Number and name of every device. One that vanishes while we read is not there.
fn names(roots: &Roots) -> Result<Vec<(u32, String)>> {
    let class = roots.class("uio");
    let mut found = Vec::new();
    for number in sysfs::entries(&class)?
        .iter()
        .filter_map(|entry| number(entry))
    {
        match sysfs::read(&class.join(format!("uio{number}")).join("name")) {
            Ok(name) => found.push((number, name)),
            Err(error) => tracing::debug!(number, %error, "skipped a UIO device without a name"),
        }
    }
    found.sort();
    Ok(found)
}

/// The description of device `number`.
fn describe(roots: &Roots, number: u32, name: String) -> Result<Node> {
    let entry = format!("uio{number}");
    let sysfs = roots.class("uio").join(&entry);
    Ok(Node {
        number,
        name,
        maps: maps(&sysfs)?,
        dev: roots.dev.join(entry),
        sysfs,
    })
}

/// `maps/map0`, `maps/map1` and so on; a device without memory has no `maps` directory.
fn maps(device: &std::path::Path) -> Result<Vec<MapInfo>> {
    let dir = device.join("maps");
    let entries = match sysfs::entries(&dir) {
        Err(Error::ClassAbsent { .. }) => return Ok(Vec::new()),
        other => other?,
    };
    let mut maps = Vec::new();
    for entry in entries {
        let Some(index) = entry.strip_prefix("map").and_then(|n| n.parse().ok()) else {
            continue;
        };
        let map = dir.join(&entry);
        maps.push(MapInfo {
            index,
            name: sysfs::read(&map.join("name")).unwrap_or_default(),
            addr: PhysAddr(sysfs::read_u64(&map.join("addr"))?),
            size: sysfs::read_u64(&map.join("size"))?,
            offset: sysfs::read_u64(&map.join("offset"))?,
        });
    }
    maps.sort_by_key(|map| map.index);
    Ok(maps)
}

/// Every UIO device of the system, by number.
///
/// # Errors
/// [`Error::ClassAbsent`] without a UIO driver; [`Error::BadAttribute`] for an unreadable map.
pub fn list(roots: &Roots) -> Result<Vec<Node>> {
    names(roots)?
        .into_iter()
        .map(|(number, name)| describe(roots, number, name))
        .collect()
}

/// The one device of this name. A broken description of another device is not in the way.
///
/// A kernel without `linux,uio-name` in the node names the device after it (`accel@a0000000`);
/// give the property to have a name that says what it is.
///
/// # Errors
/// [`Error::NoSuchDevice`] with the names that are there, [`Error::AmbiguousName`] when several
/// match, else as [`list`].
pub fn find(roots: &Roots, name: &str) -> Result<Node> {
    let all = names(roots)?;
    let mut matching: Vec<_> = all.iter().filter(|(_, have)| have == name).collect();
    match (matching.pop(), matching.as_slice()) {
        (Some((number, name)), []) => describe(roots, *number, name.clone()),
        (Some(last), others) => Err(Error::AmbiguousName {
            name: name.to_owned(),
            nodes: others
                .iter()
                .chain([&last])
                .map(|(number, _)| format!("uio{number}"))
                .collect(),
        }),
        (None, _) => Err(Error::NoSuchDevice {
            name: name.to_owned(),
            class: roots.class("uio"),
            found: all.into_iter().map(|(_, name)| name).collect(),
        }),
    }
}
