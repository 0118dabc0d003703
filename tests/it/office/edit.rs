//! A file as a clerk edits it: by lines, in the section of a rule, a step, a test. Everything else stays as it was.

use std::ops::Range;

/// The lines of a file of TOML.
#[derive(Debug, Clone)]
pub struct Edited(Vec<String>);

impl Edited {
    pub fn of(text: &str) -> Self {
        Self(text.lines().map(str::to_owned).collect())
    }

    pub fn text(&self) -> String {
        self.0.join("\n") + "\n"
    }

    /// Lines of the section that begins at a header: up to the next header, without the comments that introduce it.
    fn section(&self, start: usize) -> Range<usize> {
        let next = (start + 1..self.0.len()).find(|n| self.0[*n].starts_with('[')).unwrap_or(self.0.len());
        let end = (start + 1..next).rev().find(|n| !matches!(self.0[*n].chars().next(), None | Some('#')));
        start..end.unwrap_or(start) + 1
    }

    fn headers<'a>(&'a self, header: &'a str) -> impl Iterator<Item = usize> + 'a {
        (0..self.0.len()).filter(move |n| self.0[*n].split('#').next().is_some_and(|line| line.trim() == header))
    }

    fn named(&self, header: &str, key: &str, value: &str, within: Range<usize>) -> Range<usize> {
        let line = format!("{key} = \"{value}\"");
        let found: Vec<Range<usize>> = self
            .headers(header)
            .filter(|n| within.contains(n))
            .map(|n| self.section(n))
            .filter(|section| self.0[section.clone()].contains(&line))
            .collect();
        assert_eq!(found.len(), 1, "{header} with {line} stands {} times", found.len());
        found[0].clone()
    }

    fn all(&self) -> Range<usize> {
        0..self.0.len()
    }

    /// The head of a rule, without its steps.
    fn rule(&self, id: &str) -> Range<usize> {
        self.named("[[rule]]", "id", id, self.all())
    }

    fn step(&self, rule: &str, id: &str) -> Range<usize> {
        let start = self.rule(rule).start;
        let end = (start + 1..self.0.len())
            .find(|n| self.0[*n].starts_with('[') && !self.0[*n].starts_with("[[rule.step]]"))
            .unwrap_or(self.0.len());
        self.named("[[rule.step]]", "id", id, start..end)
    }

    fn insert(&mut self, at: usize, text: &str) {
        self.0.splice(at..at, text.lines().map(str::to_owned));
    }

    /// A new step behind another.
    pub fn after_step(&mut self, rule: &str, step: &str, text: &str) {
        let end = self.step(rule, step).end;
        self.insert(end, &format!("\n{text}"));
    }

    /// A new rule before another, and before the comments that introduce it.
    pub fn before_rule(&mut self, rule: &str, text: &str) {
        let mut start = self.rule(rule).start;
        while start > 0 && self.0[start - 1].starts_with('#') {
            start -= 1;
        }
        self.insert(start, &format!("{text}\n"));
    }

    pub fn append(&mut self, text: &str) {
        let end = self.0.len();
        self.insert(end, &format!("\n{text}"));
    }

    /// Lines `key = value`: in place of the line with that key, else at the section's end.
    fn set(&mut self, section: Range<usize>, text: &str) {
        let mut section = section;
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let (key, _) = line.split_once('=').unwrap_or_else(|| panic!("not a line of `key = value`: {line}"));
            let key = format!("{} =", key.trim());
            match section.clone().find(|n| self.0[*n].starts_with(&key)) {
                Some(n) => self.0[n] = line.to_owned(),
                None => {
                    self.0.insert(section.end, line.to_owned());
                    section.end += 1;
                }
            }
        }
    }

    pub fn set_step(&mut self, rule: &str, step: &str, text: &str) {
        self.set(self.step(rule, step), text);
    }

    pub fn set_rule(&mut self, rule: &str, text: &str) {
        self.set(self.rule(rule), text);
    }

    /// A table such as `[defaults]`.
    pub fn set_table(&mut self, header: &str, text: &str) {
        let found: Vec<usize> = self.headers(header).collect();
        assert_eq!(found.len(), 1, "{header} stands {} times", found.len());
        self.set(self.section(found[0]), text);
    }

    pub fn remove_step(&mut self, rule: &str, step: &str) {
        let section = self.step(rule, step);
        self.0.drain(section);
    }

    pub fn replace_test(&mut self, name: &str, text: &str) {
        let section = self.named("[[test]]", "name", name, self.all());
        self.0.splice(section, text.lines().map(str::to_owned));
    }

    /// Takes the comment mark off the lines between two lines, both included: the lines' own marks stay.
    pub fn uncomment(&mut self, lines: Range<usize>) {
        for line in &mut self.0[lines] {
            *line = line.strip_prefix("# ").unwrap_or_else(|| panic!("not a comment: {line}")).to_owned();
        }
    }

    pub fn lines(&self) -> &[String] {
        &self.0
    }
}
