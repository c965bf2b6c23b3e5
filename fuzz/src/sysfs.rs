use uio_driver::{Roots, find, list};

use crate::files::{self, join, split};

/// Files of the kernel that the library reads of a UIO device and of its DMA memory.
const NAMES: [&str; 9] = [
    "sys/class/uio/uio0/name",
    "sys/class/uio/uio0/dev",
    "sys/class/uio/uio0/maps/map0/name",
    "sys/class/uio/uio0/maps/map0/addr",
    "sys/class/uio/uio0/maps/map0/size",
    "sys/class/uio/uio0/maps/map0/offset",
    "sys/class/u-dma-buf/fqbert-dma/phys_addr",
    "sys/class/u-dma-buf/fqbert-dma/size",
    "sys/class/u-dma-buf/fqbert-dma/sync_mode",
];

pub(crate) fn run(input: &[u8]) {
    let folder = files::folder();
    let parts: [&[u8]; NAMES.len()] = split(input);
    for (name, part) in NAMES.iter().zip(parts) {
        files::write(&folder.path().join(name), part);
    }
    let roots = Roots::under(folder.path());
    if let Ok(nodes) = list(&roots) {
        for node in nodes {
            for map in &node.maps {
                // Where its registers begin and how many bytes are left, without overflow.
                let (start, usable) = (map.start(), map.usable());
                assert!(usable <= map.size, "{map:?}");
                let _ = start;
            }
        }
    }
    let _ = find(&roots, "fqbert0");
    let _ = uio_driver::dma::UDmaBuf::open(&roots, "fqbert-dma", 4096, true);
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let parts: [&[u8]; NAMES.len()] = [
        b"fqbert0\n",
        b"240:0\n",
        b"registers\n",
        b"0x00000000a0000000\n",
        b"0x0000000000001000\n",
        b"0x0000000000000000\n",
        b"0x0000000070000000\n",
        b"268435456\n",
        b"1\n",
    ];
    vec![join(parts)]
}
