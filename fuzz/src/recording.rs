use fqbert_contract::Bytes;
use fqbert_contract::device::{CpuBuffer, Device};
use fqbert_contract::registers;
use fqbert_recording::{ReadError, RecordOptions, Recording, RecordingDevice};

use crate::files;

pub(crate) fn run(input: &[u8]) {
    let folder = files::folder();
    let path = folder.path().join("a.fqrec");
    files::write(&path, input);
    let Ok(mut recording) = Recording::open(&path) else {
        return;
    };
    while let Ok(Some((_, event))) = recording.next_call() {
        let mut bytes = 0;
        let read = recording.parts(&event.data, |_, part| {
            bytes += part.len();
            Ok::<_, ReadError>(())
        });
        // Data are kept once and may be told of often, but a call has one buffer's.
        assert!(
            read.is_err() || bytes <= 64 << 20,
            "{bytes} bytes of a call"
        );
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let folder = files::folder();
    let path = folder.path().join("a.fqrec");
    let device = fqbert_open::open_device("emu:tiny?threads=1").expect("a small emulator");
    let options = RecordOptions::new("emu:tiny");
    let mut device = RecordingDevice::create(device, &path, &options).expect("a new file");
    let mut use_it = || {
        let mut buffer = CpuBuffer::allocate(&mut device, Bytes(8192))?;
        buffer.write(&mut device, Bytes(0), &[7; 6000])?;
        let buffer = buffer.into_device(&mut device)?;
        device.read32(registers::STATUS)?;
        device.reset()?;
        buffer.free(&mut device)
    };
    use_it().expect("an emulator does all that");
    drop(device);
    vec![std::fs::read(&path).expect("what was recorded")]
}
