//! JSON schemas of the three files, for editors with a TOML language server (taplo, tombi): what may stand where, in
//! Vietnamese.
//!
//! A schema sees one value at a time. It helps while somebody types; whether the rules are sound is for `check` alone.
//! `config/schema/` holds what is generated here, and a test compares.

use serde_json::Value;

use super::{
    schema_parts::{
        all_words, any_text, date, file, flag, form, id, list, moment, offset, some, some_or_none, span, table, text,
        time, whole, word,
    },
    schema_settings,
};
use crate::planning::{
    calendar::{Certainty, DayKind},
    rules::{Audience, ChannelKind, Filing, Late},
    task::{Block, Clock, Role, Secrecy, TaskState, Urgency},
};

/// Which of the three files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum File {
    Rules,
    Calendar,
    Settings,
}

impl File {
    /// Each with the name its schema has under `config/schema/`.
    pub const ALL: [(File, &'static str); 3] = [
        (File::Rules, "rules.schema.json"),
        (File::Calendar, "calendar.schema.json"),
        (File::Settings, "dondoc.schema.json"),
    ];

    /// Its schema.
    pub fn schema(self) -> Value {
        match self {
            File::Rules => rules(),
            File::Calendar => calendar(),
            File::Settings => schema_settings::settings(),
        }
    }

    /// Its schema as it is written to a file.
    pub fn text(self) -> String {
        format!("{:#}\n", self.schema())
    }
}

fn audience() -> Value {
    let words = Audience::WORDS.join("|");
    form(
        &format!(r"^({words}|person:.+|email:.+@.+)$"),
        "handler chuyên viên thụ lý · agency_head người đứng đầu · agency_deputy cấp phó phụ trách · agency_contact đầu mối · agency_box văn thư · monitor người theo dõi của Văn phòng · superior_head lãnh đạo cấp trên · assigner_office cơ quan đầu mối của cấp giao · inspection cơ quan kiểm tra · person:MÃ một người · email:ĐỊA-CHỈ một địa chỉ",
    )
}

fn channels(description: &str) -> Value {
    some(word(&all_words!(ChannelKind), "email: thư điện tử; zalo: tin Zalo"), description)
}

/// The conditions of `when`, which the task of a test has too; `many`: a list is allowed.
fn conditions(many: bool) -> Vec<(&'static str, Value)> {
    let one = |item: Value, description: &str| match many {
        true => some(item, description),
        false => {
            let mut item = item;
            item["description"] = description.into();
            item
        }
    };
    let free = |description: &str| {
        let item = if many {
            text("ghi như trong dữ liệu nhập")
        } else {
            any_text("ghi như trong dữ liệu nhập")
        };
        one(item, description)
    };
    vec![
        ("role", one(word(&all_words!(Role), "vai trò"), "lead: cơ quan chủ trì; coordinator: cơ quan phối hợp")),
        (
            "block",
            one(
                word(&all_words!(Block), "khối"),
                "khối của cơ quan được nhắc: state chính quyền; party Đảng; enterprise doanh nghiệp nhà nước",
            ),
        ),
        ("assigner", free("cấp giao, ghi như trong dữ liệu nhập")),
        ("document_kind", free("loại văn bản giao việc")),
        (
            "urgency",
            one(
                word(&all_words!(Urgency), "độ khẩn"),
                "normal thường; urgent khẩn; very_urgent thượng khẩn; flash hỏa tốc",
            ),
        ),
        (
            "secrecy",
            one(
                word(&all_words!(Secrecy), "độ mật"),
                "open không mật; confidential mật; secret tối mật; top_secret tuyệt mật",
            ),
        ),
        ("agency", free("cơ quan: mã hoặc tên trong danh bạ")),
        ("agency_kind", free("loại cơ quan, ghi như trong danh bạ")),
        ("field", free("lĩnh vực")),
        ("priority", free("mức trọng tâm")),
    ]
}

/// What `[defaults]` and a rule may both say.
fn common() -> Vec<(&'static str, Value)> {
    vec![
        ("at", time(false, "giờ của các bước tính theo ngày, ví dụ \"08:00\"")),
        ("via", channels("kênh gửi; ghi cả hai thì gửi cả hai")),
        ("bundle", flag("true: nhiều việc của một người cùng lúc gộp vào một thư")),
        (
            "late",
            word(
                &all_words!(Late),
                "dịch vụ dừng rồi chạy lại: latest chỉ gửi bước nặng nhất đã lỡ; skip không gửi bước đã lỡ",
            ),
        ),
        ("max_lateness", span("bước lỡ lâu hơn thế này chỉ ghi lại, không gửi; ví dụ \"10wd\"")),
        ("daily_cap", whole(1, 100_000, "một người nhận nhiều nhất bấy nhiêu tin một ngày trên một kênh; còn lại chờ")),
    ]
}

fn step() -> Value {
    let properties = [
        ("id", id("tên bước, không trùng trong một quy tắc; sổ ghi theo tên này")),
        (
            "due",
            offset(
                "cách hạn bao xa: - trước hạn, + sau hạn; wd ngày làm việc, d ngày, h giờ. Ví dụ \"-10wd\", \"0d\", \"+1wd\"",
            ),
        ),
        ("at", time(false, "giờ của bước này, nếu khác giờ chung")),
        ("add", some(audience(), "thêm người nhận; người nhận của các bước trước vẫn nhận")),
        ("only", some(audience(), "chỉ gửi những người này, thay cho người nhận của các bước trước")),
        ("via", channels("kênh gửi của riêng bước này")),
        ("urging", flag("true: tính là một lần đôn đốc")),
        (
            "file",
            some(word(&all_words!(Filing), "notice: phiếu báo quá hạn; letter: dự thảo công văn"), "giấy tờ được lập"),
        ),
        (
            "repeat",
            table(
                "nhắc lại",
                &["every", "times"],
                [
                    ("every", span("cách nhau bao lâu, cùng đơn vị với `due`: \"5wd\"")),
                    ("times", whole(1, 1000, "thêm mấy lần nữa")),
                ],
            ),
        ),
        ("was", some(id("tên cũ"), "các tên cũ của bước này, khi đổi tên")),
    ];
    table("một bước của quy tắc", &["id", "due"], properties)
}

fn rule() -> Value {
    let own = vec![
        ("id", id("tên quy tắc, không trùng; sổ ghi theo tên này")),
        ("when", table("điều kiện: phải đúng tất cả; trong một danh sách thì đúng một là được", &[], conditions(true))),
        ("clock", word(&all_words!(Clock), "completion: thời hạn hoàn thành; report: thời hạn báo cáo")),
        ("basis", text("căn cứ, in trên phiếu báo")),
        ("hours", text("giờ gửi: tên của một mục [hours.…]; không ghi thì là normal")),
        ("effective_from", date("chỉ áp dụng cho các bước từ ngày này: 2026-01-01")),
        ("was", some(id("tên cũ"), "các tên cũ của quy tắc này, khi đổi tên")),
        ("step", list(step(), 1, "các bước, theo thứ tự thời gian")),
    ];
    let properties = own.into_iter().chain(common());
    table("một bậc thang nhắc việc; nhiệm vụ theo quy tắc đầu tiên khớp", &["id", "clock", "step"], properties)
}

fn test() -> Value {
    let mut task = conditions(false);
    task.extend([
        ("clock", word(&all_words!(Clock), "thời hạn nào; không ghi thì là completion")),
        (
            "state",
            word(&all_words!(TaskState), "trạng thái của nhiệm vụ; không ghi thì là in_progress, đang thực hiện"),
        ),
        ("deadline", moment("hạn: 2026-12-15, có giờ thì 2026-12-15T17:00:00")),
        ("entered", moment("ngày nhập vào hệ thống; không ghi thì là một năm trước hạn")),
    ]);
    let expect = [
        ("rule", text("quy tắc áp dụng")),
        ("step", text("bước đến hạn nặng nhất hôm đó")),
        ("to", some_or_none(audience(), "đúng những người nhận này")),
        (
            "via",
            some_or_none(word(&all_words!(ChannelKind), "email: thư điện tử; zalo: tin Zalo"), "đúng những kênh này"),
        ),
        ("files", some_or_none(word(&all_words!(Filing), "notice: phiếu báo quá hạn"), "giấy tờ được lập")),
        ("urging", flag("có tính là một lần đôn đốc không")),
        ("send_at", moment("lúc tin được đi, theo giờ gửi: 2026-12-16T08:00:00")),
        ("nothing", flag("true: không có gì")),
    ];
    table(
        "một phép thử: nhiệm vụ này, ngày này, phải ra điều này",
        &["name", "task", "on", "expect"],
        [
            ("name", text("tên phép thử, nói rõ nó thử điều gì")),
            ("task", table("nhiệm vụ đem thử", &["deadline"], task)),
            ("on", moment("ngày xét, hoặc ngày giờ: chỉ xét đến giờ đó")),
            ("expect", table("điều phải xảy ra hôm đó", &[], expect)),
        ],
    )
}

fn rules() -> Value {
    let hours = table(
        "giờ được gửi; ngoài giờ thì tin chờ, không bị bỏ",
        &["days", "from", "until"],
        [
            ("days", word(&["working", "all"], "working ngày làm việc; all mọi ngày")),
            ("from", time(false, "từ giờ này: \"07:30\"")),
            ("until", time(true, "phút cuối cùng còn được gửi: \"17:30\"; \"24:00\" là hết ngày")),
        ],
    );
    let mut all_hours = table("các khung giờ gửi; quy tắc gọi theo tên", &[], []);
    all_hours["additionalProperties"] = hours;
    file(
        "rules.toml: quy tắc nhắc việc và đôn đốc",
        table(
            "quy tắc nhắc việc và đôn đốc của cơ quan",
            &["rule"],
            [
                (
                    "defaults",
                    table("dùng chung cho mọi quy tắc; quy tắc nào ghi khác thì theo quy tắc đó", &[], common()),
                ),
                ("hours", all_hours),
                ("rule", list(rule(), 1, "các quy tắc; riêng đứng trên, chung đứng dưới")),
                ("test", list(test(), 0, "các phép thử; `dondoc check` chạy tất cả")),
            ],
        ),
    )
}

/// The words of `week`.
const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

fn calendar() -> Value {
    let day = table(
        "một ngày không như thứ của nó",
        &["date", "kind", "name", "basis", "certainty"],
        [
            ("date", date("ngày: 2026-11-24")),
            ("kind", word(&all_words!(DayKind), "off nghỉ; work làm bù; half làm nửa ngày")),
            ("from", time(false, "ngày làm nửa ngày: từ giờ này mới làm, như \"13:30\"")),
            ("until", time(true, "ngày làm nửa ngày: chỉ làm đến giờ này, như \"12:00\"")),
            ("name", text("tên ngày")),
            ("basis", text("văn bản làm căn cứ")),
            (
                "certainty",
                word(
                    &all_words!(Certainty),
                    "law luật định; confirmed đã có thông báo; computed tính theo luật; estimate ước tính, chờ quyết định",
                ),
            ),
        ],
    );
    let closure = table(
        "một cơ quan nghỉ riêng",
        &["agency", "from", "until", "name", "basis"],
        [
            ("agency", text("cơ quan: mã hoặc tên trong danh bạ")),
            ("from", date("ngày nghỉ đầu: 2026-07-20")),
            ("until", date("ngày nghỉ cuối: 2026-07-24")),
            ("name", text("tên đợt nghỉ")),
            ("basis", text("văn bản làm căn cứ")),
        ],
    );
    file(
        "calendar.toml: lịch làm việc",
        table(
            "ngày nghỉ và ngày làm bù",
            &["covers", "week"],
            [
                ("covers", list(whole(1900, 2200, "năm"), 1, "các năm đã có đủ ngày nghỉ")),
                (
                    "week",
                    list(word(&WEEKDAYS, "mon thứ Hai … sat thứ Bảy, sun Chủ nhật"), 1, "các ngày làm việc trong tuần"),
                ),
                ("closure", list(closure, 0, "các đợt nghỉ riêng của từng cơ quan")),
                ("day", list(day, 0, "các ngày nghỉ, ngày làm bù")),
            ],
        ),
    )
}
