//! What comes out when an office's own templates are filled with invented facts of every kind.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error as _,
    ops::Range,
};

use minijinja::ErrorKind;
use serde::Serialize;

use super::{
    Fault,
    planted::{MARK, links_here, marker, plant, visible},
    scan::scan,
    stated::{source_of, taken_in},
};
use crate::{
    message::{
        catalogue::{self, Filling, PAIRS},
        daily::DailyFacts,
        facts::{LetterFacts, Nearness, NoticeFacts, Why},
        notice,
        sample::{self, kinds},
        texts::{Broken, Texts},
        view, words, zalo,
    },
    planning::rules::Audience,
};

/// Characters a subject may have; what is longer no inbox shows.
const SUBJECT: usize = 150;

/// Everything wrong with what comes out.
pub fn faults(overrides: &BTreeMap<String, String>) -> Vec<Fault> {
    let mut trial = Trial { overrides, faults: Vec::new(), texts: None };
    match Texts::assemble(overrides, true) {
        Ok(texts) => trial.texts = Some(texts),
        Err(broken) => trial.broken(&broken, "mọi thư"),
    }
    let Some(texts) = trial.texts.clone() else { return trial.faults };
    trial.counterparts();
    // What no template of the office's own has a part in comes out as shipped.
    let concerned = |names: &[&str]| names.iter().any(|name| !trial.involved(name).is_empty());
    let letters = concerned(&["single.html.j2", "single.txt.j2", "digest.html.j2", "digest.txt.j2"]);
    let sentences = catalogue::ENTRIES.iter().any(|entry| {
        trial.own(entry.name)
            && (matches!(entry.filling, Filling::Frame | Filling::Sentence | Filling::Zalo)
                || ["subject.txt.j2", "contact.txt.j2"].contains(&entry.name))
    });
    let neutral = concerned(&["neutral.html.j2", "neutral.txt.j2", "neutral_subject.txt.j2"]);
    let lists = concerned(&["daily_list.html.j2", "daily_list.txt.j2"]);
    for kind in kinds::letters() {
        if trial.endless() {
            return trial.faults;
        }
        if letters {
            trial.letter(&texts, kind.label, &kind.facts);
        }
        trial.zalo(&texts, kind.label, &kind.facts);
    }
    if sentences {
        trial.sentences(&texts);
    }
    for kind in kinds::classified().into_iter().filter(|_| neutral) {
        trial.neutral(&texts, kind.label, &kind.facts);
    }
    for (label, facts) in kinds::daily().into_iter().filter(|_| lists) {
        trial.daily(&texts, label, &facts);
    }
    for kind in kinds::notices() {
        trial.notice(&texts, kind.label, &kind.facts, kind.withdrawn);
    }
    for (n, facts) in [sample::single(), sample::digest()].iter().enumerate().filter(|_| letters) {
        trial.hostile(&texts, if n == 0 { "single.html.j2" } else { "digest.html.j2" }, facts);
    }
    trial.hostile_notice(&texts);
    trial.hostile_daily(&texts);
    trial.faults
}

struct Trial<'a> {
    overrides: &'a BTreeMap<String, String>,
    faults: Vec<Fault>,
    texts: Option<Texts>,
}

impl Trial<'_> {
    fn own(&self, name: &str) -> bool {
        self.overrides.contains_key(name)
    }

    fn push(&mut self, fault: Fault) {
        let known =
            |known: &Fault| (&known.template, &known.span, known.code) == (&fault.template, &fault.span, fault.code);
        if !self.faults.iter().any(known) {
            self.faults.push(fault);
        }
    }

    /// Which of the office's own templates a text of `name` was made with: the nearest to it first.
    fn involved(&self, name: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut open = vec![name.to_owned()];
        let mut seen = BTreeSet::new();
        while let Some(next) = open.pop() {
            if !seen.insert(next.clone()) {
                continue;
            }
            if self.own(&next) {
                found.push(next.clone());
            }
            let targets = source_of(self.overrides, &next).map(taken_in).unwrap_or_default();
            open.extend(targets.into_iter().map(|(target, _)| target.to_owned()));
        }
        let sentences: &[&str] = match catalogue::entry(name).map(|entry| entry.filling) {
            Some(Filling::Letter) => {
                &["ask.txt.j2", "next.txt.j2", "contact.txt.j2", "greeting.txt.j2", "closing.txt.j2"]
            }
            Some(Filling::Neutral | Filling::Daily) => &["greeting.txt.j2", "closing.txt.j2"],
            _ => &[],
        };
        found.extend(sentences.iter().filter(|name| self.own(name)).map(|name| (*name).to_owned()));
        found
    }

    /// The first of the office's own templates in a text of `name`, with the place in it where `word` is used, or its
    /// first line.
    fn blame(&self, name: &str, word: Option<&str>) -> Option<(String, Range<usize>)> {
        let involved = self.involved(name);
        let place = |template: &String, word: &str| {
            let source = self.overrides.get(template)?;
            let (marks, _) = scan(source);
            let mark = marks.iter().find(|mark| mark.words.iter().any(|found| found.text == word))?;
            Some((template.clone(), mark.span.clone()))
        };
        word.and_then(|word| involved.iter().find_map(|template| place(template, word)))
            .or_else(|| involved.first().map(|template| (template.clone(), self.first_line(template))))
    }

    fn first_line(&self, template: &str) -> Range<usize> {
        let source = self.overrides.get(template).map(String::as_str).unwrap_or_default();
        let start = source.len() - source.trim_start().len();
        start..start + source[start..].lines().next().map_or(0, str::len)
    }

    /// Where a literal text stands in one of the office's own templates of a text of `name`.
    fn literal(&self, name: &str, text: &str) -> Option<(String, Range<usize>)> {
        self.involved(name).into_iter().find_map(|template| {
            let at = self.overrides.get(&template)?.to_lowercase().find(text)?;
            // Lower case may be longer or shorter than what was typed; a place that does not fit is not shown.
            let whole = self.overrides.get(&template)?.get(at..at + text.len())?;
            (whole.to_lowercase() == text).then(|| (template, at..at + text.len()))
        })
    }

    /// A template without end was found: each further trial would take as long again.
    fn endless(&self) -> bool {
        self.faults.iter().any(|fault| matches!(fault.code, "template-endless" | "template-too-long"))
    }

    /// Tries a text; what went wrong becomes a fault.
    fn try_one(&mut self, texts: &Texts, name: &str, seen: &impl Serialize, label: &str) -> Option<String> {
        match texts.render(name, seen) {
            Ok(text) => Some(text),
            Err(broken) => {
                self.broken(&broken, label);
                None
            }
        }
    }

    fn broken(&mut self, broken: &Broken, label: &str) {
        let (name, outer) = broken;
        // An error within an include or a block tells where it came from one level down.
        let mut error = outer;
        while let Some(inner) = error.source().and_then(|source| source.downcast_ref::<minijinja::Error>()) {
            error = inner;
        }
        let named = error.name().unwrap_or(name).to_owned();
        let (template, span) = if self.own(&named) {
            let source = self.overrides.get(&named).map(String::as_str).unwrap_or_default();
            let span = error.range().filter(|range| source.get(range.clone()).is_some());
            let first = self.first_line(&named);
            (named, span.unwrap_or(first))
        } else {
            match self.blame(name, None) {
                Some(blamed) => blamed,
                // No template of the office's own is in it: the shipped ones are tried by the tests.
                None => return,
            }
        };
        let source = self.overrides.get(&template).map(String::as_str).unwrap_or_default();
        let shown: String = source[span.clone()].chars().take(60).collect();
        let again = format!("khi thử với: {label}");
        let fault = match error.kind() {
            ErrorKind::UndefinedError => Fault::error(
                &template,
                span,
                "template-unknown-variable",
                format!("`{shown}` không có giá trị ({again})"),
                "sửa tên cho đúng; dữ kiện chỉ có ở một số thư thì hỏi trước: {% if … is defined %}",
            ),
            ErrorKind::UnknownFilter => {
                let message = format!("không có bộ lọc ở `{shown}`");
                Fault::error(&template, span, "template-unknown-filter", message, "xem các bộ lọc trong mẫu gốc")
            }
            ErrorKind::UnknownTest => {
                let message = format!("không có phép thử ở `{shown}`");
                Fault::error(&template, span, "template-unknown-test", message, "dùng is defined, is none …")
            }
            ErrorKind::OutOfFuel => Fault::error(
                &template,
                span,
                "template-endless",
                format!("mẫu chạy quá nhiều bước ({again})"),
                "bỏ bớt vòng lặp trong vòng lặp",
            ),
            ErrorKind::WriteFailure => Fault::error(
                &template,
                span,
                "template-too-long",
                format!("thư làm ra dài quá 16 MB ({again})"),
                "bỏ bớt phần lặp lại",
            ),
            ErrorKind::InvalidOperation if error.detail().is_some_and(|detail| detail.contains("recursion")) => {
                Fault::error(
                    &template,
                    span,
                    "template-circle",
                    "các mẫu lấy nhau vòng không dứt".to_owned(),
                    "bỏ một chỗ include hoặc extends",
                )
            }
            ErrorKind::UnknownBlock => Fault::error(
                &template,
                span,
                "template-render",
                format!("`{shown}`: phần này không có ở mẫu gốc, nên không có gì để lấy lại ({again})"),
                "bỏ super(), hoặc đặt tên block đúng như mẫu gốc",
            ),
            _ => Fault::error(
                &template,
                span,
                "template-render",
                format!("không tính được `{shown}` ({again})"),
                "so với mẫu gốc: bộ lọc cần đúng loại dữ kiện, chữ nối với chữ bằng dấu ~",
            ),
        };
        self.push(fault);
    }

    fn counterparts(&mut self) {
        for (html, text) in PAIRS {
            for (here, there, what) in [(html, text, "bản chữ"), (text, html, "bản HTML")] {
                if self.own(here) && !self.own(there) {
                    let message = format!("mẫu này là của cơ quan, còn {what} `{there}` vẫn là mẫu có sẵn");
                    let help = "hai bản của một thư nên nói như nhau: sửa cả hai, hoặc chỉ sửa câu dùng chung (greeting, ask, closing …)";
                    let span = self.first_line(here);
                    self.push(Fault::warning(here, span, "template-no-counterpart", message, help));
                }
            }
        }
    }

    fn letter(&mut self, texts: &Texts, label: &str, facts: &LetterFacts) {
        let text = match texts.letter(facts) {
            Ok(text) => text,
            Err(broken) => return self.broken(&broken, label),
        };
        let kind = if facts.items.len() == 1 { "single" } else { "digest" };
        let parts = [(format!("{kind}.html.j2"), visible(&text.html)), (format!("{kind}.txt.j2"), text.text.clone())];
        for (name, shown) in parts {
            self.whole(&name, label, &shown);
            for item in facts.items.iter().take(8) {
                for (fact, said) in [("mã nhiệm vụ", item.code.clone()), ("thời hạn", words::date(item.effective))]
                {
                    let short = words::short_date(item.effective, facts.as_of.year());
                    if !shown.contains(&said) && (fact == "mã nhiệm vụ" || !shown.contains(&short)) {
                        self.missing(&name, label, fact);
                    }
                }
            }
        }
    }

    fn zalo(&mut self, texts: &Texts, label: &str, facts: &LetterFacts) {
        if !self.own("zalo.txt.j2") {
            return;
        }
        let Ok(seen) = zalo::view(facts) else { return };
        let Some(text) = self.try_one(texts, "zalo.txt.j2", &seen, label) else { return };
        let length = zalo::length(text.trim());
        let span = self.first_line("zalo.txt.j2");
        if length == 0 {
            self.empty("zalo.txt.j2", label);
        } else if length >= zalo::LIMIT {
            let message = format!("tin Zalo dài {length} ký tự, phải dưới {} ({label})", zalo::LIMIT);
            let help = "bỏ bớt dữ kiện dài (lead, link), hoặc dùng {{ line }}: câu có sẵn tự rút gọn";
            self.push(Fault::error("zalo.txt.j2", span, "template-zalo-long", message, help));
        }
        for item in facts.items.iter().take(1) {
            if !text.contains(&item.code) {
                self.missing("zalo.txt.j2", label, "mã nhiệm vụ");
            }
        }
    }

    /// A whole text, without its markup: that it says anything.
    fn whole(&mut self, name: &str, label: &str, shown: &str) {
        if shown.trim().is_empty() {
            self.empty(name, label);
        }
    }

    fn empty(&mut self, name: &str, label: &str) {
        let Some((template, span)) = self.blame(name, None) else { return };
        let message = format!("mẫu không cho ra chữ nào ({label})");
        let help = "viết lời vào mẫu; muốn dùng lại mẫu có sẵn thì xóa tệp này";
        self.push(Fault::error(&template, span, "template-empty", message, help));
    }

    fn missing(&mut self, name: &str, label: &str, fact: &str) {
        let Some((template, span)) = self.blame(name, None) else { return };
        let message = format!("thư không nói {fact} ({label})");
        let help = "người nhận cần biết việc nào, hạn ngày nào: thêm {{ item.code }} và {{ item.deadline }}";
        self.push(Fault::warning(&template, span, "template-missing-fact", message, help));
    }

    /// The office's own sentences, for each audience and nearness.
    fn sentences(&mut self, texts: &Texts) {
        let mut letters: Vec<(&'static str, LetterFacts)> =
            kinds::letters().into_iter().map(|kind| (kind.label, kind.facts)).collect();
        let nearnesses =
            [Nearness::Overdue, Nearness::DueToday, Nearness::Upcoming, Nearness::Confirm, Nearness::Returned];
        for audience in Audience::WORDS.iter().copied().chain(["person:001", "email:an@office.example"]) {
            for near in nearnesses {
                let mut facts = sample::single();
                let item = &mut facts.items[0];
                item.why = Why { audience: audience.to_owned(), ..item.why.clone() };
                item.nearness = near;
                item.urging = (near == Nearness::Overdue).then_some(1);
                letters.push((audience, facts));
            }
        }
        for (label, facts) in &letters {
            if self.endless() {
                return;
            }
            let seen = view::letter(facts);
            for (name, required) in [("subject.txt.j2", true), ("contact.txt.j2", true)] {
                if self.own(name)
                    && let Some(text) = self.try_one(texts, name, &seen, label)
                {
                    self.one_sentence(name, label, &text, required);
                    if name == "subject.txt.j2" {
                        self.subject(name, label, &text);
                        if let [item] = facts.items.as_slice()
                            && !text.contains(&item.code)
                        {
                            self.missing(name, label, "mã nhiệm vụ trong tiêu đề");
                        }
                    }
                }
            }
            let frame = view::Frame { office: &seen.office, to: &seen.to };
            for name in ["greeting.txt.j2", "closing.txt.j2"] {
                if self.own(name)
                    && let Some(text) = self.try_one(texts, name, &frame, label)
                {
                    self.one_sentence(name, label, &text, true);
                }
            }
            let shown = seen.sections.iter().flat_map(|section| {
                let behind = facts.items.iter().filter(|item| item.nearness == section.key);
                section.items.iter().zip(behind)
            });
            for (item, fact) in shown.take(10) {
                let sentence = view::Sentence::of(item, fact, &seen);
                for (name, required) in [("ask.txt.j2", true), ("next.txt.j2", false)] {
                    if self.own(name)
                        && let Some(text) = self.try_one(texts, name, &sentence, label)
                    {
                        self.one_sentence(name, label, &text, required);
                    }
                }
            }
        }
    }

    fn one_sentence(&mut self, name: &str, label: &str, text: &str, required: bool) {
        if required && text.trim().is_empty() {
            self.empty(name, label);
        }
    }

    fn subject(&mut self, name: &str, label: &str, text: &str) {
        let text = text.trim();
        let span = self.first_line(name);
        if text.contains(['\n', '\r']) {
            let message = format!("tiêu đề thư có xuống dòng ({label})");
            let help = "viết cả tiêu đề trên một dòng; xuống dòng trong mẫu thì để trong {% … %}";
            self.push(Fault::error(name, span.clone(), "template-subject-lines", message, help));
        }
        let length = text.chars().count();
        if length > SUBJECT {
            let message = format!("tiêu đề thư dài {length} ký tự, nhiều nhất là {SUBJECT} ({label})");
            let help = "bỏ bớt dữ kiện dài; điện thoại chỉ hiện khoảng 40 ký tự đầu";
            self.push(Fault::error(name, span, "template-subject-long", message, help));
        }
    }

    /// Letters on classified tasks: whatever is in the facts, nothing of it may stand there.
    fn neutral(&mut self, texts: &Texts, label: &str, facts: &LetterFacts) {
        let planted = plant(facts, &mut |path, _| {
            let kept =
                path == "office" || path.starts_with("recipient.name") || path.starts_with("recipient.honorific");
            (!kept).then(|| "MATKHONGLO".to_owned())
        });
        let text = match texts.neutral(&planted) {
            Ok(text) => text,
            Err(broken) => return self.broken(&broken, label),
        };
        let seen = view::neutral(&planted);
        if let Some(raw) = self.try_one(texts, "neutral_subject.txt.j2", &seen, label) {
            self.one_sentence("neutral_subject.txt.j2", label, &raw, true);
            self.subject("neutral_subject.txt.j2", label, &raw);
        }
        let subject = text.subject.clone();
        let days = [words::date(planted.items[0].deadline), words::date(planted.items[0].effective)];
        for (name, part, shown) in [
            ("neutral_subject.txt.j2", &subject, subject.clone()),
            ("neutral.html.j2", &text.html, visible(&text.html)),
            ("neutral.txt.j2", &text.text, text.text.clone()),
        ] {
            self.whole(name, label, &shown);
            let lower = shown.to_lowercase();
            let word = |word: &str| lower.split(|c: char| !c.is_alphanumeric()).any(|found| found == word);
            let said: [(bool, &str, &str); 4] = [
                (part.contains("MATKHONGLO") || days.iter().any(|day| part.contains(day)), "dữ kiện của nhiệm vụ", ""),
                (part.to_lowercase().contains("http"), "đường dẫn", "http"),
                (part.to_lowercase().contains("www."), "đường dẫn", "www."),
                (word("mật"), "chữ “mật”", "mật"),
            ];
            for (found, what, literal) in said {
                let place = || self.literal(name, literal).filter(|_| !literal.is_empty());
                if found && let Some((template, span)) = place().or_else(|| self.blame(name, None)) {
                    let message = format!("thư về việc mật nói ra {what} ({label})");
                    let help = "thư này chỉ mời người nhận liên hệ trực tiếp: không số hiệu, không nội dung, không hạn, không đường dẫn (Luật 117/2025/QH15, Điều 5)";
                    self.push(Fault::error(&template, span, "template-classified", message, help));
                }
            }
        }
    }

    /// The daily list: whoever cannot be reached stands in both of its parts, with the tasks concerned.
    fn daily(&mut self, texts: &Texts, label: &str, facts: &DailyFacts) {
        let text = match texts.list(facts) {
            Ok(text) => text,
            Err(broken) => return self.broken(&broken, label),
        };
        for (name, shown) in [("daily_list.html.j2", visible(&text.html)), ("daily_list.txt.j2", text.text)] {
            self.whole(name, label, &shown);
            for group in facts.groups.iter().take(8) {
                if group.tasks.first().is_some_and(|code| !shown.contains(code.as_str())) {
                    self.missing(name, label, "mã nhiệm vụ");
                }
                if !shown.split_whitespace().collect::<Vec<_>>().join(" ").contains(&group.agency) {
                    self.missing(name, label, "cơ quan");
                }
            }
        }
    }

    fn notice(&mut self, texts: &Texts, label: &str, facts: &NoticeFacts, withdrawn: Option<&str>) {
        let seal = sample::seal();
        let seen = notice::view(facts, &seal, withdrawn);
        if !self.own("notice.html.j2") {
            return;
        }
        let Some(page) = self.try_one(texts, "notice.html.j2", &seen, label) else { return };
        let shown = visible(&page);
        self.whole("notice.html.j2", label, &shown);
        let mut wanted = vec![
            ("số theo dõi", facts.number.clone()),
            ("mã nhiệm vụ", facts.task.clone()),
            ("thời hạn", words::date(facts.deadline)),
            ("mã băm của mục sổ", seal.hash.clone()),
            ("chữ DỰ THẢO", "DỰ THẢO".to_owned()),
        ];
        if let Some(why) = withdrawn {
            wanted.push(("lý do rút phiếu", why.chars().take(30).collect()));
        }
        for (fact, said) in wanted {
            if !shown.contains(&said)
                && let Some((template, span)) = self.blame("notice.html.j2", None)
            {
                let message = format!("phiếu không nói {fact} ({label})");
                let help = "phiếu là chứng cứ: giữ đủ các phần của mẫu gốc (parts, seal, withdrawn)";
                self.push(Fault::warning(&template, span, "template-missing-fact", message, help));
            }
        }
    }

    /// Facts that would be markup if nobody escaped them.
    fn hostile(&mut self, texts: &Texts, name: &str, facts: &LetterFacts) {
        let mut paths = Vec::new();
        let planted = plant(facts, &mut |path, _| {
            paths.push(path.to_owned());
            Some(marker(paths.len() - 1))
        });
        // With hostile sentences the real letter is made; a sentence's own words are plain text, escaped as any other.
        if let Ok(text) = texts.letter(&planted) {
            self.raw(name, &text.html, &paths);
        }
    }

    fn hostile_daily(&mut self, texts: &Texts) {
        if self.involved("daily_list.html.j2").is_empty() {
            return;
        }
        let mut paths = Vec::new();
        let planted = plant(&sample::daily(), &mut |path, _| {
            paths.push(path.to_owned());
            Some(marker(paths.len() - 1))
        });
        if let Ok(text) = texts.list(&planted) {
            self.raw("daily_list.html.j2", &text.html, &paths);
        }
    }

    fn hostile_notice(&mut self, texts: &Texts) {
        if !self.own("notice.html.j2") {
            return;
        }
        let mut paths = Vec::new();
        let planted = plant(&sample::notice(), &mut |path, _| {
            paths.push(path.to_owned());
            Some(marker(paths.len() - 1))
        });
        let withdrawn = marker(0);
        if let Ok(page) = texts.render("notice.html.j2", &notice::view(&planted, &sample::seal(), Some(&withdrawn))) {
            self.raw("notice.html.j2", &page, &paths);
        }
    }

    fn raw(&mut self, name: &str, page: &str, paths: &[String]) {
        for (at, _) in page.match_indices(MARK) {
            let digits: String = page[at + MARK.len()..].chars().take_while(char::is_ascii_digit).collect();
            let path = digits.parse::<usize>().ok().and_then(|n| paths.get(n)).map_or("", String::as_str);
            let word = path.rsplit('.').find(|part| part.parse::<usize>().is_err()).unwrap_or(path);
            let after = &page[at + MARK.len() + digits.len()..];
            if after.starts_with('<') {
                let Some((template, span)) = self.blame(name, Some(word)) else { continue };
                let message = format!("dữ kiện `{word}` vào HTML mà không được làm an toàn");
                let help =
                    "chữ người ta gõ có thể chứa thẻ HTML: viết {{ … }} trong mẫu .html.j2, đừng đi vòng qua mẫu chữ";
                self.push(Fault::error(&template, span, "template-unescaped", message, help));
            } else if links_here(page, at) {
                let Some((template, span)) = self.blame(name, Some(word)) else { continue };
                let message = format!("dữ kiện `{word}` làm đường dẫn: chữ người ta gõ có thể thành lệnh");
                let help = "đường dẫn chỉ lấy từ item.link";
                self.push(Fault::error(&template, span, "template-link", message, help));
            }
        }
    }
}
