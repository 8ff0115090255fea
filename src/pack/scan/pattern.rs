//! One line of an ignore file, as gitignore(5) has it, over bytes.
//!
//! A pattern without a slash in it matches names at any depth below its file, one with a slash the path from there
//! on; a slash at the end demands a directory, `!` takes back what an earlier line has left out. `*`, `?` and
//! `[...]` match no slash; `**` as a whole component matches any number of them. Matching steps through all states
//! at once, so that no pattern takes more than its length times that of the path.

/// A pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    /// What matches is not left out.
    pub(super) negated: bool,
    only_directories: bool,
    /// It means the path below its file's directory, not the name alone.
    anchored: bool,
    glob: Glob,
}

#[derive(Debug, PartialEq, Eq)]
enum Glob {
    Literal(Vec<u8>),
    /// `*` and then these bytes.
    EndsWith(Vec<u8>),
    Tokens(Vec<Token>),
    /// Malformed: matches nothing.
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Byte(u8),
    /// One byte that is in the set.
    Class([u64; 4]),
    /// Any bytes but slashes.
    Star,
    /// Any bytes.
    Deep,
    /// The two tokens behind it, `Deep` and a slash, may be left out.
    Optional,
}

impl Pattern {
    /// `None` for blank lines and comments.
    pub(super) fn parse(line: &[u8]) -> Option<Pattern> {
        if line.first() == Some(&b'#') {
            return None;
        }
        // What git reads ends at a NUL byte.
        let line = line.split(|byte| *byte == 0).next().unwrap_or_default();
        let line = without_trailing_spaces(line);
        let (negated, line) = line.strip_prefix(b"!").map_or((false, line), |rest| (true, rest));
        let (only_directories, line) = line.strip_suffix(b"/").map_or((false, line), |rest| (true, rest));
        let anchored = line.contains(&b'/');
        let line = line.strip_prefix(b"/").unwrap_or(line);
        if line.is_empty() {
            return None;
        }
        Some(Pattern { negated, only_directories, anchored, glob: Glob::parse(line) })
    }

    /// Whether it matches a path that starts at its file's directory.
    pub(super) fn matches(&self, path: &[u8], is_directory: bool) -> bool {
        if self.only_directories && !is_directory {
            return false;
        }
        let name = || &path[path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1)..];
        self.glob.matches(if self.anchored { path } else { name() })
    }
}

/// Spaces at the end don't count, unless a backslash stands before them.
fn without_trailing_spaces(line: &[u8]) -> &[u8] {
    let (mut end, mut at) = (0, 0);
    while at < line.len() {
        let escapes = line[at] == b'\\';
        let counts = line[at] != b' ';
        at = (at + 1 + usize::from(escapes)).min(line.len());
        if counts {
            end = at;
        }
    }
    &line[..end]
}

impl Glob {
    fn parse(pattern: &[u8]) -> Glob {
        match pattern {
            [b'*', rest @ ..] if !rest.iter().any(is_special) && !rest.contains(&b'/') => Glob::EndsWith(rest.to_vec()),
            _ if !pattern.iter().any(is_special) => Glob::Literal(pattern.to_vec()),
            _ => tokens(pattern).map_or(Glob::Nothing, Glob::Tokens),
        }
    }

    fn matches(&self, text: &[u8]) -> bool {
        match self {
            Glob::Literal(literal) => text == literal,
            Glob::EndsWith(end) => text.ends_with(end) && !text[..text.len() - end.len()].contains(&b'/'),
            Glob::Tokens(tokens) => run(tokens, text),
            Glob::Nothing => false,
        }
    }
}

fn is_special(byte: &u8) -> bool {
    b"*?[\\".contains(byte)
}

/// `None` where the pattern is malformed.
fn tokens(pattern: &[u8]) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < pattern.len() {
        match pattern[at] {
            b'\\' => {
                tokens.push(Token::Byte(*pattern.get(at + 1)?));
                at += 2;
            }
            b'?' => {
                tokens.push(Token::Class(without_slash([u64::MAX; 4])));
                at += 1;
            }
            b'[' => {
                let (class, end) = class(pattern, at + 1)?;
                tokens.push(Token::Class(class));
                at = end;
            }
            b'*' => {
                let end = pattern[at..].iter().position(|byte| *byte != b'*').map_or(pattern.len(), |stars| at + stars);
                // git cuts literal text off the front before it looks, so that `x**/y` matches `xy` too.
                let starts = pattern[..at].last() == Some(&b'/') || !pattern[..at].iter().any(is_special);
                let ends = matches!(pattern.get(end..), Some([] | [b'/', ..] | [b'\\', b'/', ..]));
                let deep = end - at > 1 && starts && ends;
                match pattern.get(end) {
                    Some(b'/') if deep => {
                        tokens.extend([Token::Optional, Token::Deep, Token::Byte(b'/')]);
                        at = end + 1;
                    }
                    _ => {
                        tokens.push(if deep { Token::Deep } else { Token::Star });
                        at = end;
                    }
                }
            }
            byte => {
                tokens.push(Token::Byte(byte));
                at += 1;
            }
        }
    }
    Some(tokens)
}

/// The set between brackets from `at` on, and where it ends; `None` where it doesn't.
fn class(pattern: &[u8], mut at: usize) -> Option<([u64; 4], usize)> {
    let mut set = [0u64; 4];
    let negated = matches!(pattern.get(at), Some(b'!' | b'^'));
    at += usize::from(negated);
    let start = at;
    // The byte before a dash, where it may begin a range.
    let mut from: Option<u8> = None;
    loop {
        let byte = *pattern.get(at)?;
        match byte {
            b']' if at > start => break,
            b'-' if from.is_some() && pattern.get(at + 1).is_some_and(|next| *next != b']') => {
                at += 1;
                let mut to = *pattern.get(at)?;
                if to == b'\\' {
                    at += 1;
                    to = *pattern.get(at)?;
                }
                (from.unwrap_or(to)..=to).for_each(|byte| insert(&mut set, byte));
                (from, at) = (None, at + 1);
            }
            b'[' if pattern.get(at + 1) == Some(&b':') => {
                let name = &pattern[at + 2..];
                let end = name.iter().position(|byte| *byte == b']')?;
                match name[..end].strip_suffix(b":") {
                    Some(name) => {
                        let is_in = named_class(name)?;
                        (0..=u8::MAX).filter(is_in).for_each(|byte| insert(&mut set, byte));
                        (from, at) = (None, at + 2 + end + 1);
                    }
                    None => {
                        insert(&mut set, byte);
                        (from, at) = (Some(byte), at + 1);
                    }
                }
            }
            _ => {
                let escaped = byte == b'\\';
                at += usize::from(escaped);
                let byte = *pattern.get(at)?;
                insert(&mut set, byte);
                (from, at) = (Some(byte), at + 1);
            }
        }
    }
    if negated {
        set = set.map(|bits| !bits);
    }
    Some((without_slash(set), at + 1))
}

fn named_class(name: &[u8]) -> Option<fn(&u8) -> bool> {
    Some(match name {
        b"alnum" => u8::is_ascii_alphanumeric,
        b"alpha" => u8::is_ascii_alphabetic,
        b"blank" => |byte| matches!(byte, b' ' | b'\t'),
        b"cntrl" => u8::is_ascii_control,
        b"digit" => u8::is_ascii_digit,
        b"graph" => u8::is_ascii_graphic,
        b"lower" => u8::is_ascii_lowercase,
        b"print" => |byte| matches!(byte, b' '..=b'~'),
        b"punct" => u8::is_ascii_punctuation,
        b"space" => |byte| matches!(byte, b' ' | b'\t'..=b'\r'),
        b"upper" => u8::is_ascii_uppercase,
        b"xdigit" => u8::is_ascii_hexdigit,
        _ => return None,
    })
}

fn insert(set: &mut [u64; 4], byte: u8) {
    set[usize::from(byte >> 6)] |= 1 << (byte & 63);
}

fn contains(set: &[u64; 4], byte: u8) -> bool {
    set[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1
}

fn without_slash(mut set: [u64; 4]) -> [u64; 4] {
    set[usize::from(b'/' >> 6)] &= !(1 << (b'/' & 63));
    set
}

/// Steps through the text with all the places of the pattern at which it may stand.
fn run(tokens: &[Token], text: &[u8]) -> bool {
    let mut now = vec![false; tokens.len() + 1];
    now[0] = true;
    spread(tokens, &mut now);
    for byte in text {
        let mut next = vec![false; tokens.len() + 1];
        let mut any = false;
        for (at, token) in tokens.iter().enumerate().filter(|(at, _)| now[*at]) {
            let to = match token {
                Token::Byte(wanted) => (wanted == byte).then_some(at + 1),
                Token::Class(set) => contains(set, *byte).then_some(at + 1),
                Token::Star => (*byte != b'/').then_some(at),
                Token::Deep => Some(at),
                Token::Optional => None,
            };
            if let Some(to) = to {
                next[to] = true;
                any = true;
            }
        }
        if !any {
            return false;
        }
        spread(tokens, &mut next);
        now = next;
    }
    now[tokens.len()]
}

/// Adds the places that are reached without a byte.
fn spread(tokens: &[Token], places: &mut [bool]) {
    for (at, token) in tokens.iter().enumerate() {
        if places[at] && matches!(token, Token::Star | Token::Deep | Token::Optional) {
            places[at + 1] = true;
            if *token == Token::Optional {
                places[at + 3] = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_what_gitignore_says() {
        for (pattern, yes, no) in [
            ("*.o", &["x.o", "a/b/x.o", ".o"][..], &["x.c", "x.o.c"][..]),
            ("/*.o", &["x.o"], &["a/x.o"]),
            ("a/*.o", &["a/x.o"], &["x.o", "b/a/x.o", "a/b/x.o"]),
            ("**/a/b", &["a/b", "x/a/b", "x/y/a/b"], &["xa/b", "b"]),
            ("a/**/b", &["a/b", "a/x/b", "a/x/y/b"], &["ab", "a/xb", "x/a/b"]),
            ("a/**", &["a/b", "a/b/c"], &["a", "b/a/c"]),
            ("foo[0-9a]", &["foo1", "x/fooa"], &["foob", "foo"]),
            ("[!a-c]x", &["dx", "-x"], &["ax", "cx"]),
            ("[]-]x", &["]x", "-x"], &["ax"]),
            ("[[:digit:][:space:]]", &["1", " "], &["a", ":"]),
            ("[a", &[], &["[a", "a"]),
            ("[[:nonsense:]]", &[], &["n", ":"]),
            ("a\\*b", &["a*b"], &["axb"]),
            ("a\\", &[], &["a", "a\\"]),
            ("{a,b}", &["{a,b}"], &["a", "b"]),
            ("a?c", &["abc"], &["ac", "a/c"]),
            ("\\#x", &["#x"], &["x"]),
            ("\\!x", &["!x"], &["x"]),
            ("x   ", &["x"], &["x   "]),
            ("x\\ ", &["x "], &["x", "x\\ "]),
            ("x\\  ", &["x "], &["x", "x  "]),
            ("***", &["x"], &[]),
            ("x**/y", &["xy", "xa/y", "x/y"], &["xay"]),
            ("x?**/y", &["xa/y"], &["xay", "xa/b/y"]),
        ] {
            let parsed = Pattern::parse(pattern.as_bytes()).unwrap();
            assert!(yes.iter().all(|path| parsed.matches(path.as_bytes(), false)), "{pattern}");
            assert!(!no.iter().any(|path| parsed.matches(path.as_bytes(), false)), "{pattern}");
        }
        let directory = Pattern::parse(b"!b/").unwrap();
        assert!(directory.negated && directory.matches(b"a/b", true) && !directory.matches(b"a/b", false));
        assert!(Pattern::parse(b"\xff*\xfe").unwrap().matches(b"d/\xffx\xfe", false), "names need not be UTF-8");
        for blank in ["", "   ", "# comment", "/", "!", "!/"] {
            assert!(Pattern::parse(blank.as_bytes()).is_none(), "{blank:?}");
        }
    }

    #[test]
    fn no_pattern_takes_longer_than_its_length_times_that_of_the_path() {
        let pattern = Pattern::parse("*a".repeat(500).as_bytes()).unwrap();
        assert!(!pattern.matches(&[b'a'; 255], false));
        assert!(Pattern::parse(format!("x/{}y", "**/".repeat(300)).as_bytes()).unwrap().matches(b"x/y", false));
    }
}
