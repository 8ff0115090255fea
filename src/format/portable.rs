//! Names that mean the same on every system, and names that some file systems take for one.
//!
//! Sources: Microsoft's "Naming Files, Paths, and Namespaces"; for folding the Unicode Standard, sections 3.11
//! (canonical equivalence) and 3.13 (default case algorithms).

use unicode_normalization::UnicodeNormalization;

/// Devices of Windows, which answer to their names in every directory, whatever extension follows.
const DEVICES: [&str; 7] = ["con", "prn", "aux", "nul", "conin$", "conout$", "clock$"];
/// Devices that have a number, of which Windows takes superscripts too.
const NUMBERED_DEVICES: [&str; 2] = ["com", "lpt"];
/// What no name on Windows contains; a slash separates components everywhere.
const FORBIDDEN: [char; 9] = ['<', '>', ':', '"', '|', '?', '*', '\\', '/'];

/// Why a component of a path is not portable, if it isn't.
pub fn why_not(component: &[u8]) -> Option<&'static str> {
    let Ok(name) = std::str::from_utf8(component) else { return Some("it is not UTF-8") };
    if name.chars().any(char::is_control) {
        return Some("it has a control character");
    }
    if name.contains(FORBIDDEN) {
        return Some(
            "it has one of the characters < > : \" | ? * \\, which Windows forbids or takes for something else",
        );
    }
    if name.ends_with(['.', ' ']) {
        return Some("it ends with a dot or a space, which Windows drops");
    }
    if is_device(name) {
        return Some("it is a device on Windows");
    }
    if matches!(fold(name).as_str(), "" | "." | "..") {
        return Some("some file systems see nothing of it, or only dots");
    }
    None
}

/// What two names of one directory must not share: equal for names that file systems which ignore case, the way that
/// letters are composed, or invisible characters take for one.
///
/// Characters are decomposed canonically and go to lower, upper and lower case one by one with the tables of the
/// standard library. That joins everything that full case folding joins (sharp s and ss, the Greek sigmas, the Kelvin
/// sign and k), and some pairs more (dotless i and i), which only means that such pairs are refused too.
pub fn fold(name: &str) -> String {
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    let folded: String = name
        .nfd()
        .filter(|c| !is_invisible(*c))
        .flat_map(char::to_lowercase)
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .collect();
    folded.nfd().collect()
}

/// Characters that HFS+ leaves out of comparisons.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end_matches(' ');
    let stem = stem.to_lowercase();
    let mut letters = stem.chars();
    let last = letters.next_back();
    DEVICES.contains(&stem.as_str())
        || (NUMBERED_DEVICES.contains(&letters.as_str()) && matches!(last, Some('0'..='9' | '¹' | '²' | '³')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_not_portable_are_told_from_those_that_are() {
        let bad: &[&[u8]] = &[
            b"a\x01",
            b"a\x7f",
            "a\u{85}".as_bytes(),
            b"\xff",
            b"a<",
            b"a>b",
            b"C:x",
            b"C:",
            b"a\"",
            b"a|b",
            b"a?",
            b"*",
            b"a\\b",
            b"..\\x",
            b"\\\\?\\x",
            b"file:stream",
            b"a.",
            b"a ",
            b"...",
            b" ",
            b"con",
            b"CON",
            b"Con.txt",
            b"con .txt",
            b"con.tar.gz",
            b"nul",
            b"NUL.",
            b"prn",
            b"aux.c",
            b"com0",
            b"COM1",
            b"com9.x",
            b"lpt1",
            b"LPT9",
            "com¹".as_bytes(),
            "LPT².txt".as_bytes(),
            "lpt³".as_bytes(),
            b"CONIN$",
            b"conout$.x",
            b"clock$",
            "\u{200b}".as_bytes(),
            ".\u{200c}.".as_bytes(),
            "\u{feff}.".as_bytes(),
        ];
        for name in bad {
            assert!(why_not(name).is_some(), "{:?}", String::from_utf8_lossy(name));
        }
        let good: &[&str] = &[
            "a",
            ".a",
            "..a",
            "a..b",
            " a",
            "a b",
            "console",
            "con-1",
            "xcon",
            "com",
            "com10",
            "com1x",
            "lpt",
            "nul-",
            "aux_",
            "null",
            "\u{e4}",
            "a\u{308}",
            "\u{1f468}\u{200d}\u{1f469}",
            "#",
            "~",
            "a$",
            "-",
            "%",
            "clock",
            "CONIN",
        ];
        for name in good {
            assert_eq!(why_not(name.as_bytes()), None, "{name:?}");
        }
    }

    #[test]
    fn names_that_some_file_system_takes_for_one_fold_to_one() {
        let same: &[(&str, &str)] = &[
            ("a", "A"),
            ("README", "readme"),
            ("\u{e4}", "a\u{308}"),
            ("\u{c4}", "a\u{308}"),
            ("\u{df}", "SS"),
            ("\u{1e9e}", "ss"),
            ("stra\u{df}e", "STRASSE"),
            ("\u{3c3}", "\u{3c2}"),
            ("\u{3a3}", "\u{3c2}"),
            ("\u{212a}", "k"),
            ("\u{17f}", "s"),
            ("\u{fb01}", "FI"),
            ("\u{1c4}", "\u{1c6}"),
            ("\u{1c5}", "\u{1c4}"),
            ("\u{212b}", "\u{e5}"),
            ("\u{ac00}", "\u{1100}\u{1161}"),
            ("a\u{323}\u{307}", "a\u{307}\u{323}"),
            (".git", ".g\u{200c}it"),
            ("\u{10400}", "\u{10428}"),
            ("\u{130}", "i\u{307}"),
            ("\u{131}", "I"),
            ("\u{149}", "\u{2bc}N"),
            ("\u{390}", "\u{3b9}\u{308}\u{301}"),
            ("\u{1f80}", "\u{1f88}"),
            ("\u{2126}", "\u{3c9}"),
        ];
        for (one, other) in same {
            assert_eq!(fold(one), fold(other), "{one:?} {other:?}");
            assert_eq!(fold(&fold(one)), fold(one), "{one:?}");
        }
        let different: &[(&str, &str)] = &[
            ("a", "b"),
            ("a", "\u{e4}"),
            ("o", "0"),
            ("\u{ff21}", "a"),
            ("\u{3b1}", "a"),
            ("\u{b2}", "2"),
            ("s", "ss"),
        ];
        for (one, other) in different {
            assert_ne!(fold(one), fold(other), "{one:?} {other:?}");
        }
    }
}
