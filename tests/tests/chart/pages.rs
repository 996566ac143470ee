//! The pages that people read: every link leads somewhere.

use std::fs;
use std::path::{Path, PathBuf};

use fairlead_tests::program::root;

/// README, all of `docs`, and what stands beside the charts and the example.
pub(crate) fn pages() -> Vec<PathBuf> {
    let beside = [
        "README.md",
        "charts/fairlead/README.md",
        "hooks/README.md",
        "examples/kyma-event-bus/README.md",
        "tests/cluster/README.md",
    ];
    let docs = fs::read_dir(root().join("docs")).expect("a folder").map(|entry| entry.expect("an entry").path());
    docs.chain(beside.map(|page| root().join(page))).collect()
}

/// The text without blocks of code, in which `](` means nothing.
fn prose(page: &Path) -> Vec<String> {
    let text = fs::read_to_string(page).expect("a page");
    let mut is_code = false;
    let mut prose = Vec::new();
    for line in text.lines() {
        is_code ^= line.starts_with("```");
        if !is_code && !line.starts_with("```") {
            prose.push(line.to_owned());
        }
    }
    prose
}

/// Where the links of a line lead, as written.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link)
}

/// The anchors that GitHub makes of the headings of a page.
fn anchors(page: &Path) -> Vec<String> {
    let slug = |heading: String| {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|letter| letter.is_alphanumeric() || [' ', '-', '_'].contains(letter));
        kept.collect::<String>().replace(' ', "-")
    };
    prose(page).into_iter().filter(|line| line.starts_with('#')).map(slug).collect()
}

/// Why a link of a page leads nowhere, if it does.
fn broken(page: &Path, link: &str) -> Option<String> {
    if link.contains("://") {
        return None;
    }
    let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
    let target = if file.is_empty() { page.to_owned() } else { page.parent().expect("a folder").join(file) };
    if !target.exists() {
        return Some(format!("{}: there is no {link}", page.display()));
    }
    let anchor = anchor.filter(|anchor| !anchors(&target).iter().any(|it| it == anchor))?;
    Some(format!("{}: {} has no heading {anchor}", page.display(), target.display()))
}

#[test]
fn every_link_leads_somewhere() {
    let mut found = 0;
    let mut all = Vec::new();
    for page in pages() {
        for line in prose(&page) {
            found += links(&line).count();
            all.extend(links(&line).filter_map(|link| broken(&page, link)));
        }
    }
    assert!(found > 50, "only {found} links");
    assert_eq!(all, Vec::<String>::new());
}

/// Nobody reads a long page at three in the morning.
#[test]
fn the_first_page_is_short_and_leads_to_all_others() {
    let readme = fs::read_to_string(root().join("README.md")).expect("it is there");
    assert!(readme.lines().count() <= 200, "README.md has {} lines", readme.lines().count());
    for page in pages().iter().filter_map(|page| page.strip_prefix(root().join("docs")).ok()) {
        assert!(
            readme.contains(&format!("(docs/{})", page.display())),
            "README.md does not lead to docs/{}",
            page.display()
        );
    }
}
