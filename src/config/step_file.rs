//! Reads one `[[rule.step]]`: its distance from the deadline, whom it reaches, what it files, how it repeats.

use super::{
    line_hints::listed,
    problem::{Place, meant, nearest, quoted},
    raw::Table,
    rules_file::{COMMON_KEYS, Common, RULE_KEYS, RulesContext, StepPlaces, read_was, via, words},
    values::{FARTHEST, Sign},
};
use crate::planning::rules::{Audience, Filing, Offset, Repeat, Step, Unit};

/// The keys of a step.
pub(super) const STEP_KEYS: [&str; 10] = ["id", "due", "at", "add", "only", "via", "urging", "file", "repeat", "was"];

/// The keys of `repeat`.
pub(super) const REPEAT_KEYS: [&str; 2] = ["every", "times"];

/// Whom the steps read so far have come to reach.
#[derive(Default)]
pub(super) struct Reached {
    audiences: Vec<Audience>,
    /// That nobody is reached was said, or follows from a fault that was.
    excused: bool,
}

pub(super) fn read_step(
    table: &Table<'_>,
    common: &Common,
    context: &RulesContext,
    reached: &mut Reached,
    seen: &mut Vec<(Audience, Place)>,
) -> Option<(Step, StepPlaces)> {
    let errors = table.faults.errors();
    table.known_or(&STEP_KEYS, |key| {
        let rules = RULE_KEYS.contains(&key) || COMMON_KEYS.contains(&key);
        rules.then(|| "dòng này thuộc cả quy tắc: chuyển lên trên [[rule.step]] đầu tiên, dưới [[rule]]".to_owned())
    });
    table.missing("id", "id = \"qua-han-1\"");
    table.missing("due", "due = \"-10wd\" (trước hạn), \"0d\" (đúng ngày), \"+1wd\" (sau hạn)");
    let id = table.id("id", "id = \"qua-han-1\"");
    let due = table.offset("due", Sign::Any);
    if table.has("add") && table.has("only") {
        let help = "`add` thêm vào người nhận của các bước trước; `only` thay tất cả: chọn một";
        table.error(&table.place_of("only"), "add-and-only", "một bước không dùng cả `add` và `only`", help);
    }
    read_reached(table, context, reached, seen);
    reached.excused |= table.faults.errors() > errors || table.faults.is_broken();
    if reached.audiences.is_empty() && !reached.excused {
        table.error(&table.place, "no-audience", "bước này chưa có người nhận", "thêm: add = [\"handler\"]");
        reached.excused = true;
    }
    let files = read_files(table);
    let at = table.time("at");
    if let (Some((_, place)), Some((Offset { unit: Unit::Hours, .. }, _))) = (&at, &due) {
        let help = "bước tính theo giờ đi đúng giờ tính được: bỏ `at`, hoặc đổi `due` sang ngày";
        table.faults.warning(place, "at-unused", "`at` không có tác dụng với bước tính theo giờ", help);
    }
    let repeat = read_repeat(table, due.as_ref().map(|(due, _)| *due));
    let step = Step {
        via: via(table).unwrap_or_else(|| common.via.clone()),
        urging: table.flag("urging").unwrap_or(false),
        was: read_was(table),
        id: id?.0,
        due: due.as_ref()?.0,
        at: at.map_or(common.at, |(at, _)| at),
        audiences: reached.audiences.clone(),
        files,
        repeat,
    };
    let places = StepPlaces {
        id: table.place_of("id"),
        due: due?.1,
        at: table.place_of(if table.has("at") { "at" } else { "due" }),
        via: table.place_of(if table.has("via") { "via" } else { "id" }),
        repeat: table.place_of("repeat"),
    };
    Some((step, places))
}

fn read_reached(table: &Table<'_>, context: &RulesContext, reached: &mut Reached, seen: &mut Vec<(Audience, Place)>) {
    if let Some(only) = read_audiences(table, "only", context, seen) {
        reached.audiences = only;
    }
    for audience in read_audiences(table, "add", context, seen).unwrap_or_default() {
        if !reached.audiences.contains(&audience) {
            reached.audiences.push(audience);
        } else if !table.faults.is_broken() {
            let message = format!("`{audience}` đã nhận từ bước trước");
            let help = "bỏ bớt; người nhận của bước trước vẫn nhận ở bước này";
            table.faults.warning(&table.value_place("add"), "repeated-audience", message, help);
        }
    }
}

fn read_files(table: &Table<'_>) -> Vec<Filing> {
    let files = table.words("file", &words(Filing::ALL, Filing::as_str), Filing::from_word).unwrap_or_default();
    if files.contains(&Filing::Letter) {
        let help = "bỏ \"letter\" để hết cảnh báo; thư do người soạn";
        let place = table.value_place("file");
        table.faults.warning(
            &place,
            "letter-unavailable",
            "phiên bản này chưa soạn được dự thảo công văn (`letter`)",
            help,
        );
    }
    files
}

fn read_repeat(table: &Table<'_>, due: Option<Offset>) -> Option<Repeat> {
    let inner = table.table("repeat", "repeat = { every = \"5wd\", times = 8 }")?;
    inner.known(&REPEAT_KEYS);
    inner.missing("every", "every = \"5wd\"");
    inner.missing("times", "times = 8");
    let times = inner.int("times", 1..=1000);
    let (every, place) = inner.offset("every", Sign::Positive)?;
    // Distances from the deadline are added up: days of two kinds, or days and hours, have no sum.
    let day_of = |unit| unit != Unit::Hours;
    if let Some(due) = due
        && every.unit != due.unit
        && !(due.n == 0 && day_of(due.unit) && day_of(every.unit))
    {
        let message = format!("`every` tính bằng `{}` nhưng `due` tính bằng `{}`", every.unit, due.unit);
        inner.error(
            &place,
            "unit-mismatch",
            message,
            format!("dùng cùng một đơn vị, ví dụ: every = \"5{}\"", due.unit),
        );
        return None;
    }
    let times = times?;
    if i64::from(every.n) * times > FARTHEST {
        let message = format!("nhắc lại quá xa: {times} lần, cách nhau {}{}", every.n, every.unit);
        let help = format!("giảm `times` hoặc `every`; cả thảy không quá {FARTHEST}{}", every.unit);
        inner.error(&inner.place_of("times"), "out-of-range", message, help);
        return None;
    }
    Some(Repeat { every, times: times as u32 })
}

fn read_audiences(
    table: &Table<'_>,
    key: &str,
    context: &RulesContext,
    seen: &mut Vec<(Audience, Place)>,
) -> Option<Vec<Audience>> {
    let mut audiences = Vec::new();
    let texts = table.texts(key, &format!("{key} = [\"handler\"]"))?;
    if texts.is_empty() && key == "only" {
        let place = table.value_place(key);
        table.error(&place, "no-audience", "`only` không có người nhận nào", "viết như: only = [\"monitor\"]");
    }
    for (text, place) in texts {
        let Some(audience) = Audience::from_word(&text) else {
            let near = nearest(&text, Audience::WORDS.iter().copied());
            let help = match (near, text.contains('@')) {
                _ if text.contains(',') => {
                    format!("mỗi người nhận trong ngoặc kép riêng: {key} = {}", listed(&text))
                }
                (_, true) => format!("một địa chỉ thư viết như: \"email:{}\"", text.trim_start_matches("email:")),
                _ => meant(&text, &[Audience::WORDS, &["person:…", "email:…"]].concat()),
            };
            table.error(&place, "unknown-audience", format!("không có loại người nhận {}", quoted(&text)), help);
            continue;
        };
        if let Audience::Email(address) = &audience {
            check_address(table, address, &place, context);
        }
        if audience == Audience::Inspection && !context.inspection {
            let help = "ghi cơ quan kiểm tra vào dondoc.toml: [inspection] agency = \"SNV\"";
            table.error(&place, "audience-unset", "chưa có cơ quan nào cho `inspection`", help);
        }
        if audiences.contains(&audience) {
            let message = format!("`{audience}` viết hai lần");
            table.faults.warning(&place, "repeated-audience", message, "bỏ bớt một");
            continue;
        }
        if !seen.iter().any(|(known, _)| *known == audience) {
            seen.push((audience.clone(), place));
        }
        audiences.push(audience);
    }
    Some(audiences)
}

fn check_address(table: &Table<'_>, address: &str, place: &Place, context: &RulesContext) {
    let parsed: Result<lettre::Address, _> = address.parse();
    let Ok(parsed) = parsed else {
        table.error(
            place,
            "bad-address",
            format!("không phải địa chỉ thư: {}", quoted(address)),
            "viết như: \"email:vanthu@so.example\"",
        );
        return;
    };
    if !context.allowed_domains.is_empty() && !domain_allowed(parsed.domain(), &context.allowed_domains) {
        let message = format!("tên miền {} không nằm trong danh sách được gửi", quoted(parsed.domain()));
        let help = format!(
            "sửa địa chỉ, hoặc thêm tên miền vào [email] allowed_domains trong dondoc.toml (hiện có: {})",
            context.allowed_domains.join(", ")
        );
        table.error(place, "domain-not-allowed", message, help);
    }
}

/// Whether mail may go to a domain: one of the allowed or below one of them.
pub fn domain_allowed(domain: &str, allowed: &[String]) -> bool {
    let domain = domain.to_lowercase();
    allowed.iter().any(|known| {
        let known = known.to_lowercase();
        domain == known || domain.strip_suffix(&known).is_some_and(|rest| rest.ends_with('.'))
    })
}
