//! What an extraction would do: the same plan and the same survey, and then a look at each name in place of the
//! writing. What only writing shows, such as missing permissions or room, stays unknown.

use std::path::Path;

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::archive::Archive;
use crate::error::{Error, Result, printable};
use crate::extract::blocks;
use crate::extract::failures::Failures;
use crate::extract::handles::Handles;
use crate::extract::plan::Plan;
use crate::extract::prune::{Pruner, Strays};
use crate::extract::records::Hardlink;
use crate::extract::sandbox::{self, Root};
use crate::extract::settings::Settings;
use crate::extract::survey::Standing;
use crate::extract::tree::{Node, ROOT};
use crate::options::Options;
use crate::progress::{LogLevel, Reporter};
use crate::stats::Stats;

/// The destination, if it exists. Where it doesn't, it must be possible to make it.
pub(super) fn destination(path: &Path) -> Result<Option<Root>> {
    if let Some(root) = Root::existing(path)? {
        return Ok(Some(root));
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |error: std::io::Error| Error::io("can't make the destination", &error).with_path(path);
    crate::sys::read_dir(parent).map(|_| None).map_err(failed)
}

/// Says what would be done with each entry of the plan; `root` is `None` where the destination doesn't exist yet.
pub(super) fn rehearse(
    archive: &Archive,
    plan: &mut Plan,
    root: Option<&Root>,
    (settings, failures, options): (&Settings, &Failures, &Options),
    reporter: &mut Reporter,
) -> Result<Stats> {
    let mut stats = Stats::default();
    blocks::count_blocks(plan, &mut stats);
    count_bytes(plan, &mut stats);
    let mut rehearsal = Rehearsal { plan, root, settings, failures, options, stats, directories: Vec::new() };
    rehearsal.directories(reporter)?;
    rehearsal.entries(reporter)?;
    if let Some(root) = root.filter(|root| settings.prune && !root.is_own() && !failures.any()) {
        rehearsal.prune(root, reporter)?;
    }
    let mut stats = rehearsal.stats;
    // Links to what stays as it is are written as files of their own.
    let of_kept = |link: &&Hardlink| plan.standing(link.of) == Standing::Kept;
    let files: Vec<Hardlink> = plan.hardlinks.iter().filter(of_kept).copied().collect();
    stats.hardlinks = (plan.hardlinks.len() - files.len()) as u64;
    if !files.is_empty() {
        stats.files += files.len() as u64;
        plan.take_hardlinks(archive, &settings.filter, failures, &files)?;
        count_bytes(plan, &mut stats);
    }
    Ok(stats)
}

fn count_bytes(plan: &Plan, stats: &mut Stats) {
    stats.slices += plan.slices.iter().filter(|slice| slice.size > 0).count() as u64;
    stats.bytes_in += plan.blocks.iter().map(|block| u64::from(block.blob_size)).sum::<u64>();
    stats.bytes_out += plan.bytes();
}

/// What a directory of the plan is now.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    There,
    Missing,
    /// Something stands in its way.
    Barred,
}

struct Rehearsal<'a> {
    plan: &'a Plan,
    root: Option<&'a Root>,
    settings: &'a Settings,
    failures: &'a Failures,
    options: &'a Options,
    stats: Stats,
    /// By number.
    directories: Vec<Place>,
}

/// What has a name.
enum Found {
    Nothing,
    Directory,
    Other,
}

impl Rehearsal<'_> {
    fn directories(&mut self, reporter: &mut Reporter) -> Result<()> {
        let tree = &self.plan.tree;
        let mut handles = Handles::new(1);
        self.directories.push(if self.root.is_some() { Place::There } else { Place::Missing });
        for node in &tree.directories()[ROOT as usize + 1..] {
            reporter.tick(None)?;
            let place = match self.look(&mut handles, node) {
                Ok(Found::Directory) => Place::There,
                Ok(Found::Other) if !self.settings.prune => {
                    self.failures.note(1, tree.named(node, sandbox::directory_error(Errno::NOTDIR)))?;
                    Place::Barred
                }
                Ok(Found::Nothing | Found::Other) => {
                    self.say("create", node);
                    self.stats.created += 1;
                    Place::Missing
                }
                Err(error) => {
                    self.failures.note(1, tree.named(node, error))?;
                    Place::Barred
                }
            };
            self.directories.push(place);
        }
        Ok(())
    }

    fn entries(&mut self, reporter: &mut Reporter) -> Result<()> {
        let plan = self.plan;
        let mut written = vec![false; plan.files.len()];
        for slice in &plan.slices {
            written[plan.file_number(slice) as usize] = true;
        }
        self.stats.files = written.iter().filter(|written| **written).count() as u64;
        plan.hardlinks.iter().for_each(|link| written[link.file as usize] = true);
        let files = plan.files.iter().zip(&written).filter(|(_, written)| **written).map(|(node, _)| node);
        let mut handles = Handles::new(1);
        for node in files.chain(&plan.fifos).chain(plan.symlinks.iter().map(|link| &link.node)) {
            reporter.tick(None)?;
            self.entry(&mut handles, node).or_else(|error| self.failures.note(1, plan.tree.named(node, error)))?;
            reporter.counters().add(1, 0);
        }
        Ok(())
    }

    fn entry(&mut self, handles: &mut Handles, node: &Node) -> Result<()> {
        match self.look(handles, node)? {
            Found::Other if self.settings.replaces() => {
                self.say("replace", node);
                self.stats.replaced += 1;
            }
            Found::Directory if !self.settings.prune => return Err(sandbox::directory_in_the_way()),
            Found::Other => return Err(Error::os("can't create it: the name is taken", Errno::EXIST)),
            // A directory goes first, with all that is in it.
            Found::Nothing | Found::Directory => {
                self.say("create", node);
                self.stats.created += 1;
            }
        }
        Ok(())
    }

    fn prune(&mut self, root: &Root, reporter: &mut Reporter) -> Result<()> {
        let mut pruner = Pruner::new(root, self.plan, self.settings);
        let strays = Strays::new(root, self.plan)?;
        let there = |number: u32| self.directories.get(number as usize) == Some(&Place::There);
        for number in (0..self.directories.len() as u32).filter(|number| there(*number)) {
            for stray in strays.of(number)? {
                reporter.tick(None)?;
                pruner.tell(&stray, |path| log(self.options, "delete", path))?;
            }
        }
        self.stats.pruned = pruner.removed;
        Ok(())
    }

    fn look(&self, handles: &mut Handles, node: &Node) -> Result<Found> {
        let Some(root) = self.root else { return Ok(Found::Nothing) };
        match self.directories[node.directory as usize] {
            Place::There => {}
            Place::Missing => return Ok(Found::Nothing),
            Place::Barred => return Err(sandbox::directory_error(Errno::NOTDIR)),
        }
        let directory = handles.get(root, &self.plan.tree, node.directory)?;
        match directory.status(self.plan.tree.name(node)) {
            Ok(status) if FileType::from_raw_mode(status.st_mode) == FileType::Directory => Ok(Found::Directory),
            Ok(_) => Ok(Found::Other),
            Err(Errno::NOENT) => Ok(Found::Nothing),
            Err(errno) => Err(Error::os("can't look at it", errno)),
        }
    }

    fn say(&self, action: &str, node: &Node) {
        if self.options.log_function().is_some() {
            log(self.options, action, self.plan.tree.path(node, &mut Vec::new()));
        }
    }
}

fn log(options: &Options, action: &str, path: &[u8]) {
    options.log(LogLevel::Info, &format!("{action} {}", printable(path)));
}
