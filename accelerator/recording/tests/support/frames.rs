//! Recordings edited, with right checksums.

/// Bytes before the first record.
const HEADER: usize = 44;

/// The recording with `edit` applied to the bytes of each record.
pub fn edited(recording: &[u8], mut edit: impl FnMut(usize, &mut Vec<u8>)) -> Vec<u8> {
    let (header, mut rest) = recording.split_at(HEADER);
    let mut out = header.to_vec();
    let mut chain = crc32fast::hash(header);
    let mut index = 0;
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*length) as usize;
        let mut payload = after[4..4 + length].to_vec();
        rest = &after[4 + length..];
        edit(index, &mut payload);
        index += 1;
        let size = (payload.len() as u32).to_le_bytes();
        let mut hasher = crc32fast::Hasher::new_with_initial(chain);
        hasher.update(&size);
        hasher.update(&payload);
        chain = hasher.finalize();
        out.extend(size);
        out.extend(chain.to_le_bytes());
        out.extend(payload);
    }
    out
}
