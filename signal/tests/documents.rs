//! What documents point to is there: files, headings, settings with their environment and their defaults.

use std::fs;
use std::path::{Path, PathBuf};

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn pages(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path());
    let is_page = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "md");
    let mut pages: Vec<_> = entries.filter(is_page).collect();
    pages.sort();
    assert!(!pages.is_empty(), "{}: no pages", dir.display());
    pages
}

fn read(page: &Path) -> String {
    fs::read_to_string(page).unwrap_or_else(|error| panic!("{}: {error}", page.display()))
}

/// Where the links of a page lead, as they are written.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split(')').next())
}

/// The headings of a page, as links name them.
fn anchors(text: &str) -> Vec<String> {
    let kept = |c: char| (c.is_alphanumeric() || matches!(c, ' ' | '-')).then_some(c);
    let name = |heading: &str| heading.to_lowercase().chars().filter_map(kept).collect::<String>();
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| name(line.trim_start_matches('#').trim()).replace(' ', "-")).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let root = here().join("..");
    let dirs = [root.clone(), root.join("deploy"), here().join("docs"), here().join("docs/moving")];
    let mut followed = 0;
    for page in dirs.iter().flat_map(|dir| pages(dir)) {
        // Paths of Rust are followed by rustdoc.
        let text = read(&page);
        for link in links(&text).filter(|link| !link.contains("://") && !link.contains("::")) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let to = if path.is_empty() { page.clone() } else { page.with_file_name(path) };
            assert!(to.exists(), "{}: {link} leads nowhere", page.display());
            if !anchor.is_empty() {
                let is_there = anchors(&read(&to)).iter().any(|heading| heading == anchor);
                assert!(is_there, "{}: {link}: no such heading", page.display());
            }
            followed += 1;
        }
    }
    assert!(followed > 20, "{followed} links were followed");
}

/// All settings, with their defaults, as the table in the code has them.
fn settings() -> Vec<(String, String)> {
    let table = read(&here().join("src/settings/table.rs"));
    let rows = table.lines().filter_map(|line| line.trim().strip_prefix("row(\""));
    let rows = rows.map(|row| row.split('"').collect::<Vec<_>>());
    rows.map(|parts| (parts[0].to_owned(), parts[2].to_owned())).collect()
}

#[test]
fn the_settings_that_take_the_place_of_others_are_there() {
    let settings = settings();
    for page in pages(&here().join("docs/moving")) {
        let text = read(&page);
        let rows: Vec<Vec<_>> = text
            .lines()
            .filter(|line| line.contains("| `SIGNAL__"))
            .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
            .collect();
        assert!(!rows.is_empty(), "{}: no settings", page.display());
        for row in rows {
            let [_, flag, environment, default] = row[..] else { panic!("{row:?}: not four columns") };
            let name = flag.trim_matches('`').trim_start_matches("--");
            let found = settings.iter().find(|(setting, _)| setting == name);
            let (_, real) = found.unwrap_or_else(|| panic!("{}: there is no {flag}", page.display()));
            let expected = format!("`SIGNAL__{}`", name.replace('.', "__").to_uppercase());
            assert_eq!(environment, expected, "{}", page.display());
            let said = default.strip_prefix('`').and_then(|rest| rest.split('`').next()).unwrap_or_default();
            assert_eq!(said, real, "{}: {name}", page.display());
        }
    }
}
