//! What a destination may look like before, and the tree outside that nothing may touch.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// States of a destination before the extraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Missing,
    Empty,
    FileLink,
    DirectoryLink,
    LinkInTheMiddle,
    ReadOnly,
    OtherFileSystem,
    ExistingFiles,
}

pub const STATES: [State; 8] = [
    State::Missing,
    State::Empty,
    State::FileLink,
    State::DirectoryLink,
    State::LinkInTheMiddle,
    State::ReadOnly,
    State::OtherFileSystem,
    State::ExistingFiles,
];

/// A directory with the tree outside, and with the destination beside it.
pub struct Place {
    base: tempfile::TempDir,
    before: BTreeMap<PathBuf, String>,
}

impl Place {
    /// `other` puts it on another file system than temporary files are on.
    pub fn new(other: bool) -> Place {
        let base = if other && Path::new("/dev/shm").is_dir() {
            tempfile::tempdir_in("/dev/shm").unwrap()
        } else {
            tempfile::tempdir().unwrap()
        };
        let outside = base.path().join("sentinel");
        fs::create_dir_all(outside.join("dir/sub")).unwrap();
        for (name, mode) in
            [("secret", 0o600), ("shared", 0o644), ("dir/file", 0o640), ("dir/x", 0o755), ("dir/sub/file", 0o444)]
        {
            fs::write(outside.join(name), format!("this is {name}")).unwrap();
            fs::set_permissions(outside.join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        symlink("secret", outside.join("link")).unwrap();
        let mut place = Place { base, before: BTreeMap::new() };
        place.before = place.outside();
        place
    }

    pub fn destination(&self) -> PathBuf {
        self.base.path().join("out")
    }

    /// Brings the destination into a state; `names` are those that the archive has.
    pub fn prepare(&self, state: State, names: &[Vec<u8>]) {
        let out = self.destination();
        if state == State::Missing {
            return;
        }
        fs::create_dir(&out).unwrap();
        let first = |name: &Vec<u8>| name.split(|byte| *byte == b'/').next().map(<[u8]>::to_vec);
        let tops: Vec<PathBuf> = names.iter().filter_map(first).filter_map(|name| usable(&name)).collect();
        match state {
            State::Missing | State::Empty | State::OtherFileSystem => {}
            State::FileLink | State::DirectoryLink => {
                let target = if state == State::FileLink { "../sentinel/secret" } else { "../sentinel/dir" };
                for top in tops {
                    let _ = symlink(target, out.join(top));
                }
            }
            State::LinkInTheMiddle => {
                for name in names {
                    let mut parts = name.splitn(3, |byte| *byte == b'/');
                    if let (Some(top), Some(middle)) = (parts.next().and_then(usable), parts.next().and_then(usable)) {
                        let _ = fs::create_dir(out.join(&top));
                        let _ = symlink("../../sentinel/dir", out.join(top).join(middle));
                    }
                }
            }
            State::ReadOnly => {
                fs::create_dir_all(out.join("benign/inner")).unwrap();
                for name in ["benign/inner", "benign", ""] {
                    fs::set_permissions(out.join(name), fs::Permissions::from_mode(0o555)).unwrap();
                }
            }
            State::ExistingFiles => {
                // Other names of a file outside: what writes into them instead of replacing them is seen.
                fs::create_dir_all(out.join("benign/inner")).unwrap();
                fs::hard_link(self.base.path().join("sentinel/shared"), out.join("benign/inner/file")).unwrap();
                for top in tops {
                    let _ = fs::hard_link(self.base.path().join("sentinel/shared"), out.join(top));
                }
            }
        }
    }

    /// What is not as it was before the destination was prepared, if anything.
    pub fn harm(&self) -> Option<String> {
        let now = self.outside();
        let differs = |path: &PathBuf| now.get(path) != self.before.get(path);
        let path = now.keys().chain(self.before.keys()).find(|path| differs(path))?;
        Some(format!("{}: {:?} before, {:?} now", path.display(), self.before.get(path), now.get(path)))
    }

    /// Takes the destination away, and what links to the tree outside had become of it.
    pub fn clear(&mut self) {
        let out = self.destination();
        if out.symlink_metadata().is_err() {
            return;
        }
        if fs::remove_dir_all(&out).is_err() {
            // Directories without rights, where not root is who runs this.
            let _ = std::process::Command::new("chmod").args(["-R", "u+rwx"]).arg(&out).status();
            fs::remove_dir_all(&out).or_else(|_| fs::remove_file(&out)).unwrap();
        }
        self.before = self.outside();
    }

    /// Everything but the destination: kind, owner, mode, size, times, links, bytes.
    fn outside(&self) -> BTreeMap<PathBuf, String> {
        let mut found = BTreeMap::new();
        let mut left = vec![self.base.path().to_owned()];
        while let Some(directory) = left.pop() {
            for entry in fs::read_dir(&directory).unwrap() {
                let path = entry.unwrap().path();
                if path == self.destination() {
                    continue;
                }
                let status = fs::symlink_metadata(&path).unwrap();
                let bytes = match status.file_type() {
                    kind if kind.is_dir() => {
                        left.push(path.clone());
                        Vec::new()
                    }
                    kind if kind.is_symlink() => fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes(),
                    _ => fs::read(&path).unwrap(),
                };
                // Links to it are made and removed by the states of the destination, which changes count and ctime.
                let linked = path.ends_with("sentinel/shared");
                let ctime = if linked { (0, 0) } else { (status.ctime(), status.ctime_nsec()) };
                let times = (status.mtime(), status.mtime_nsec(), ctime);
                let facts = (status.ino(), status.mode(), status.uid(), status.gid(), status.size(), times);
                found.insert(path, format!("{facts:?} {bytes:?}"));
            }
        }
        found
    }
}

/// A name that can be made in a directory.
fn usable(name: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    let good = !matches!(name, b"" | b"." | b"..") && !name.contains(&0) && name.len() < 256;
    good.then(|| PathBuf::from(std::ffi::OsStr::from_bytes(name)))
}
