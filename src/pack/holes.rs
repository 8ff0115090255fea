//! Holes are found in the bytes, not asked of the file system: two file systems cut the same file differently, and
//! the archive depends on neither. A run of zero pages of at least 64 KiB is a hole, wherever it came from.

/// Holes start and end on multiples of this within their window, or at its end.
const PAGE: usize = 4096;
/// Shorter runs of zeros stay bytes: they compress to nothing, and a row costs more than it saves.
pub(super) const MIN_HOLE: usize = 64 << 10;

/// Calls `data` with each run of bytes between holes: start and length. Nothing is called for zeros throughout.
pub(super) fn for_each_data(bytes: &[u8], data: &mut dyn FnMut(usize, usize)) {
    if bytes.len() < MIN_HOLE {
        return if bytes.is_empty() {
        } else {
            data(0, bytes.len())
        };
    }
    let mut data_start = 0;
    let mut zeros_start = None;
    for start in (0..bytes.len()).step_by(PAGE) {
        let page = &bytes[start..(start + PAGE).min(bytes.len())];
        if is_zero(page) {
            zeros_start.get_or_insert(start);
        } else if let Some(zeros) = zeros_start.take()
            && start - zeros >= MIN_HOLE
        {
            if zeros > data_start {
                data(data_start, zeros - data_start);
            }
            data_start = start;
        }
    }
    let end = zeros_start.filter(|zeros| bytes.len() - zeros >= MIN_HOLE).unwrap_or(bytes.len());
    if end > data_start {
        data(data_start, end - data_start);
    }
}

fn is_zero(page: &[u8]) -> bool {
    let (first, rest) = page.split_at(page.len().min(16));
    first.iter().all(|byte| *byte == 0) && rest.iter().fold(0, |all, byte| all | byte) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(bytes: &[u8]) -> Vec<(usize, usize)> {
        let mut runs = Vec::new();
        for_each_data(bytes, &mut |start, len| runs.push((start, len)));
        runs
    }

    #[test]
    fn only_long_aligned_runs_of_zeros_are_holes() {
        let mut bytes = vec![0; 256 << 10];
        assert_eq!(runs(&bytes), []);
        bytes[0] = 1;
        assert_eq!(runs(&bytes), [(0, 4096)]);
        bytes[100 << 10] = 1;
        assert_eq!(runs(&bytes), [(0, 4096), (100 << 10, 4096)]);
        bytes[30 << 10] = 1;
        // The gaps of 24 KiB and 66 KiB: only the second is long enough.
        assert_eq!(runs(&bytes), [(0, 32 << 10), (100 << 10, 4096)]);
        assert_eq!(runs(&[0; 1000]), [(0, 1000)]);
        assert_eq!(runs(&[]), []);
        let tail = [vec![7; 4096], vec![0; 65_000 + 536 + 1]].concat();
        assert_eq!(runs(&tail), [(0, 4096)]);
    }
}
