//! Arrows between the files of a crate: what a file uses lies below it, so that it can be read, and changed, without what uses it. Between a
//! file and those in the folder of its name there is no direction: they are one thing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::program::root;

/// The files of a crate, by module: `ledger::history`. The root module only says which there are.
fn modules(source: &Path) -> BTreeMap<String, String> {
    let mut modules = BTreeMap::new();
    let mut folders: Vec<PathBuf> = vec![source.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(source).expect("it is below").with_extension("");
            let name = name.to_str().expect("text").replace('/', "::");
            let is_code = path.extension().is_some_and(|extension| extension == "rs");
            if is_code && !["lib", "main"].contains(&name.as_str()) && !name.ends_with("tests") {
                let text = std::fs::read_to_string(&path).expect("text");
                modules.insert(name, text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().to_owned());
            }
        }
    }
    modules
}

/// The modules that a text uses by the name of the crate or of its parent.
fn used(module: &str, text: &str, modules: &BTreeMap<String, String>) -> BTreeSet<String> {
    let parent = module.rsplit_once("::").map_or("", |(parent, _)| parent);
    let code: String =
        text.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(|line| [line, "\n"]).collect();
    let mut used = BTreeSet::new();
    for (start, base) in [("crate::", ""), ("super::", parent)] {
        for (at, _) in code.match_indices(start) {
            let rest = &code[at + start.len()..];
            let path: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "_:".contains(*c)).collect();
            // In braces there may be modules, too.
            let group = rest[path.len()..].strip_prefix('{').and_then(|group| group.split('}').next()).unwrap_or_default();
            let last = |name: &str| format!("{}{}", path, name.trim().split("::").next().unwrap_or_default());
            let names = group.split(',').map(last).chain([path.trim_end_matches("::").to_owned()]);
            for name in names {
                let full = if base.is_empty() { name } else { format!("{base}::{name}") };
                let mut candidate = full.as_str();
                while !modules.contains_key(candidate) {
                    let Some((shorter, _)) = candidate.rsplit_once("::") else { break };
                    candidate = shorter;
                }
                if modules.contains_key(candidate) {
                    used.insert(candidate.to_owned());
                }
            }
        }
    }
    used.retain(|other| !is_one(other, module));
    used
}

/// Whether one lies in the folder of the other.
fn is_one(a: &str, b: &str) -> bool {
    a == b || a.starts_with(&format!("{b}::")) || b.starts_with(&format!("{a}::"))
}

/// What each file uses, and what each folder at the top does, with the file of its name.
fn arrows(source: &Path) -> [BTreeMap<String, BTreeSet<String>>; 2] {
    let modules = modules(source);
    let of = |(module, text): (&String, &String)| (module.clone(), used(module, text, &modules));
    let files: BTreeMap<String, BTreeSet<String>> = modules.iter().map(of).collect();
    let top = |module: &String| module.split("::").next().unwrap_or_default().to_owned();
    let mut folders: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (module, uses) in &files {
        let uses = uses.iter().map(top).filter(|used| *used != top(module));
        folders.entry(top(module)).or_default().extend(uses);
    }
    [files, folders]
}

/// What is left when everything is taken away that uses nothing, or is used by nothing, of what is left.
fn circles(mut left: BTreeMap<String, BTreeSet<String>>) -> BTreeMap<String, BTreeSet<String>> {
    loop {
        let count = left.len();
        let users: BTreeSet<String> = left.values().flatten().cloned().collect();
        left.retain(|module, uses| users.contains(module) && !uses.is_empty());
        let there: BTreeSet<String> = left.keys().cloned().collect();
        for uses in left.values_mut() {
            uses.retain(|used| there.contains(used));
        }
        if left.len() == count {
            return left;
        }
    }
}

#[test]
fn arrows_between_files_go_one_way() {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(root().join("crates")).expect("a folder") {
        let folder = entry.expect("an entry").path();
        let mut found = arrows(&folder.join("src")).map(circles);
        if found.iter_mut().any(|circles| !circles.is_empty()) {
            all.insert(folder.file_name().expect("a name").to_owned(), found);
        }
    }
    assert!(all.is_empty(), "{all:#?}");
}

#[test]
fn a_circle_is_found_and_a_line_is_none() {
    let arrows = |pairs: &[(&str, &[&str])]| -> BTreeMap<String, BTreeSet<String>> {
        let owned = |uses: &[&str]| uses.iter().map(|used| (*used).to_owned()).collect();
        pairs.iter().map(|(module, uses)| ((*module).to_owned(), owned(uses))).collect()
    };
    assert_eq!(circles(arrows(&[("a", &["b", "c"]), ("b", &["c"]), ("c", &[])])), BTreeMap::new());
    let circle = arrows(&[("b", &["c"]), ("c", &["b"])]);
    assert_eq!(circles(arrows(&[("a", &["b"]), ("b", &["c"]), ("c", &["b", "d"]), ("d", &[])])), circle);
    let modules: BTreeMap<String, String> =
        ["a", "a::b", "a::c", "d"].into_iter().map(|module| (module.to_owned(), String::new())).collect();
    let uses = |text: &str| used("a::b", text, &modules).into_iter().collect::<Vec<_>>();
    assert_eq!(uses("use crate::d::Thing;\nuse super::c;\nuse super::Own;\n// crate::d"), ["a::c", "d"]);
    assert_eq!(uses("use crate::a::{Own, c::Thing};"), ["a::c"]);
}
