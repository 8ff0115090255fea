//! Globs as little machines over bytes, for options and for ignore files.
//!
//! Matching steps through all states at once, so that no glob takes more than its length times that of the path.

/// What differs between globs of options and lines of ignore files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `{a,b}` is one of several globs; `**` counts where it is a whole component.
    Option,
    /// gitignore(5).
    Ignore,
}

/// A glob that is ready to match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Glob {
    Literal(Vec<u8>),
    /// `*` and then these bytes.
    EndsWith(Vec<u8>),
    Tokens(Vec<Token>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Byte(u8),
    /// One byte that is in the set.
    Class([u64; 4]),
    /// Any bytes but slashes.
    Star,
    /// Any bytes.
    Deep,
    /// Goes on at the next token, or so many further on.
    Split(usize),
    /// Goes on so many tokens further on.
    Jump(usize),
}

impl Glob {
    /// `None` where it is malformed.
    pub(crate) fn parse(pattern: &[u8], dialect: Dialect) -> Option<Glob> {
        let is_special = |byte: &u8| b"*?[\\".contains(byte) || (dialect == Dialect::Option && b"{}".contains(byte));
        Some(match pattern {
            [b'*', rest @ ..] if !rest.iter().any(is_special) && !rest.contains(&b'/') => Glob::EndsWith(rest.to_vec()),
            _ if !pattern.iter().any(is_special) => Glob::Literal(pattern.to_vec()),
            _ => Glob::Tokens(Parser { pattern, dialect, at: 0, tokens: Vec::new() }.parse()?),
        })
    }

    /// Whether it matches all of a text.
    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        match self {
            Glob::Literal(literal) => text == literal,
            Glob::EndsWith(end) => text.ends_with(end) && !text[..text.len() - end.len()].contains(&b'/'),
            Glob::Tokens(tokens) => run(tokens, text, false),
        }
    }

    /// Whether it matches a path or one above it.
    pub(crate) fn matches_above(&self, path: &[u8]) -> bool {
        match self {
            Glob::Literal(literal) => path.strip_prefix(&**literal).is_some_and(|rest| matches!(rest, [] | [b'/', ..])),
            Glob::EndsWith(_) => self.matches(path.split(|byte| *byte == b'/').next().unwrap_or_default()),
            Glob::Tokens(tokens) => run(tokens, path, true),
        }
    }
}

struct Parser<'a> {
    pattern: &'a [u8],
    dialect: Dialect,
    at: usize,
    tokens: Vec<Token>,
}

/// Alternatives inside of alternatives, at most.
const MAX_DEPTH: usize = 10;

impl Parser<'_> {
    fn parse(mut self) -> Option<Vec<Token>> {
        self.sequence(0, true)?;
        (self.at == self.pattern.len()).then_some(self.tokens)
    }

    fn next(&self) -> Option<u8> {
        self.pattern.get(self.at).copied()
    }

    /// Up to the end, or inside of alternatives up to where one ends. `fresh`: a component begins here.
    fn sequence(&mut self, depth: usize, fresh: bool) -> Option<()> {
        let start = self.at;
        while let Some(byte) = self.next() {
            match byte {
                b'\\' => {
                    self.tokens.push(Token::Byte(*self.pattern.get(self.at + 1)?));
                    self.at += 2;
                }
                b'?' => {
                    self.tokens.push(Token::Class(without_slash([u64::MAX; 4])));
                    self.at += 1;
                }
                b'[' => {
                    let (class, end) = class(self.pattern, self.at + 1, self.dialect)?;
                    self.tokens.push(Token::Class(class));
                    self.at = end;
                }
                b'*' => self.stars(depth, if self.at == start { fresh } else { self.pattern[self.at - 1] == b'/' }),
                b'{' if self.dialect == Dialect::Option => {
                    let fresh = if self.at == start { fresh } else { self.pattern[self.at - 1] == b'/' };
                    self.alternatives(depth + 1, fresh)?;
                }
                b',' | b'}' if depth > 0 => return Some(()),
                b'}' if self.dialect == Dialect::Option => return None,
                byte => {
                    self.tokens.push(Token::Byte(byte));
                    self.at += 1;
                }
            }
        }
        (depth == 0).then_some(())
    }

    fn stars(&mut self, depth: usize, fresh: bool) {
        let pattern = self.pattern;
        let end =
            pattern[self.at..].iter().position(|byte| *byte != b'*').map_or(pattern.len(), |stars| self.at + stars);
        // git cuts literal text off the front before it looks, so that `x**/y` matches `xy` too.
        let starts = fresh
            || (self.dialect == Dialect::Ignore && !pattern[..self.at].iter().any(|byte| b"*?[\\".contains(byte)));
        let ends = match pattern.get(end..) {
            Some([] | [b'/', ..]) => true,
            Some([b'\\', b'/', ..]) => self.dialect == Dialect::Ignore,
            Some([b',' | b'}', ..]) => depth > 0,
            _ => false,
        };
        let count = end - self.at;
        let deep = starts && ends && (count == 2 || (count > 2 && self.dialect == Dialect::Ignore));
        self.at = end;
        if deep && pattern.get(end) == Some(&b'/') {
            self.tokens.extend([Token::Split(3), Token::Deep, Token::Byte(b'/')]);
            self.at += 1;
        } else {
            self.tokens.push(if deep { Token::Deep } else { Token::Star });
        }
    }

    fn alternatives(&mut self, depth: usize, fresh: bool) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        let mut jumps = Vec::new();
        loop {
            self.at += 1;
            let split = self.tokens.len();
            self.tokens.push(Token::Split(0));
            self.sequence(depth, fresh)?;
            if self.next()? == b'}' {
                // The last one is the only way on from here.
                self.tokens[split] = Token::Jump(1);
                break;
            }
            jumps.push(self.tokens.len());
            self.tokens.push(Token::Jump(0));
            self.tokens[split] = Token::Split(self.tokens.len() - split);
        }
        self.at += 1;
        for jump in jumps {
            self.tokens[jump] = Token::Jump(self.tokens.len() - jump);
        }
        Some(())
    }
}

/// The set between brackets from `at` on, and where it ends; `None` where it doesn't.
fn class(pattern: &[u8], mut at: usize, dialect: Dialect) -> Option<([u64; 4], usize)> {
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
                if from > Some(to) && dialect == Dialect::Option {
                    return None;
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

/// Steps through the text with all the places of the glob at which it may stand. `above`: a path above the text will do.
fn run(tokens: &[Token], text: &[u8], above: bool) -> bool {
    let (mut now, mut next) = (vec![false; tokens.len() + 1], vec![false; tokens.len() + 1]);
    now[0] = true;
    spread(tokens, &mut now);
    for byte in text {
        if above && *byte == b'/' && now[tokens.len()] {
            return true;
        }
        next.fill(false);
        let mut any = false;
        for (at, token) in tokens.iter().enumerate().filter(|(at, _)| now[*at]) {
            let to = match token {
                Token::Byte(wanted) => (wanted == byte).then_some(at + 1),
                Token::Class(set) => contains(set, *byte).then_some(at + 1),
                Token::Star => (*byte != b'/').then_some(at),
                Token::Deep => Some(at),
                Token::Split(_) | Token::Jump(_) => None,
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
        std::mem::swap(&mut now, &mut next);
    }
    now[tokens.len()]
}

/// Adds the places that are reached without a byte. All of them lie further on.
fn spread(tokens: &[Token], places: &mut [bool]) {
    for (at, token) in tokens.iter().enumerate() {
        if places[at] {
            match token {
                Token::Star | Token::Deep => places[at + 1] = true,
                Token::Split(further) => {
                    places[at + 1] = true;
                    places[at + further] = true;
                }
                Token::Jump(further) => places[at + further] = true,
                Token::Byte(_) | Token::Class(_) => {}
            }
        }
    }
}
