//! zstd: one single-threaded context a worker, reset for each block. Never zstd's own threads, whose output
//! differs from a single thread's.

use zstd::zstd_safe::zstd_sys::ZSTD_EndDirective;
use zstd::zstd_safe::{self, CCtx, CParameter, DCtx, DParameter, FrameFormat, InBuffer, OutBuffer, ResetDirective};

use crate::error::{Error, Result, Status, reserve};
use crate::format::container::MAX_BLOCK;
use crate::format::v3::openzl::{self, Content};
use crate::progress::CancelToken;

/// From this level on, and for longer blocks at any level, cancellation must be looked at in between.
const STEPPED_LEVEL: i32 = 7;
const STEPPED_LEN: usize = (4 << 20) + 1;
const STEP: usize = 128 << 10;
/// Compressed bytes between two looks at how much of a block has been decoded.
const INPUT_STEP: usize = 16 << 10;

/// The default level gets a window over the whole block, and tables of 512 and 128 KiB whatever zstd's own choice becomes:
/// they fit the caches of cores that two threads share, where tables of twice the size take a sixth more time for
/// 0.4 to 2.4 % of the size. zstd shrinks all three for shorter input.
const TUNED_LEVEL: i32 = 3;
const TUNED: [CParameter; 3] = [CParameter::WindowLog(22), CParameter::HashLog(17), CParameter::ChainLog(15)];

/// Longer blocks get a window over the whole block, at every level: zstd's own is 2 to 8 MiB, and who asks for long blocks asks
/// for far repeats. From `FAR_LEN` on they are looked for by zstd's long-distance matching; in shorter blocks the level's own
/// tables find as much.
const WIDE_LEN: usize = 4 << 20;
const FAR_LEN: usize = 32 << 20;

/// Below this level zstd takes a far match as it is found, in the place of nearer ones that its parser would choose; from
/// there on it weighs them. So it gets long ones alone, and looks for them at fewer places: of sources that is both smaller
/// and faster than zstd's own choice of 64 bytes, or than no far matches.
const OPTIMAL_LEVEL: i32 = 16;
const FAR: [CParameter; 2] = [CParameter::LdmHashRateLog(9), CParameter::LdmMinMatch(128)];

/// The level of the preset `small`: twice as many attempts as zstd's own, at places where six bytes are alike instead of
/// five, which takes no longer.
const SMALL_LEVEL: i32 = 9;
const SMALL: [CParameter; 2] = [CParameter::SearchLog(5), CParameter::MinMatch(6)];

/// Most bytes that `len` bytes can take when compressed.
pub fn bound(len: usize) -> usize {
    zstd_safe::compress_bound(len)
}

/// Most bytes of a context at a level for blocks of up to `longest` bytes, rounded up from what contexts report.
pub fn context_bytes(level: i32, longest: usize) -> usize {
    const MIB: usize = 1 << 20;
    let tables = match level {
        ..=4 => 8 * MIB,
        5..=9 => 32 * MIB,
        10..=15 => 64 * MIB,
        16..=19 => 128 * MIB,
        _ => 1024 * MIB,
    };
    // Long blocks go through a window of the context's own.
    tables.saturating_add(if longest > WIDE_LEN { longest } else { 0 })
}

/// The version of zstd, as it is recorded in archives.
pub fn version() -> &'static str {
    zstd_safe::version_string()
}

/// Makes zstd frames: content size recorded, no checksum (BLAKE3 is there), no dictionary.
pub struct Compressor {
    context: CCtx<'static>,
    level: i32,
}

impl Compressor {
    /// A context for one thread, for blocks of up to `longest` bytes.
    pub fn new(level: i32, longest: usize) -> Result<Compressor> {
        let context = CCtx::try_create().ok_or_else(|| Error::new(Status::NoMemory, "can't make a zstd context"))?;
        let mut compressor = Compressor { context, level };
        let mut parameters = vec![
            CParameter::CompressionLevel(level),
            CParameter::ContentSizeFlag(true),
            CParameter::ChecksumFlag(false),
            CParameter::DictIdFlag(false),
        ];
        if level == TUNED_LEVEL {
            parameters.extend(TUNED);
        }
        if longest > WIDE_LEN {
            parameters.push(CParameter::WindowLog(longest.next_power_of_two().ilog2()));
        }
        if longest >= FAR_LEN {
            parameters.push(CParameter::EnableLongDistanceMatching(true));
            if level < OPTIMAL_LEVEL {
                parameters.extend(FAR);
            }
            if level == SMALL_LEVEL {
                parameters.extend(SMALL);
            }
        }
        for parameter in parameters {
            compressor.context.set_parameter(parameter).map_err(failed)?;
        }
        Ok(compressor)
    }

    /// Compresses `source` into `target`, which is replaced. The bytes depend on source, level and version alone.
    pub fn compress(&mut self, source: &[u8], target: &mut Vec<u8>, cancel: &CancelToken) -> Result<()> {
        target.clear();
        crate::error::reserve(target, bound(source.len()))?;
        self.context.reset(ResetDirective::SessionOnly).map_err(failed)?;
        if self.level < STEPPED_LEVEL && source.len() < STEPPED_LEN {
            self.context.compress2(target, source).map_err(failed)?;
            return Ok(());
        }
        self.context.set_pledged_src_size(Some(source.len() as u64)).map_err(failed)?;
        let mut output = OutBuffer::around(target);
        let mut end = 0usize;
        loop {
            cancel.check()?;
            let start = end;
            end = end.saturating_add(STEP).min(source.len());
            let last = end == source.len();
            let directive = if last { ZSTD_EndDirective::ZSTD_e_end } else { ZSTD_EndDirective::ZSTD_e_continue };
            let mut input = InBuffer::around(source.get(..end).unwrap_or(source));
            input.set_pos(start);
            loop {
                let left = self.context.compress_stream2(&mut output, &mut input, directive).map_err(failed)?;
                if if last { left == 0 } else { input.pos() == end } {
                    break;
                }
            }
            if last {
                return Ok(());
            }
        }
    }
}

/// Decodes zstd frames, and with OpenZL, where it is built in, what takes that.
pub struct Decompressor {
    context: DCtx<'static>,
    /// Whether OpenZL may see a frame. It allocates what the frame tells it to.
    may_use_openzl: bool,
}

impl Decompressor {
    /// A context for one thread.
    pub fn new() -> Result<Decompressor> {
        let context = DCtx::try_create().ok_or_else(|| Error::new(Status::NoMemory, "can't make a zstd context"))?;
        Ok(Decompressor { context, may_use_openzl: true })
    }

    /// The same for archives of strangers: no frame comes to OpenZL.
    pub fn of_untrusted() -> Result<Decompressor> {
        Ok(Decompressor { may_use_openzl: false, ..Decompressor::new()? })
    }

    /// Decodes one frame that must fill `target` exactly.
    ///
    /// One shot into a buffer of the indexed size: no window is allocated, whatever the frame says.
    pub fn decompress(&mut self, frame: &[u8], target: &mut [u8]) -> Result<()> {
        check_frame(frame, target.len())?;
        match self.context.decompress(target, frame) {
            Ok(written) if written == target.len() => Ok(()),
            _ => Err(Error::corrupt("codec.data", "a blob does not decode to the size that the index says")),
        }
    }

    /// Decodes one frame of `len` bytes, which take the place of what `target` holds. Nothing is cleared before.
    pub fn decompress_into(&mut self, frame: &[u8], len: usize, target: &mut Vec<u8>) -> Result<()> {
        check_frame(frame, len)?;
        make_room(target, len)?;
        match self.context.decompress(target, frame) {
            Ok(written) if written == len => Ok(()),
            _ => {
                target.clear();
                Err(Error::corrupt("codec.data", "a blob does not decode to the size that the index says"))
            }
        }
    }

    /// Decodes one frame without its magic that must fill `target` exactly.
    pub fn decompress_magicless(&mut self, frame: &[u8], target: &mut [u8]) -> Result<()> {
        self.context.reset(ResetDirective::SessionOnly).map_err(failed)?;
        self.context.set_parameter(DParameter::Format(FrameFormat::Magicless)).map_err(failed)?;
        let result = self.context.decompress(target, frame);
        self.context.set_parameter(DParameter::Format(FrameFormat::One)).map_err(failed)?;
        match result {
            Ok(written) if written == target.len() => Ok(()),
            _ => Err(Error::corrupt("codec.data", "a blob does not decode to the size that the index says")),
        }
    }

    /// Decodes a frame of OpenZL that must fill `target` exactly.
    pub fn decompress_openzl(&mut self, frame: &[u8], target: &mut [u8]) -> Result<()> {
        match openzl::parse(frame, target.len() as u64)? {
            Content::Stored(bytes) => target.copy_from_slice(bytes),
            Content::Zstd(frame) => self.decompress_magicless(frame, target)?,
            Content::Other if self.may_use_openzl => openzl::decode_other(frame, target)?,
            Content::Other => {
                let why = "the entry is compressed with OpenZL in a way that zstd alone can't decode, which is not done \
                           with untrusted archives, since nothing bounds the memory that it takes";
                return Err(Error::refused(Status::Unsupported, "openzl.shape", why));
            }
        }
        Ok(())
    }

    /// The same as [`decompress_into`](Decompressor::decompress_into), but the first `needed` bytes are enough: `target` holds
    /// them and perhaps some more. It has room for the whole block, so that no window is allocated here either.
    pub fn decompress_to(&mut self, frame: &[u8], len: usize, needed: usize, target: &mut Vec<u8>) -> Result<()> {
        // Stepping costs a little more a byte than one shot does.
        if needed > (len / 4).saturating_mul(3) || frame.len() <= INPUT_STEP {
            return self.decompress_into(frame, len, target);
        }
        check_frame(frame, len)?;
        make_room(target, len)?;
        if self.decompress_steps(frame, target, needed)? {
            return Ok(());
        }
        // One shot has the last word, and the error: stepping refuses windows that no block can need.
        self.decompress_into(frame, len, target)
    }

    /// The same as [`decompress_into`](Decompressor::decompress_into) for a frame that is damaged: what can be had of it from
    /// its start, to the next `INPUT_STEP` of the frame.
    pub fn decompress_as_far_as_it_goes(&mut self, frame: &[u8], len: usize, target: &mut Vec<u8>) -> Result<()> {
        make_room(target, len)?;
        self.decompress_steps(frame, target, len).map(|_| ())
    }

    /// Decodes in steps until there are `needed` bytes; `false` where that doesn't come about.
    fn decompress_steps(&mut self, frame: &[u8], target: &mut Vec<u8>, needed: usize) -> Result<bool> {
        self.context.reset(ResetDirective::SessionOnly).map_err(failed)?;
        self.context.set_parameter(DParameter::WindowLogMax(MAX_BLOCK.ilog2())).map_err(failed)?;
        self.context.set_parameter(DParameter::StableOutBuffer(true)).map_err(failed)?;
        let mut output = OutBuffer::around(target);
        let (mut at, mut end) = (0, 0usize);
        while output.pos() < needed {
            end = end.saturating_add(INPUT_STEP).min(frame.len());
            let mut input = InBuffer::around(frame.get(..end).unwrap_or(frame));
            input.set_pos(at);
            let Ok(left) = self.context.decompress_stream(&mut output, &mut input) else { return Ok(false) };
            at = input.pos();
            // The frame's end, or all of it taken without the bytes that its header promises.
            if output.pos() < needed && (left == 0 || end == frame.len()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Decodes as much of a frame's start as fits into `target`; returns how much that is.
    ///
    /// Takes a window of at most what the frame says, and never more than the largest block of the format.
    pub fn decompress_start(&mut self, frame: &[u8], target: &mut [u8]) -> Result<usize> {
        let refused = |_| Error::corrupt("codec.data", "the start of a frame does not decode");
        self.context.reset(ResetDirective::SessionOnly).map_err(failed)?;
        self.context.set_parameter(DParameter::WindowLogMax(MAX_BLOCK.ilog2())).map_err(failed)?;
        self.context.set_parameter(DParameter::StableOutBuffer(false)).map_err(failed)?;
        let (mut input, mut output) = (InBuffer::around(frame), OutBuffer::around(target));
        while output.pos() < output.capacity() {
            let before = (input.pos(), output.pos());
            let left = self.context.decompress_stream(&mut output, &mut input).map_err(refused)?;
            if left == 0 || before == (input.pos(), output.pos()) {
                break;
            }
        }
        Ok(output.pos())
    }
}

/// Empties a buffer that will be filled up to `len`.
fn make_room(target: &mut Vec<u8>, len: usize) -> Result<()> {
    target.clear();
    reserve(target, len)
}

/// The content size that a frame says at its start, if it is one such as archives have: with neither checksum nor
/// dictionary.
pub fn block_len(start: &[u8]) -> Option<u64> {
    let plain = start.get(4).is_some_and(|descriptor| descriptor & 0b111 == 0);
    zstd_safe::get_frame_content_size(start).ok().flatten().filter(|_| plain)
}

/// Whether a frame says at its start that it holds `len` bytes.
pub fn says_len(start: &[u8], len: u64) -> bool {
    matches!(zstd_safe::get_frame_content_size(start), Ok(Some(size)) if size == len)
}

/// Bytes of the frame that `bytes` begin with, if all of it is there.
pub fn frame_len(bytes: &[u8]) -> Option<usize> {
    zstd_safe::find_frame_compressed_size(bytes).ok()
}

/// One frame and nothing else, that says it holds `len` bytes.
fn check_frame(frame: &[u8], len: usize) -> Result<()> {
    let one_frame = zstd_safe::find_frame_compressed_size(frame) == Ok(frame.len());
    if one_frame && says_len(frame, len as u64) {
        Ok(())
    } else {
        Err(Error::corrupt("codec.frame", "a blob is not one zstd frame of the size that the index says"))
    }
}

fn failed(code: usize) -> Error {
    Error::new(Status::NoMemory, format!("zstd failed: {}", zstd_safe::get_error_name(code)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_the_same_from_fresh_and_used_contexts_at_every_level() {
        let data: Vec<u8> = (0..700_000u32).flat_map(|i| (i / 7 % 1009).to_le_bytes()).collect();
        let cancel = CancelToken::new();
        for (level, longest) in [(1, 2 << 20), (3, 4 << 20), (6, 4 << 20), (7, 4 << 20), (12, 16 << 20), (9, 64 << 20)]
        {
            let (mut used, mut first, mut second) =
                (Compressor::new(level, longest).expect("zstd"), Vec::new(), Vec::new());
            used.compress(&data[..99_999], &mut first, &cancel).expect("zstd");
            used.compress(&data, &mut first, &cancel).expect("zstd");
            Compressor::new(level, longest).expect("zstd").compress(&data, &mut second, &cancel).expect("zstd");
            assert_eq!(first, second, "level {level}, blocks of {longest}");
            let mut decoded = vec![0; data.len()];
            Decompressor::new().expect("zstd").decompress(&first, &mut decoded).expect("frame");
            assert_eq!(decoded, data);
        }
    }

    #[test]
    fn long_blocks_find_repeats_that_lie_far_apart() {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 32) as u32
        };
        let noise: Vec<u8> = (0..5 << 20).flat_map(|_| next().to_le_bytes()).collect();
        let data = [&noise[..], &noise[..]].concat();
        let mut frame = Vec::new();
        let mut len_of = |longest| {
            Compressor::new(1, longest).expect("zstd").compress(&data, &mut frame, &CancelToken::new()).expect("zstd");
            Decompressor::new().expect("zstd").decompress(&frame, &mut vec![0; data.len()]).expect("frame");
            frame.len()
        };
        assert!(len_of(4 << 20) > data.len() / 10 * 9);
        assert!(len_of(64 << 20) < noise.len() / 10 * 11);
    }

    #[test]
    fn the_start_of_a_frame_is_the_start_of_what_was_compressed() {
        let data: Vec<u8> = (0..400_000u32).flat_map(|i| (i / 7 % 1009).to_le_bytes()).collect();
        let mut frame = Vec::new();
        Compressor::new(3, 4 << 20).expect("zstd").compress(&data, &mut frame, &CancelToken::new()).expect("zstd");
        let mut decompressor = Decompressor::new().expect("zstd");
        for len in [1, 1000, 64 << 10, data.len(), data.len() + 1] {
            let mut start = vec![0; len];
            let got = decompressor.decompress_start(&frame, &mut start).expect("frame");
            assert_eq!(start[..got], data[..len.min(data.len())]);
        }
        let mut start = [0; 1000];
        assert_eq!(decompressor.decompress_start(&frame[..10], &mut start).expect("cut"), 0);
        assert!(decompressor.decompress_start(&[7; 100], &mut start).is_err());
    }

    #[test]
    fn a_part_of_a_block_is_what_the_whole_has_there() {
        let mut state = 1u32;
        let mut noisy = |i: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if i.is_multiple_of(3) { state >> 8 } else { i / 7 % 1009 }
        };
        let data: Vec<u8> = (0..600_000u32).flat_map(|i| noisy(i).to_le_bytes()).collect();
        let mut frame = Vec::new();
        Compressor::new(3, 4 << 20).expect("zstd").compress(&data, &mut frame, &CancelToken::new()).expect("zstd");
        let mut decompressor = Decompressor::new().expect("zstd");
        for needed in [1, 1000, 131_072, 131_073, 1_000_000, data.len() / 4 * 3, data.len()] {
            let mut target = b"what was there before".to_vec();
            decompressor.decompress_to(&frame, data.len(), needed, &mut target).expect("frame");
            let got = target.len();
            assert!(got >= needed && got <= (needed + (256 << 10)).max(data.len() / 4 * 3 + 1).min(data.len()));
            assert_eq!(target, data[..got]);
            decompressor.decompress_into(&frame, data.len(), &mut target).expect("one shot after a part");
            assert_eq!(target, data);
        }
        assert!(decompressor.decompress_to(&frame, data.len() - 1, 1000, &mut Vec::new()).is_err());
        for at in (0..frame.len()).step_by(997) {
            let mut damaged = frame.clone();
            damaged[at] ^= 1;
            // Damage behind what is needed goes unseen here; slices have hashes of their own.
            let _ = decompressor.decompress_to(&damaged, data.len(), data.len() / 2, &mut Vec::new());
        }
    }

    #[test]
    fn a_part_is_decoded_of_every_frame_that_decodes_whole() {
        // Raw blocks of 128 KiB in a frame that asks for a window of 128 MiB.
        let (len, count) = (128 << 10, 8u32);
        let mut frame = vec![0x28, 0xB5, 0x2F, 0xFD, 0x80, 17 << 3];
        frame.extend_from_slice(&(len * count).to_le_bytes());
        for block in 0..count {
            frame.extend_from_slice(&(u32::from(block + 1 == count) | len << 3).to_le_bytes()[..3]);
            frame.extend(std::iter::repeat_n(block as u8, len as usize));
        }
        let mut decompressor = Decompressor::new().expect("zstd");
        let mut whole = vec![0; (len * count) as usize];
        decompressor.decompress(&frame, &mut whole).expect("whole");
        let mut part = Vec::new();
        decompressor.decompress_to(&frame, whole.len(), 1000, &mut part).expect("part");
        assert!(part.len() >= 1000);
        assert_eq!(part, whole[..part.len()]);
    }

    #[test]
    fn a_frame_of_another_size_or_two_frames_are_refused() {
        let (mut frame, cancel) = (Vec::new(), CancelToken::new());
        Compressor::new(3, 4 << 20).expect("zstd").compress(&[7; 1000], &mut frame, &cancel).expect("zstd");
        let mut decompressor = Decompressor::new().expect("zstd");
        for len in [0, 999, 1001] {
            assert!(decompressor.decompress(&frame, &mut vec![0; len]).is_err());
        }
        let two = [&frame[..], &frame[..]].concat();
        assert!(decompressor.decompress(&two, &mut [0; 1000]).is_err());
        assert!(decompressor.decompress(&two, &mut [0; 2000]).is_err());
    }
}
